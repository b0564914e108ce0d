"""Typed data: what goes in comes out; what was made up gives plain data or an error, soon and in little memory."""

import collections
import enum
import json
import math
import struct
import sys
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitogen.core.errors import PayloadError
from mitogen.core.payload import MAX_DEPTH, MAX_ODD_KEYS, ContextRef, MailboxRef, decode, encode

NUMBERS = st.integers(0, 2 ** 32 - 1)
REFERENCES = st.builds(ContextRef, NUMBERS, st.text()) | st.builds(MailboxRef, NUMBERS, NUMBERS)
SCALARS = (st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
           | st.integers(-2 ** 2000, 2 ** 2000) | REFERENCES)
KEYS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
                   | st.dictionaries(st.text() | st.just('!'), inner, max_size=4)
                   | st.dictionaries(KEYS, inner, max_size=4) | st.sets(KEYS, max_size=4)),
    max_leaves=25)

#: Everything that decoding may make.
PLAIN = (type(None), bool, int, float, str, bytes, list, tuple, dict, set, ContextRef, MailboxRef)


def made_up(text, blobs=b''):
    """Return a payload of the given JSON text, or of an object that is made into JSON."""
    if not isinstance(text, bytes):
        text = json.dumps(text).encode()
    return struct.pack('>I', len(text)) + text + blobs


def walk(value):
    yield value
    if type(value) in (list, tuple, set):
        for item in value:
            yield from walk(item)
    elif type(value) is dict:
        for key, item in value.items():
            yield from walk(key)
            yield from walk(item)


def same(one, other):
    """Compare with types: 1, 1.0 and True are three values."""
    if type(one) is not type(other):
        return False
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is dict:
        return same(list(one.items()), list(other.items()))
    return one == other


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_values_come_out_as_they_went_in(value):
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize('value', [
    None, True, False, 0, -1, 2 ** 2048 - 1, -2 ** 2047, 0.1, -0.0, 1e308, math.inf, -math.inf,
    '', 'text', '\0', '\ud800', '\U0001f600', 'caf\u00e9', '!', b'', b'\0\xff',
    [], (), {}, set(), [[]], ((),), {'': ''}, {'!': 1}, {'!': ['b', 0, 0]}, {'!': {'!': {}}}, {1: 'one', '1': 'text'},
    {None: 0, True: 1, 2.5: 2, b'k': 3, (1, b'2'): 4}, {1, 'a', b'b', (2, 3)},
    [b'one', (b'two', {b'three'}), {'four': b'four'}],
    ContextRef(0, ''), ContextRef(2 ** 32 - 1, 'web1'), MailboxRef(3, 1000), {ContextRef(1, 'a'): MailboxRef(1, 2)},
    list(range(10000)), dict.fromkeys(range(10000)), {'k%d' % index for index in range(10000)},
    {b'%d' % index for index in range(10000)}], ids=lambda value: type(value).__name__)
def test_value(value):
    assert same(decode(encode(value)), value)


def test_not_a_number_stays_one():
    assert math.isnan(decode(encode(math.nan)))


def test_the_layout_is_as_documented():
    assert encode({'a': [b'xy', (1,)], 'b': b'z'}) == (
        b'\0\0\0\x47{"a":[{"!":["b",0,2]},{"!":["t",[1]]}],"b":{"!":["b",2,1]}}xyz'.replace(
            b'\0\0\0\x47', struct.pack('>I', len(b'{"a":[{"!":["b",0,2]},{"!":["t",[1]]}],"b":{"!":["b",2,1]}}'))))


class Text(str):
    def __reduce__(self):
        raise AssertionError('pickled')


class Colour(enum.IntEnum):
    RED = 1


Pair = collections.namedtuple('Pair', 'left right')


@pytest.mark.parametrize(('value', 'wanted'), [
    (Text('text'), 'text'), (Colour.RED, 1), (Pair(1, 2), (1, 2)), (bytearray(b'x'), b'x'), (memoryview(b'x'), b'x'),
    (frozenset([1]), {1}), (collections.OrderedDict(b=1, a=2), {'b': 1, 'a': 2}),
    ({Text('k'): Text('v')}, {'k': 'v'}), (collections.defaultdict(list, {1: 2}), {1: 2})],
    ids=lambda value: type(value).__name__)
def test_subclasses_arrive_as_the_type_itself(value, wanted):
    assert same(decode(encode(value)), wanted)


def test_objects_may_stand_for_references():
    class Live:
        def __wire_ref__(self):
            return MailboxRef(3, 1000)

    assert decode(encode([Live()])) == [MailboxRef(3, 1000)]


@pytest.mark.parametrize('value', [
    object(), 1j, range(3), int, len, Ellipsis, NotImplemented, ValueError('x'), iter([]), sys, {'k': object()},
    {object(): 1}, [{'k': (set(), {1j})}]], ids=lambda value: type(value).__name__)
def test_other_types_are_refused(value):
    with pytest.raises(PayloadError, match='cannot send an object of type'):
        encode(value)


def test_an_object_that_stands_for_something_else_is_refused():
    class Liar:
        def __wire_ref__(self):
            return object()

    with pytest.raises(PayloadError):
        encode(Liar())


@pytest.mark.parametrize('value', [2 ** 2048, -2 ** 2048, 10 ** 700, 10 ** 10000], ids=int.bit_length)
def test_numbers_that_the_other_side_would_refuse_are_refused(value):
    with pytest.raises(PayloadError, match='a number of .* bits'):
        encode(value)


@pytest.mark.parametrize('wrap', [
    lambda inner: [inner], lambda inner: (inner,), lambda inner: {'k': inner}, lambda inner: {1: inner}],
    ids=['list', 'tuple', 'dict', 'dict of numbers'])
@pytest.mark.parametrize('leaf', [0, b'bytes', ContextRef(1, 'a')], ids=lambda value: type(value).__name__)
def test_what_is_nested_too_deeply_is_refused_by_the_sender_already(wrap, leaf):
    value, depth = leaf, 0
    while True:
        try:
            sent = encode(value)
        except PayloadError as exc:
            assert str(exc) == 'data nested too deeply'
            break
        assert same(decode(sent), value)
        value, depth = wrap(value), depth + 1
    assert depth in (MAX_DEPTH, MAX_DEPTH + 1)


def test_a_list_that_holds_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(PayloadError, match='nested too deeply'):
        encode(value)


MALFORMED = [
    ('nothing', b''),
    ('a part of the length', b'\0\0\0'),
    ('no text', b'\0\0\0\0'),
    ('text that is cut short', made_up([1, 2])[:-1]),
    ('a length over all', b'\xff\xff\xff\xff[]'),
    ('two texts', made_up(b'[][]')),
    ('no JSON', made_up(b'pickle')),
    ('an open list', made_up(b'[1, 2')),
    ('no ASCII', made_up('"\u00e9"'.encode())),
    ('a byte order mark', made_up(b'\xef\xbb\xbf[]')),
    ('an escape that is cut', made_up(b'"\\u12"')),
    ('a long number', made_up(b'1' * 641)),
    ('a long negative number', made_up(b'-' + b'1' * 640)),
    ('a million digits', made_up(b'1' * 1000000)),
    ('deep lists', made_up(b'[' * 101 + b']' * 101)),
    ('very deep lists', made_up(b'[' * 100000 + b']' * 100000)),
    ('very deep objects', made_up(b'{"a":' * 100000 + b'1' + b'}' * 100000)),
    ('deep tags', made_up(b'{"!":["t",[' * 101 + b']]}' * 101)),
    ('a tag that is null', made_up({'!': None})),
    ('a tag that is a number', made_up({'!': 7})),
    ('a tag that is text', made_up({'!': 'b01'})),
    ('a tag that is an object', made_up({'!': {}})),
    ('an empty tag', made_up({'!': []})),
    ('an unknown tag', made_up({'!': ['x', 1]})),
    ('a tag in a tag', made_up({'!': [['t'], [1]]})),
    ('a tag beside other keys', made_up({'!': ['t', [1]], 'a': 1})),
    ('a tag without contents', made_up({'!': ['t']})),
    ('a tag with too much', made_up({'!': ['t', [1], [2]]})),
    ('a tuple of text', made_up({'!': ['t', 'abc']})),
    ('a tuple of an object', made_up({'!': ['t', {'a': 1}]})),
    ('a set of lists', made_up({'!': ['s', [[]]]})),
    ('a set of a dict', made_up({'!': ['s', [{}]]})),
    ('a dict with list keys', made_up({'!': ['m', [[[], 1]]]})),
    ('a dict of singles', made_up({'!': ['m', [[1]]]})),
    ('a dict of triples', made_up({'!': ['m', [[1, 2, 3]]]})),
    ('a dict of numbers', made_up({'!': ['m', [1]]})),
    ('a dict of text', made_up({'!': ['m', 'ab']})),
    ('bytes behind the end', made_up({'!': ['b', 0, 4]}, b'abc')),
    ('bytes before the start', made_up({'!': ['b', -1, 2]}, b'abc')),
    ('bytes of negative length', made_up({'!': ['b', 2, -1]}, b'abc')),
    ('bytes far behind the end', made_up({'!': ['b', 2 ** 70, 0]}, b'abc')),
    ('bytes at true', made_up({'!': ['b', True, 1]}, b'abc')),
    ('bytes at a fraction', made_up({'!': ['b', 0.0, 1.0]}, b'abc')),
    ('bytes at text', made_up({'!': ['b', '0', '1']}, b'abc')),
    ('bytes without length', made_up({'!': ['b', 0]}, b'abc')),
    ('the same bytes twice', made_up([{'!': ['b', 0, 2]}, {'!': ['b', 1, 2]}], b'abc')),
    ('a context of text', made_up({'!': ['c', '1', 'a']})),
    ('a context without name', made_up({'!': ['c', 1]})),
    ('a context with a name that is none', made_up({'!': ['c', 1, None]})),
    ('a context below 0', made_up({'!': ['c', -1, 'a']})),
    ('a context over 32 bits', made_up({'!': ['c', 2 ** 32, 'a']})),
    ('a mailbox of text', made_up({'!': ['h', 1, 'a']})),
    ('a mailbox at true', made_up({'!': ['h', True, True]})),
    ('a mailbox over 32 bits', made_up({'!': ['h', 1, 2 ** 32]})),
]


@pytest.mark.parametrize('data', [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_malformed(data):
    started = time.process_time()
    with pytest.raises(PayloadError) as caught:
        decode(data)
    assert len(str(caught.value)) < 300
    assert time.process_time() - started < 1


def test_a_small_payload_cannot_fill_memory():
    blob = bytes(500_000)
    data = made_up([{'!': ['b', 0, len(blob)]}] * 20_000, blob)
    tracemalloc.start()
    with pytest.raises(PayloadError, match='bytes used twice'):
        decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000_000


COLLIDING = {
    'numbers': [index * (2 ** 61 - 1) for index in range(40_000)],
    # hash(-1) == hash(-2), and so for tuples of them.
    'tuples': [{'!': ['t', [-1 - (index >> bit & 1) for bit in range(14)]]} for index in range(2 ** 14)],
}


@pytest.mark.parametrize('keys', COLLIDING.values(), ids=COLLIDING)
@pytest.mark.parametrize('tag', ['s', 'm'])
def test_keys_that_collide_are_refused_before_they_take_time(tag, keys):
    data = made_up({'!': [tag, keys if tag == 's' else [[key, 0] for key in keys]]})
    started = time.process_time()
    with pytest.raises(PayloadError, match='too many keys'):
        decode(data)
    assert time.process_time() - started < 3


def test_some_keys_of_any_type_are_fine():
    value = {(index, 'x') for index in range(MAX_ODD_KEYS)}
    assert decode(encode(value)) == value


#: Text that looks like what encode() makes.
NEAR_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(list('btsmch!')),
    lambda inner: (st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(['!', 'a']), inner, max_size=2)
                   | st.builds(lambda tag, rest: {'!': [tag, *rest]}, st.sampled_from(list('btsmchx')),
                               st.lists(inner, max_size=3))),
    max_leaves=12)


def check_decodes_to_plain_data(data):
    try:
        value = decode(data)
    except PayloadError:
        return
    for part in walk(value):
        assert type(part) in PLAIN
    # What was accepted can be sent on, but for numbers that only text can hold.
    try:
        sent = encode(value)
    except PayloadError as exc:
        assert 'a number of' in str(exc)
        return
    assert repr(decode(sent)) == repr(value) or any(type(part) is set for part in walk(value))


@given(NEAR_JSON, st.binary(max_size=20))
@settings(max_examples=250, deadline=None)
def test_made_up_tags_give_plain_data_or_an_error(text, blobs):
    check_decodes_to_plain_data(made_up(text, blobs))


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_noise_gives_plain_data_or_an_error(data):
    check_decodes_to_plain_data(data)


@given(VALUES, st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bytes_give_plain_data_or_an_error(value, choices):
    data = bytearray(encode(value))
    for _ in range(choices.draw(st.integers(1, 3))):
        data[choices.draw(st.integers(0, len(data) - 1))] = choices.draw(st.integers(0, 255))
    check_decodes_to_plain_data(bytes(data))
