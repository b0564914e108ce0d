"""Blocking reads and writes with a deadline, on real descriptors."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import termios
import threading
import time

import pytest

from mitogen.core.errors import StreamError, TimeoutError
from mitogen.parent.pipes import iter_read, read_any, write_all


class Pipe:
    """A pipe whose ends are closed at the end of the test."""

    def __init__(self):
        self.read_fd, self.write_fd = os.pipe()
        self._open = {self.read_fd, self.write_fd}

    def close(self, fd):
        self._open.remove(fd)
        os.close(fd)

    def close_all(self):
        for fd in list(self._open):
            self.close(fd)


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close_all()


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    pair = Pipe.__new__(Pipe)
    pair.read_fd, pair.write_fd = master, slave
    pair._open = {master, slave}
    yield pair
    pair.close_all()


@contextlib.contextmanager
def elapsed_within(low, high):
    started = time.monotonic()
    yield
    assert low <= time.monotonic() - started <= high


def soon(seconds=0.1):
    return time.time() + seconds


def reset_connection(reader):
    """Return a connected TCP socket whose peer has sent a reset."""
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(1)
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    if reader:
        ours.sendall(b'unread')
        # Wait until it has arrived: closing with unread data sends a reset.
        theirs.recv(1, socket.MSG_PEEK)
    else:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    theirs.close()
    listener.close()
    return ours


# iter_read


def test_iter_read_yields_what_is_there(pipe):
    os.write(pipe.write_fd, b'hello')
    assert next(iter_read(pipe.read_fd)) == b'hello'


def test_iter_read_yields_at_most_4096_bytes_at_a_time(pipe):
    os.write(pipe.write_fd, b'x' * 10000)
    reader = iter_read(pipe.read_fd, soon(5))
    assert [len(next(reader)) for _ in range(3)] == [4096, 4096, 1808]


def test_iter_read_raises_stream_error_at_end_of_file(pipe):
    os.write(pipe.write_fd, b'last')
    pipe.close(pipe.write_fd)
    reader = iter_read(pipe.read_fd, soon(5))
    assert next(reader) == b'last'
    with pytest.raises(StreamError):
        next(reader)


def test_iter_read_raises_timeout_error_at_its_deadline(pipe):
    with elapsed_within(0.09, 1), pytest.raises(TimeoutError):
        next(iter_read(pipe.read_fd, soon(0.1)))


def test_iter_read_past_its_deadline_does_not_wait(pipe):
    with elapsed_within(0, 0.5), pytest.raises(TimeoutError):
        next(iter_read(pipe.read_fd, time.time() - 10))


def test_iter_read_of_an_endless_writer_stops_at_the_deadline():
    with open('/dev/zero', 'rb') as zero, elapsed_within(0.09, 1), pytest.raises(TimeoutError):
        for chunk in iter_read(zero.fileno(), soon(0.1)):
            assert len(chunk) == 4096


def test_iter_read_follows_a_slow_writer():
    script = 'for i in 1 2 3; do printf $i; sleep 0.1; done'
    with subprocess.Popen(['sh', '-c', script], stdout=subprocess.PIPE, bufsize=0) as process:
        received = []
        with pytest.raises(StreamError):
            for chunk in iter_read(process.stdout.fileno(), soon(10)):
                received.append(chunk)
    assert received == [b'1', b'2', b'3']


def test_iter_read_with_a_writer_slower_than_the_deadline_keeps_what_came():
    with subprocess.Popen(['sh', '-c', 'printf early; exec sleep 30'], stdout=subprocess.PIPE) as process:
        received = []
        with pytest.raises(TimeoutError):
            for chunk in iter_read(process.stdout.fileno(), soon(0.5)):
                received.append(chunk)
        process.kill()
    assert b''.join(received) == b'early'


@pytest.mark.parametrize('blocking', [True, False])
def test_iter_read_leaves_the_blocking_mode_alone(pipe, blocking):
    os.set_blocking(pipe.read_fd, blocking)
    threading.Timer(0.05, os.write, (pipe.write_fd, b'x')).start()
    reader = iter_read(pipe.read_fd, soon(5))
    assert next(reader) == b'x'
    assert os.get_blocking(pipe.read_fd) is blocking
    reader.close()
    os.fstat(pipe.read_fd)


def test_iter_read_takes_a_terminal_whose_slave_closed_as_end_of_file(terminal):
    os.write(terminal.write_fd, b'bye')
    terminal.close(terminal.write_fd)
    received = []
    with pytest.raises(StreamError):
        for chunk in iter_read(terminal.read_fd, soon(5)):
            received.append(chunk)
    assert b''.join(received) == b'bye'


def test_iter_read_takes_a_reset_socket_as_end_of_file():
    with reset_connection(reader=True) as ours, pytest.raises(StreamError):
        next(iter_read(ours.fileno(), soon(5)))


def test_descriptors_over_1023_work():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip('only %d descriptors are allowed' % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    low = os.pipe()
    high = [1500, 1501]
    os.dup2(low[0], high[0])
    os.dup2(low[1], high[1])
    try:
        write_all(1501, b'high', soon(5))
        assert next(iter_read(1500, soon(5))) == b'high'
    finally:
        for fd in [*low, *high]:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_bad_descriptor_is_an_error_and_not_the_end_of_a_stream(pipe):
    pipe.close(pipe.write_fd)
    with pytest.raises(OSError):
        next(iter_read(pipe.write_fd, soon(5)))


# read_any


def test_read_any_tells_which_descriptor_said_what():
    first, second = Pipe(), Pipe()
    try:
        os.write(second.write_fd, b'two')
        reader = read_any([first.read_fd, second.read_fd], soon(5))
        assert next(reader) == (second.read_fd, b'two')
        os.write(first.write_fd, b'one')
        assert next(reader) == (first.read_fd, b'one')
    finally:
        first.close_all()
        second.close_all()


def test_read_any_reports_each_end_once_and_ends_with_the_last():
    first, second = Pipe(), Pipe()
    try:
        first.close(first.write_fd)
        reader = read_any([first.read_fd, second.read_fd], soon(5))
        assert next(reader) == (first.read_fd, b'')
        os.write(second.write_fd, b'still here')
        second.close(second.write_fd)
        assert list(reader) == [(second.read_fd, b'still here'), (second.read_fd, b'')]
    finally:
        first.close_all()
        second.close_all()


def test_read_any_raises_timeout_error_when_all_are_silent(pipe, terminal):
    with elapsed_within(0.09, 1), pytest.raises(TimeoutError):
        next(read_any([pipe.read_fd, terminal.read_fd], soon(0.1)))


def test_read_any_of_nothing_is_empty():
    assert list(read_any([])) == []


# write_all


def test_write_all_to_a_slow_reader_writes_everything(pipe):
    text = os.urandom(1 << 20)
    received = []

    def read_slowly():
        for chunk in iter(lambda: os.read(pipe.read_fd, 1 << 16), b''):
            received.append(chunk)
            time.sleep(0.002)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    write_all(pipe.write_fd, text, soon(20))
    pipe.close(pipe.write_fd)
    reader.join(20)
    assert b''.join(received) == text


@pytest.mark.parametrize('blocking', [True, False])
def test_write_all_to_a_full_pipe_raises_timeout_error_at_its_deadline(pipe, blocking):
    os.set_blocking(pipe.write_fd, blocking)
    with elapsed_within(0.09, 1), pytest.raises(TimeoutError):
        write_all(pipe.write_fd, b'x' * (1 << 20), soon(0.1))
    assert os.get_blocking(pipe.write_fd) is blocking


def test_write_all_to_an_empty_pipe_past_its_deadline_raises_timeout_error(pipe):
    with pytest.raises(TimeoutError):
        write_all(pipe.write_fd, b'x', time.time() - 1)


def test_write_all_of_nothing_returns(pipe):
    write_all(pipe.write_fd, b'', time.time() - 1)


def test_write_all_to_a_closed_pipe_raises_stream_error(pipe):
    pipe.close(pipe.read_fd)
    with pytest.raises(StreamError):
        write_all(pipe.write_fd, b'x', soon(5))


def test_write_all_to_a_peer_that_closes_half_way_raises_stream_error():
    ours, theirs = socket.socketpair()
    with ours:
        threading.Timer(0.1, theirs.close).start()
        with elapsed_within(0.05, 5), pytest.raises(StreamError):
            write_all(ours.fileno(), b'x' * (1 << 22), soon(10))


def test_write_all_to_a_reset_socket_raises_stream_error():
    with reset_connection(reader=False) as ours, pytest.raises(StreamError):
        write_all(ours.fileno(), b'x', soon(5))


def test_write_all_to_a_terminal_that_nobody_reads_raises_timeout_error(terminal):
    with elapsed_within(0.09, 1), pytest.raises(TimeoutError):
        write_all(terminal.read_fd, b'x' * (1 << 20), soon(0.1))


def test_signals_do_not_disturb_a_wait():
    script = '''
import os, signal, time
from mitogen.parent.pipes import iter_read
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
print(next(iter_read(0, time.time() + 20)))
'''
    with subprocess.Popen([sys.executable, '-c', script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        time.sleep(0.3)
        out, _ = process.communicate(b'through', timeout=20)
    assert out == b"b'through'\n"
