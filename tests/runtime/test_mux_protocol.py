"""What clients and the multiplexer say to each other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_mitogen.mux import protocol
from mitogen.core.errors import FrameError, PayloadError
from mitogen.core.frames import DATA, ERROR, RAW, Frame, FrameParser

HOP: list[Any] = [['ssh', 'web1'], 'ssh web1', 'key', False, True, 10.0, None, None, ['/etc/environment']]


def decode_all(data: Any) -> Any:
    return [protocol.decode(frame) for frame in FrameParser().feed(data)]


def test_a_message_comes_back_as_it_was_sent() -> None:
    body = {'context': ['ab', 3], 'path': '/x', 'mode': 0o644, 'content': b'\0\xff'}
    assert decode_all(protocol.encode(protocol.PUT, 7, body)) == [(protocol.PUT, 7, body)]


def test_raw_messages_carry_bytes_untouched() -> None:
    assert decode_all(protocol.encode(protocol.OUTPUT, 2, b'\0!')) == [(protocol.OUTPUT, 2, b'\0!')]


@pytest.mark.parametrize('size, count', [(0, 0), (1, 1), (protocol.CHUNK, 1), (protocol.CHUNK + 1, 2)])
def test_large_content_is_cut_into_pieces_that_join_to_it(size: Any, count: Any) -> None:
    content = b'x' * size
    packets = decode_all(b''.join(protocol.encode_pieces(protocol.ATTACH, 1, content)))
    assert len(packets) == count
    assert b''.join(packet.body for packet in packets) == content


@pytest.mark.parametrize('handle, kind, payload', [
    (0, DATA, b''),
    (99, RAW, b''),
    (protocol.OPEN, RAW, b''),
    (protocol.OPEN, ERROR, b''),
    (protocol.OUTPUT, DATA, b''),
    (protocol.CLOSE, DATA, b'\0\0\0\2[]'),
    (protocol.CLOSE, DATA, b'\0\0\0\2{}'),
    (protocol.CLOSE, DATA, b'nonsense'),
    (protocol.FETCH, DATA, b'\0\0\0\x1b{"context":["a",1],"path":1}'),
])
def test_what_is_no_message_of_the_protocol_is_refused(handle: Any, kind: Any, payload: Any) -> None:
    with pytest.raises(PayloadError):
        protocol.decode(Frame(0, 0, 0, handle, 1, kind, payload))


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_but_an_error_of_the_runtime(data: Any) -> None:
    try:
        decode_all(data)
    except (FrameError, PayloadError):
        pass


@given(st.binary(max_size=100), st.integers(0, 30), st.integers(0, 3))
def test_garbage_in_a_frame_never_raises_anything_but_an_error_of_the_runtime(
        payload: Any, handle: Any, kind: Any) -> None:
    try:
        protocol.decode(Frame(0, 0, 0, handle, 1, kind, payload))
    except PayloadError:
        pass


def test_hops_are_taken_from_the_wire() -> None:
    assert protocol.decode_hops([HOP]) == [protocol.HopSpec(*HOP)]


@pytest.mark.parametrize('listing', [
    [], [None], [[]], [HOP[:-1]], [[['ssh', 1], *HOP[1:]]], [[*HOP[:5], 'soon', None, None, []]],
    [[*HOP[:-1], [1]]],
])
def test_malformed_hops_are_refused(listing: Any) -> None:
    with pytest.raises(PayloadError):
        protocol.decode_hops(listing)
