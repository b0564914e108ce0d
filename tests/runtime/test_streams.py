"""Streams that speak the message protocol, over real sockets."""

import socket
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from mitogen.core import Broker
from mitogen.core.frames import RAW, Frame, FrameParser, pack
from mitogen.core.streams import MAX_PENDING, Stream

#: Seconds that anything here may take on a busy machine.
SOON = 60
MIB = 1 << 20


class Keeper:
    """Stands for a router, and keeps what its stream tells it. The stream's neighbour is a socket of the test's."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.frames: Queue[Frame] = Queue()
        self.ends: Queue[str] = Queue()
        ours, self.neighbour = socket.socketpair()
        self.neighbour.settimeout(SOON)
        fd = ours.detach()
        self.stream = Stream(self, 7, fd, fd, 'web1')
        self.stream.on_gone = self.ends.put
        self.broker.defer(self.broker.start_receive, self.stream)

    def receive(self, frame: Frame, stream: Any) -> None:
        self.frames.put(frame)

    def disconnected(self, stream: Any, reason: str) -> None:
        self.ends.put(reason)

    def read(self, count: int) -> list[Frame]:
        """Return what the neighbour gets next."""
        parser, found = FrameParser(), list[Frame]()
        while len(found) < count:
            found += parser.feed(self.neighbour.recv(MIB))
        return found

    def end(self) -> str:
        """Wait until router and owner have been told of the end, each once; return the reason."""
        reasons = {self.ends.get(timeout=SOON), self.ends.get(timeout=SOON)}
        self.broker.call_sync(self.stream.close, self.broker, 'again')
        assert self.ends.empty()
        (reason,) = reasons
        return reason


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    with keeper.neighbour:
        yield keeper
        keeper.broker.shutdown()
        keeper.broker.join(SOON)
    assert not keeper.broker.thread.is_alive()


def message(handle: int, content: bytes = b'') -> Frame:
    return Frame(0, 7, 7, handle, 0, RAW, content)


def test_messages_arrive_whole_and_in_order_however_they_are_cut(keeper: Keeper) -> None:
    sent = [message(number, b'.' * number) for number in range(20)]
    content = b''.join(map(pack, sent))
    for offset in range(0, len(content), 11):
        keeper.neighbour.sendall(content[offset:offset + 11])
    assert [keeper.frames.get(timeout=SOON) for _ in sent] == sent


def test_threads_send_at_once_and_each_ones_messages_stay_whole_and_in_order(keeper: Keeper) -> None:
    def send(thread: int) -> None:
        for number in range(100):
            keeper.stream.send(message(thread * 1000 + number, bytes([thread]) * 30000))
    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    got = keeper.read(300)
    for thread in threads:
        thread.join(SOON)
    for number in range(3):
        mine = [frame for frame in got if frame.handle // 1000 == number]
        assert mine == [message(number * 1000 + each, bytes([number]) * 30000) for each in range(100)]


def test_who_asks_is_told_when_a_neighbour_that_did_not_read_has_caught_up(keeper: Keeper) -> None:
    drained = threading.Event()
    assert not keeper.broker.call_sync(keeper.stream.when_drained, drained.set)
    count = MAX_PENDING // MIB + 4
    for number in range(count):
        keeper.stream.send(message(number, bytes(MIB)))
    assert keeper.stream.pending_bytes > MAX_PENDING
    assert keeper.broker.call_sync(keeper.stream.when_drained, drained.set)
    assert not drained.is_set()
    assert [frame.handle for frame in keeper.read(count)] == list(range(count))
    assert drained.wait(SOON)


def test_a_neighbour_that_goes_is_told_of_once_and_what_it_said_last_is_taken(keeper: Keeper) -> None:
    keeper.neighbour.sendall(pack(message(1)))
    keeper.neighbour.close()
    assert keeper.frames.get(timeout=SOON) == message(1)
    assert keeper.end() == 'the connection was closed'


def test_a_neighbour_that_goes_in_the_middle_of_a_message_is_told_of(keeper: Keeper) -> None:
    keeper.neighbour.sendall(pack(message(1, b'x'))[:-1])
    keeper.neighbour.close()
    assert keeper.end() == 'it was cut off within a message'
    assert keeper.frames.empty()


def test_a_neighbour_that_breaks_the_protocol_is_cut_off(keeper: Keeper) -> None:
    keeper.neighbour.sendall(b'Last login: yesterday, from somewhere nice and warm')
    assert 'it broke the protocol: bad magic' in keeper.end()
    assert keeper.neighbour.recv(1) == b''
