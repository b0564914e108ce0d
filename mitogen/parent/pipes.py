"""Blocking reads and writes with a deadline, for the time before a descriptor belongs to the broker."""

import math
import os
import select
import time
from typing import Iterable, Iterator, Optional, Tuple

from mitogen.core.errors import StreamError, TimeoutError
from mitogen.core.sides import io_op

#: Largest chunk that the readers return, in bytes.
CHUNK_SIZE = 4096


def _milliseconds_left(deadline: Optional[float]) -> Optional[int]:
    """Return what :meth:`select.poll.poll` takes for `deadline`.

    :raises TimeoutError: it has passed.
    """
    if deadline is None:
        return None
    left = deadline - time.time()
    if left <= 0:
        raise TimeoutError('the deadline passed')
    # Rounded up: rounding down would spin through the last millisecond.
    return math.ceil(left * 1000)


def read_any(fds: Iterable[int], deadline: Optional[float] = None) -> Iterator[Tuple[int, bytes]]:
    """Yield ``(fd, chunk)`` for whatever arrives on any of `fds`, up to 4096 bytes at a time.

    A descriptor that reached its end, or whose peer went away, is reported
    once with an empty chunk and left alone from then on. The generator ends
    when all of them have. The descriptors may be blocking or not, and are
    neither changed nor closed.

    :param deadline: absolute UNIX time.
    :raises TimeoutError: `deadline` passed, even if more could be read.
    """
    # poll() and not select(), which cannot watch descriptors over 1023.
    poller = select.poll()
    waiting = set(fds)
    for fd in waiting:
        poller.register(fd, select.POLLIN)
    while waiting:
        for fd, _ in poller.poll(_milliseconds_left(deadline)):
            try:
                chunk, disconnected = io_op(os.read, fd, CHUNK_SIZE)
            except BlockingIOError:
                continue
            if disconnected or not chunk:
                poller.unregister(fd)
                waiting.discard(fd)
                chunk = b''
            yield fd, chunk
            _milliseconds_left(deadline)


def iter_read(fd: int, deadline: Optional[float] = None) -> Iterator[bytes]:
    """Yield what can be read from `fd`, in chunks of up to 4096 bytes.

    The descriptor may be blocking or not, and is neither changed nor closed.

    :param deadline: absolute UNIX time.
    :raises TimeoutError: `deadline` passed, even if more could be read.
    :raises StreamError: end of file, or the peer went away.
    """
    for _, chunk in read_any([fd], deadline):
        if chunk:
            yield chunk
    raise StreamError('end of file on descriptor %d' % fd)


def write_all(fd: int, s: bytes, deadline: Optional[float] = None) -> None:
    """Write all of `s` to `fd`.

    The descriptor may be blocking or not, is left so, and is not closed.

    :param deadline: absolute UNIX time.
    :raises TimeoutError: `deadline` passed before all was written.
    :raises StreamError: the peer went away.
    """
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    # A blocking descriptor that polls as writable still blocks when given more than it has room for.
    was_blocking = os.get_blocking(fd)
    if was_blocking:
        os.set_blocking(fd, False)
    try:
        rest = memoryview(s)
        while rest:
            poller.poll(_milliseconds_left(deadline))
            try:
                written, disconnected = io_op(os.write, fd, rest)
            except BlockingIOError:
                continue
            if disconnected:
                raise StreamError('the peer of descriptor %d closed it' % fd)
            rest = rest[written:]
    finally:
        if was_blocking:
            os.set_blocking(fd, True)
