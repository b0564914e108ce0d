"""Waking the strategy when there is something to do, instead of by the clock."""

import threading
import time
from collections import deque
from typing import Any

#: A strategy sleeps for a millisecond at a time, or a tenth of that. As it is woken for what it waits for, it may sleep
#: this many times longer, which leaves the processor to the threads that work.
_FACTOR = 10
#: But not longer than this, in seconds: there are things for which nobody wakes it.
_LONGEST = 0.01


class Arrivals:
    """The event that a result has come in, or that a worker is free."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def note(self) -> None:
        """Wake whoever sleeps, or will sleep next."""
        self._event.set()

    def sleep(self, seconds: float) -> None:
        """Sleep for about this long, or until something arrives. One thread at a time sleeps here."""
        self._event.wait(max(seconds, min(seconds * _FACTOR, _LONGEST)))
        self._event.clear()


class NotedResults(deque[Any]):
    """A strategy's queue of results, which tells of each."""

    def __init__(self, items: Any, arrivals: Arrivals) -> None:
        super().__init__(items)
        self._arrivals = arrivals

    def append(self, item: Any) -> None:
        """Add one."""
        super().append(item)
        self._arrivals.note()


class WakingTime:
    """The module `time`, for strategies."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.sleep = arrivals.sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
