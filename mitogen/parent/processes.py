"""Learning that children ended, and ending them."""

import collections
import errno
import logging
import os
import select
import signal
import threading
import time
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

LOG = logging.getLogger(__name__)

#: What a callback is given for a child that someone else reaped: exit code 255.
UNKNOWN_STATUS = 255 << 8

#: Longest pause between two looks at a child where the system cannot wait with a deadline, in seconds.
MAX_PAUSE = 0.05

ExitCallback = Callable[[int], None]


class ProcessMonitor:
    """Call back when children end.

    Made in the main thread, it handles SIGCHLD, and hands each signal on to
    the handler that was there before. Made in another thread, or when some
    other code has replaced its handler, it waits for each child in a thread
    instead. It reaps only the children that were added to it.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._callbacks: Dict[int, ExitCallback] = {}
        #: Those of the children that a thread waits for: a signal that arrives all the same shall not reap them.
        self._waited: Dict[int, ExitCallback] = {}
        #: What to look at: a process ID, or None for all. Appending to it is atomic.
        self._requests: Deque[Optional[int]] = collections.deque()
        #: Never waited for: the signal handler may interrupt its owner.
        self._lock = threading.Lock()
        try:
            self._previous: Any = signal.signal(signal.SIGCHLD, self._on_sigchld)
        except ValueError:  # not in the main thread
            self._previous = None

    def add(self, pid: int, callback: ExitCallback) -> None:
        """Call `callback` once with the raw exit status (as of :func:`os.waitpid`) when `pid` ends.

        It is called also if the child has ended already. It runs in the main
        thread between any two instructions, in the calling thread or in one
        of the monitor's: it must not block nor take a lock that is held
        elsewhere while children are added.

        :param pid: a child of this process that nobody else waits for.
        """
        if signal.getsignal(signal.SIGCHLD) == self._on_sigchld:
            self._callbacks[pid] = callback
            self._look(pid)
        else:
            self._waited[pid] = callback
            threading.Thread(target=self._wait, args=(pid,), name='mitogen-wait-%d' % pid, daemon=True).start()

    def close(self) -> None:
        """Forget all children, and put back the previous signal handler (main thread only)."""
        self._callbacks.clear()
        self._waited.clear()
        if signal.getsignal(signal.SIGCHLD) == self._on_sigchld:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL if self._previous is None else self._previous)

    def _on_sigchld(self, signum: int, frame: Any) -> None:
        # A fork of this process inherits the handler, but these are not its children.
        if os.getpid() == self._pid:
            self._look(None)
        if callable(self._previous):
            self._previous(signum, frame)

    def _look(self, pid: Optional[int]) -> None:
        """Reap what has ended of `pid`, or of all if None, and call back."""
        self._requests.append(pid)
        # Whoever finds the lock taken leaves the request to the owner, who looks for requests again after releasing.
        while self._requests and self._lock.acquire(False):
            try:
                ended = self._collect()
            finally:
                self._lock.release()
            for callback, status in ended:
                _call(callback, status)

    def _collect(self) -> List[Tuple[ExitCallback, int]]:
        ended = []
        while self._requests:
            request = self._requests.popleft()
            for pid in (list(self._callbacks) if request is None else [request]):
                status = _reap(pid, os.WNOHANG)
                if status is not None:
                    callback = self._callbacks.pop(pid, None)
                    if callback:
                        ended.append((callback, status))
        return ended

    def _wait(self, pid: int) -> None:
        status = _reap(pid, 0)
        callback = self._waited.pop(pid, None)
        if callback and status is not None:
            _call(callback, status)


def _reap(pid: int, options: int) -> Optional[int]:
    """Return the exit status of `pid`, or None while it runs."""
    try:
        ended, status = os.waitpid(pid, options)
    except ChildProcessError:
        LOG.debug('child %d was reaped by someone else: its exit status is unknown', pid)
        return UNKNOWN_STATUS
    return status if ended else None


def _call(callback: ExitCallback, status: int) -> None:
    try:
        callback(status)
    except Exception:
        LOG.exception('callback %r for the end of a child failed', callback)


def wait_ended(pid: int, seconds: float) -> bool:
    """Wait until child `pid` has ended, without reaping it; return whether it has."""
    deadline = time.monotonic() + seconds
    try:
        fd = os.pidfd_open(pid)  # type: ignore[attr-defined, unused-ignore]
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):
        return _poll_ended(pid, deadline)
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(max(0, seconds) * 1000))
    finally:
        os.close(fd)


def _poll_ended(pid: int, deadline: float) -> bool:
    """Do the work of :func:`wait_ended` where there is no pidfd."""
    pause = 0.001
    while True:
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
        except OSError as exc:
            if exc.errno != errno.ECHILD:
                raise
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, MAX_PAUSE)


def terminate_group(pid: int, grace: float) -> bool:
    """End the process group that child `pid` leads; return whether the child obeyed.

    The group gets SIGTERM. As soon as the child itself has ended, or after
    `grace` seconds, what is left of the group gets SIGKILL. The child is not
    reaped. Blocks for up to `grace` seconds.
    """
    try:
        os.killpg(pid, signal.SIGTERM)
        obeyed = wait_ended(pid, grace)
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # No process is left in the group; or, on BSD, only dead ones.
        return True
    return obeyed
