"""Forking a process whose other threads are busy."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ForkGate:
    """Has threads stand still, at places where they hold no lock, while another one forks.

    A lock that some thread holds in the moment of a fork stays locked in the child for ever. So a thread at work has
    entered the gate. It leaves while it waits for something outside of this process, and cannot enter again while
    the gate is closed.
    """

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._one_fork = threading.Lock()
        self._at_work = 0
        self._quiet_since = time.monotonic()
        self._is_closed = False

    def enter(self) -> None:
        """Begin to work, or go on. Blocks while the gate is closed."""
        with self._changed:
            while self._is_closed:
                self._changed.wait()
            self._at_work += 1

    def leave(self) -> None:
        """Stop working: from here to the next `enter` the thread holds no lock and takes none."""
        with self._changed:
            self._at_work -= 1
            self._quiet_since = time.monotonic()
            self._changed.notify_all()

    def enter_when_quiet(self, seconds: float, is_wanted: Callable[[], bool]) -> bool:
        """Begin to work when nobody else has been at work for some time.

        :param is_wanted: whether to wait on; asked again after each change, of which :meth:`note` tells.
        :returns: whether it began. Else it is not wanted any more.
        """
        with self._changed:
            while is_wanted():
                remaining = self._quiet_since + seconds - time.monotonic()
                if self._at_work or self._is_closed:
                    self._changed.wait()
                elif remaining > 0:
                    self._changed.wait(remaining)
                else:
                    self._at_work += 1
                    return True
        return False

    def note(self) -> None:
        """Have those who wait for quiet ask again whether they are wanted."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def closed(self, patience: float) -> Iterator[bool]:
        """Keep all threads from working. The caller must not be at work itself.

        :param patience: seconds to wait for those that are at work.
        :returns: whether all of them stand still. One that does not is blocked in something that does not know of the
            gate, such as a pause.
        """
        with self._one_fork:
            try:
                with self._changed:
                    self._is_closed = True
                    is_quiet = self._changed.wait_for(lambda: not self._at_work, patience)
                yield is_quiet
            finally:
                with self._changed:
                    self._is_closed = False
                    self._changed.notify_all()
