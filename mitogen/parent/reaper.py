"""Seeing children to their end, in the broker's thread."""

import os
import signal
import time
from typing import Any, Callable, Optional, Set

from mitogen.core.log import Logger
from mitogen.core.sides import BasicStream

LOG = Logger('mitogen.reaper')

#: Seconds that a child gets to end by itself when its stream is gone. More than a context gives its own children: who
#: was told that an account's processes are gone may want to remove the account.
END_GRACE = 1.5

#: Seconds that it gets when it was sent SIGTERM.
KILL_GRACE = 0.5

#: Longest pause between two looks at a child, in seconds.
MAX_PAUSE = 0.05

#: Children that have not been reaped.
_living: Set[int] = set()


def add_child(pid: int) -> None:
    """Note a child, so that :func:`end_children` ends it if nobody else does."""
    _living.add(pid)


def forget_children() -> None:
    """Forget all children, in a fork: they are not its own."""
    _living.clear()


def living_children() -> Set[int]:
    """Return the process IDs of the children that were started here and have not ended yet."""
    return set(_living)


def end_children() -> None:
    """Kill all children with what they started, for a process that ends at once."""
    for pid in living_children():
        signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the process group that child `pid` leads, if there still is one."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # It has ended and is about to be reaped; or it has become another account's, and only a closed stream ends it.
        pass


def has_ended(pid: int) -> bool:
    """Return whether child `pid` has ended, without reaping it."""
    try:
        return bool(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    except ChildProcessError:
        return True


def reap(pid: int) -> Optional[int]:
    """Reap child `pid`, which has ended, and kill what is left of its group; return its raw exit status."""
    # First: as long as it is not reaped, nobody else can get its number.
    signal_group(pid, signal.SIGKILL)
    _living.discard(pid)
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        LOG.debug('child %d was reaped by someone else', pid)
        return None


def exit_reason(status: Optional[int]) -> str:
    """Return what a raw exit status means, for people."""
    if status is None:
        return 'it ended'
    if os.WIFSIGNALED(status):
        return 'it was killed by signal %d' % os.WTERMSIG(status)
    return 'it ended with exit status %d' % os.WEXITSTATUS(status)


class Reaper(BasicStream):
    """Reap a child. If it does not end within :data:`END_GRACE`, it is ended. Broker thread only.

    A broker that shuts down waits for this, too.

    :param pid: the child, which leads a process group.
    :param grace: seconds that it gets to end by itself.
    :param on_end: called, when it has been reaped, with its raw exit status.
    """

    def __init__(self, broker: Any, pid: int, grace: float = END_GRACE,
                 on_end: Optional[Callable[[Optional[int]], None]] = None) -> None:
        self._broker = broker
        self._pid = pid
        self._on_end = on_end
        self._pause = 0.001
        self._signals = [signal.SIGKILL, signal.SIGTERM]
        self._next_signal = time.monotonic() + grace
        broker.hold(self)
        self._look()

    def __repr__(self) -> str:
        return '<Reaper of %d>' % self._pid

    def keeps_broker(self) -> bool:
        return self._pid != 0

    def on_shutdown(self, broker: Any) -> None:
        """Go on."""

    def on_disconnect(self, broker: Any) -> None:
        """The broker waits no longer."""
        if self._pid:
            signal_group(self._pid, signal.SIGKILL)

    def _look(self) -> None:
        if has_ended(self._pid):
            status = reap(self._pid)
            self._pid = 0
            self._broker.forget(self)
            if self._on_end is not None:
                self._on_end(status)
            return
        if self._signals and time.monotonic() >= self._next_signal:
            signal_group(self._pid, self._signals.pop())
            self._next_signal = time.monotonic() + KILL_GRACE
            self._pause = 0.001
        self._broker.call_later(self._pause, self._look)
        self._pause = min(self._pause * 2, MAX_PAUSE)
