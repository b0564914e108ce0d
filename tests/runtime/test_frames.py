"""Frames: what goes in comes out, however it is cut; what is no frame ends the stream."""

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitogen.core import frames
from mitogen.core.errors import FrameError, StreamError
from mitogen.core.frames import DATA, DEAD, ERROR, HEADER_SIZE, MAX_PAYLOAD, RAW, Frame, FrameParser, pack

NUMBERS = st.integers(0, 2 ** 32 - 1)
FRAMES = st.builds(Frame, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from([RAW, DATA, ERROR, DEAD]),
                   st.binary(max_size=100))
SIMPLE = Frame(1, 2, 3, 4, 5, RAW, b'payload')

#: Magic, kind, padding, then five numbers and the size: the layout that docs give.
LAYOUT = '>HBxIIIIII'


def header(magic=frames.MAGIC, kind=RAW, size=0):
    return struct.pack(LAYOUT, magic, kind, 1, 2, 3, 4, 5, size)


def cut(data, positions):
    bounds = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[bounds[index]:bounds[index + 1]] for index in range(len(bounds) - 1)]


def parse(chunks, **options):
    parser = FrameParser(**options)
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


def test_the_layout_is_as_documented():
    assert pack(SIMPLE) == b'\x4d\x47\x00\x00' + struct.pack('>6I', 1, 2, 3, 4, 5, 7) + b'payload'
    assert struct.calcsize(LAYOUT) == HEADER_SIZE


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 2000), max_size=8))
@settings(max_examples=200, deadline=None)
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(sent, positions):
    assert parse(cut(b''.join(map(pack, sent)), positions)) == sent


def test_frames_come_out_of_a_stream_of_single_bytes():
    stream = pack(SIMPLE) * 3
    assert parse(stream[index:index + 1] for index in range(len(stream))) == [SIMPLE] * 3


def test_a_frame_is_returned_by_the_call_that_completes_it():
    parser = FrameParser()
    data = pack(SIMPLE)
    assert parser.feed(data[:-1]) == []
    assert parser.pending == len(data) - 1
    assert parser.feed(data[-1:] + data[:3]) == [SIMPLE]
    assert parser.pending == 3


def test_an_empty_payload_and_an_empty_read_are_fine():
    frame = SIMPLE._replace(payload=b'')
    parser = FrameParser()
    assert parser.feed(pack(frame)) == [frame]
    assert parser.feed(b'') == []
    assert parser.pending == 0


def test_payloads_are_bytes_of_their_own():
    data = bytearray(pack(SIMPLE))
    (frame,) = FrameParser().feed(data)
    data[:] = b'?' * len(data)
    assert type(frame.payload) is bytes
    assert frame == SIMPLE


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_any_bytes_may_be_a_payload(kind):
    assert parse([pack(SIMPLE._replace(payload=kind(b'payload')))]) == [SIMPLE]


def test_the_largest_payload_passes_and_one_byte_more_does_not():
    largest = SIMPLE._replace(payload=bytes(MAX_PAYLOAD))
    assert parse([pack(largest)]) == [largest]
    with pytest.raises(FrameError, match='over the limit'):
        pack(SIMPLE._replace(payload=bytes(MAX_PAYLOAD + 1)))


@pytest.mark.parametrize('field', ['dst', 'src', 'auth', 'handle', 'reply_to', 'kind'])
@pytest.mark.parametrize('number', [-1, 2 ** 32, 2 ** 64, 1.5, None, '1'])
def test_a_number_that_does_not_fit_is_a_frame_error(field, number):
    with pytest.raises(FrameError, match='cannot send'):
        pack(SIMPLE._replace(**{field: number}))


MALFORMED = [
    ('text instead of a frame', b'Last login: yesterday, from somewhere\n', 'bad magic 0x4c61'),
    ('zeros', bytes(100), 'bad magic 0x0000'),
    ('magic of the other byte order', header(magic=0x474D), 'bad magic 0x474d'),
    ('one byte lost', pack(SIMPLE)[1:] + pack(SIMPLE), 'bad magic'),
    ('an unknown kind', header(kind=4), 'unknown payload kind 4'),
    ('the last kind', header(kind=255), 'unknown payload kind 255'),
    ('one byte too much', header(size=MAX_PAYLOAD + 1), 'payload of 1048577 bytes is over the limit of 1048576'),
    ('the greatest size', header(size=2 ** 32 - 1), 'payload of 4294967295 bytes is over the limit'),
]


@pytest.mark.parametrize(('data', 'reason'), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_what_is_no_frame_is_an_error_at_once(data, reason):
    with pytest.raises(FrameError, match=reason):
        FrameParser().feed(data)


@pytest.mark.parametrize(('data', 'reason'), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_frames_before_the_fault_are_delivered_first(data, reason):
    parser = FrameParser()
    assert parser.feed(pack(SIMPLE) + data) == [SIMPLE]
    with pytest.raises(FrameError, match=reason):
        parser.feed(b'')
    with pytest.raises(FrameError, match=reason):
        parser.feed(pack(SIMPLE))


def test_a_parser_may_have_a_lower_limit():
    assert len(parse([header(size=10) + bytes(10)], limit=10)) == 1
    with pytest.raises(FrameError, match='over the limit of 10'):
        parse([header(size=11)], limit=10)


def test_an_oversize_frame_is_refused_before_its_payload_is_read():
    tracemalloc.start()
    with pytest.raises(FrameError):
        parse([header(size=2 ** 31)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_memory_is_bounded_by_one_frame():
    parser = FrameParser()
    stream = pack(SIMPLE._replace(payload=bytes(MAX_PAYLOAD)))
    tracemalloc.start()
    for _ in range(20):
        for start in range(0, len(stream), 65536):
            parser.feed(stream[start:start + 65536])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * MAX_PAYLOAD


def test_frame_errors_are_stream_errors():
    assert issubclass(FrameError, StreamError)


@given(st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=300, deadline=None)
def test_noise_gives_frames_or_a_frame_error(chunks):
    try:
        parse(chunks)
    except FrameError:
        pass


@given(st.lists(FRAMES, min_size=1, max_size=4), st.data())
@settings(max_examples=300, deadline=None)
def test_flipped_bytes_give_frames_or_a_frame_error(sent, choices):
    stream = bytearray(b''.join(map(pack, sent)))
    for _ in range(choices.draw(st.integers(1, 4))):
        stream[choices.draw(st.integers(0, len(stream) - 1))] = choices.draw(st.integers(0, 255))
    try:
        received = parse([bytes(stream)])
    except FrameError:
        return
    assert sum(HEADER_SIZE + len(frame.payload) for frame in received) <= len(stream)
