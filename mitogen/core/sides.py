"""File descriptors as the broker sees them."""

import errno
import os
from typing import Any, Callable, Optional, Tuple

#: Bytes read from a descriptor at a time.
CHUNK_SIZE = 131072

#: What a gone peer looks like: EIO from a TTY, the others from sockets and pipes.
_DISCONNECTED = (errno.EIO, errno.ECONNRESET, errno.EPIPE)


def io_op(func: Callable[..., Any], *args: Any) -> Tuple[Any, bool]:
    """Run an I/O call, and tell disconnection from error.

    EINTR is retried, also where a signal handler raises it.

    :returns: (result, False), or (None, True) when the other end is gone:
        EIO from a TTY, ECONNRESET from a socket, EPIPE from either.
    :raises OSError: any other error.
    """
    while True:
        try:
            return func(*args), False
        except InterruptedError:
            continue
        except OSError as exc:
            if exc.errno in _DISCONNECTED:
                return None, True
            raise


class Side:
    """One end of a stream: a descriptor, closed once.

    :param stream: the owner, a :class:`BasicStream`.
    :param fd: the descriptor.
    :param keep_alive: whether the broker waits for this side when it shuts down.
    :param blocking: leave the descriptor blocking.
    :param cloexec: close the descriptor in programs that this process starts.
    """

    def __init__(self, stream: Any, fd: int, keep_alive: bool = True,
                 blocking: bool = False, cloexec: bool = True) -> None:
        self.stream = stream
        self.fd = fd
        self.closed = False
        self.keep_alive = keep_alive
        os.set_blocking(fd, blocking)
        os.set_inheritable(fd, not cloexec)

    def __repr__(self) -> str:
        return '<Side of %r fd %s>' % (self.stream, 'closed' if self.closed else self.fd)

    def fileno(self) -> int:
        """The descriptor, for selectors."""
        return self.fd

    def read(self, size: int = CHUNK_SIZE) -> Optional[bytes]:
        """Return up to `size` bytes; b'' when the other end is gone, None when there is nothing yet."""
        if self.closed:
            return b''
        try:
            return os.read(self.fd, size)
        except BlockingIOError:
            return None
        except OSError as exc:
            if exc.errno in _DISCONNECTED:
                return b''
            raise

    def write(self, data: Any) -> Optional[int]:
        """Write what fits now; return how many bytes that was, None when the other end is gone."""
        if self.closed:
            return None
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            if exc.errno in _DISCONNECTED:
                return None
            raise

    def close(self) -> None:
        """Close the descriptor, once."""
        if not self.closed:
            self.closed = True
            os.close(self.fd)


class BasicStream:
    """What the broker can poll: at most one side to read, one to write."""

    #: The :class:`Side` to poll for reading and the one for writing, or None.
    receive_side: Any = None
    transmit_side: Any = None

    def sides(self) -> Any:
        """The sides that there are."""
        return {side for side in (self.receive_side, self.transmit_side) if side is not None}

    def keeps_broker(self) -> bool:
        """Whether a broker that shuts down waits for this stream."""
        return any(side.keep_alive and not side.closed for side in self.sides())

    def on_receive(self, broker: Any) -> None:
        """The receive side is readable."""

    def on_transmit(self, broker: Any) -> None:
        """The transmit side is writable."""

    def on_shutdown(self, broker: Any) -> None:
        """The broker begins to shut down: finish, then disconnect. By default at once."""
        self.on_disconnect(broker)

    def on_disconnect(self, broker: Any) -> None:
        """Stop polling and close both sides."""
        broker.forget(self)
        for side in self.sides():
            side.close()
