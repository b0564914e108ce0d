"""Descriptors, what the broker polls, and what is printed in a child."""

import errno
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mitogen.core import (
    BasicStream,
    Broker,
    CallError,
    ChannelError,
    Error,
    IoLogger,
    Side,
    StreamError,
    TimeoutError,
    Waker,
    handles,
    io_op,
)

SOON = 20


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.shutdown()
    broker.join(SOON)
    assert not broker.thread.is_alive()


def reset_socket() -> socket.socket:
    """Return a socket whose peer has reset the connection."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        theirs.close()
    return ours


def test_io_op_tells_a_terminal_whose_slave_closed_and_a_reset_socket_as_disconnected() -> None:
    master, slave = os.openpty()
    os.write(slave, b'last')
    os.close(slave)
    assert io_op(os.read, master, 10) == (b'last', False)
    assert io_op(os.read, master, 10) == (None, True)
    os.close(master)
    with reset_socket() as ours:
        assert io_op(os.read, ours.fileno(), 10) == (None, True)
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    assert io_op(os.write, write_fd, b'x') == (None, True)
    os.close(write_fd)


def test_io_op_retries_what_a_signal_interrupted_and_raises_the_rest() -> None:
    calls: list[Any] = []

    def read(*args: Any) -> bytes:
        calls.append(args)
        if len(calls) < 3:
            raise InterruptedError(errno.EINTR, 'interrupted')
        return b'x'
    assert io_op(read, 1, 2) == (b'x', False)
    assert calls == [(1, 2)] * 3
    with pytest.raises(OSError) as caught:
        io_op(os.read, 10 ** 6, 1)
    assert caught.value.errno == errno.EBADF


def test_a_side_neither_blocks_nor_is_inherited_unless_told_and_is_closed_once() -> None:
    ours, theirs = socket.socketpair()
    side = Side(None, ours.detach())
    assert not os.get_blocking(side.fd)
    assert not os.get_inheritable(side.fd)
    assert side.read() is None
    theirs.send(b'abc')
    assert side.read(2) == b'ab'
    assert side.write(b'hello') == 5
    while side.write(bytes(1 << 20)):
        pass
    assert side.write(b'more') == 0
    theirs.close()
    assert side.write(b'x') is None
    # Reading is a disconnection, too, whether or not the system calls it a reset.
    while side.read():
        pass
    assert side.read() == b''
    side.close()
    again = os.dup(0)
    # Its number may be another file's by now.
    side.close()
    os.fstat(again)
    assert (side.read(), side.write(b'x')) == (b'', None)
    told = Side(None, again, blocking=True, cloexec=False)
    assert os.get_blocking(again)
    assert os.get_inheritable(again)
    told.close()


def test_a_stream_is_told_what_it_can_do_and_is_closed_by_default(broker: Broker) -> None:
    ours, theirs = socket.socketpair()
    seen: list[Any] = []
    arrived = threading.Event()

    class Echo(BasicStream):
        def on_receive(self, broker: Any) -> None:
            seen.append(self.receive_side.read())
            broker.start_transmit(self)

        def on_transmit(self, broker: Any) -> None:
            self.transmit_side.write(seen[-1])
            broker.stop_transmit(self)
            arrived.set()
    stream = Echo()
    stream.receive_side = stream.transmit_side = Side(stream, ours.detach())
    broker.call_sync(broker.start_receive, stream)
    theirs.settimeout(SOON)
    theirs.send(b'echo')
    assert theirs.recv(10) == b'echo'
    assert arrived.wait(SOON)
    assert stream.keeps_broker()
    broker.call_sync(stream.on_shutdown, broker)
    assert stream.receive_side.closed
    assert theirs.recv(10) == b''
    assert not stream.keeps_broker()
    theirs.close()


def test_a_waker_wakes_once_for_many_calls_and_again_afterwards() -> None:
    waker = Waker()
    for _ in range(1000):
        waker.wake()
    assert waker.receive_side.read() == b'\0'
    waker._asked = True
    waker.on_receive(None)  # type: ignore[arg-type]
    waker.wake()
    assert waker.receive_side.read() == b'\0'
    waker.close()
    waker.close()
    waker.on_receive(None)  # type: ignore[arg-type]
    waker.wake()


def test_deferred_calls_run_in_order_in_the_brokers_thread(broker: Broker) -> None:
    seen: list[Any] = []
    for number in range(1000):
        broker.defer(seen.append, number)
    assert broker.call_sync(threading.get_ident) == broker.thread.ident
    assert seen == list(range(1000))


def test_what_is_printed_becomes_log_records_a_line_each(broker: Broker) -> None:
    sent: list[Any] = []
    done = threading.Event()

    class Router:
        tree_config: dict[str, Any] = {}

        def __init__(self) -> None:
            self.broker = broker

        def send(self, dst: int, handle: int, value: Any) -> None:
            sent.append((dst, handle, value))
            if value[2] == 'end':
                done.set()
    fd = os.open(os.devnull, os.O_WRONLY)
    IoLogger(Router(), 'stdout', fd)
    os.write(fd, b'one\n\n  two \xff\nth')
    os.write(fd, b'ree\n' + b'x' * 40000)
    os.write(fd, b'\nend\n')
    assert done.wait(SOON)
    assert {(dst, handle, name, level) for dst, handle, (name, level, _) in sent} == {
        (0, handles.FORWARD_LOG, 'stdout', 20)}
    lines = [line for _, _, (_, _, line) in sent]
    assert lines[:3] == ['one', '  two \ufffd', 'three']
    # A line without end is cut, and nothing of it is lost.
    assert ''.join(lines[3:-1]) == 'x' * 40000
    assert max(map(len, lines)) <= 16384
    os.close(fd)


def test_errors_are_one_family_and_say_what_happened_elsewhere() -> None:
    for kind in (StreamError, TimeoutError, ChannelError, CallError):
        assert issubclass(kind, Error)
    error = CallError('builtins.KeyError', "'k'", 'Traceback …')
    assert (error.type_name, error.message, error.traceback) == ('builtins.KeyError', "'k'", 'Traceback …')
    assert str(error) == "builtins.KeyError: 'k'\nTraceback …"
    assert str(CallError('E', 'm')) == 'E: m'
    assert sys.exc_info() == (None, None, None)
