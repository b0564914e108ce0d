"""Learning that the process which the multiplexer serves has ended, however it did."""

import errno
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from mitogen.core.sides import BasicStream, Side

#: Seconds between looks at the owner where the system cannot tell.
POLL = 1.0


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except OSError as exc:
        return exc.errno == errno.EPERM
    return True


class _ExitStream(BasicStream):
    """A descriptor that becomes readable when a process has ended."""

    def __init__(self, fd: int, ended: Callable[[], None]) -> None:
        self._ended = ended
        self.receive_side = Side(self, fd, keep_alive=False)

    def on_receive(self, broker: Any) -> None:
        self.on_disconnect(broker)
        self._ended()


def _exit_fd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends; None where there is no such thing.

    :raises ProcessLookupError: it has ended.
    """
    if hasattr(os, 'pidfd_open'):
        try:
            return os.pidfd_open(pid)
        except ProcessLookupError:
            raise
        except OSError:
            # An old kernel, or a sandbox that does not allow it.
            return None
    if sys.platform != 'linux' and hasattr(select, 'kqueue'):
        queue = select.kqueue()
        exits = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue.control([exits], 0)
        # A copy: the queue object closes its own descriptor when it is collected.
        fd = os.dup(queue.fileno())
        queue.close()
        return fd
    return None


def watch_owner(broker: Any, pid: int, ended: Callable[[], None]) -> None:
    """Call `ended` once, in the broker's thread, when the process has ended. Broker thread only."""
    try:
        fd = _exit_fd(pid)
    except ProcessLookupError:
        ended()
        return
    if fd is not None:
        broker.start_receive(_ExitStream(fd, ended))
        return

    def look() -> None:
        if is_alive(pid):
            broker.call_later(POLL, look)
        else:
            ended()
    look()
