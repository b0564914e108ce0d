"""Threads that are used again and again, so that each keeps its connection to the multiplexer."""

import os
import queue
import threading
from collections.abc import Callable


class ThreadPool:
    """As many threads as there were jobs at the same time. They never hold up the end of the process."""

    def __init__(self) -> None:
        self._idle: list[_PoolThread] = []
        # They do not exist in a forked child.
        os.register_at_fork(after_in_child=self._idle.clear)

    def run(self, job: Callable[[], None]) -> None:
        """Call `job`, which must not raise, in a thread that has nothing else to do."""
        try:
            thread = self._idle.pop()
        except IndexError:
            thread = _PoolThread(self._idle)
            thread.start()
        thread.jobs.put(job)


class _PoolThread(threading.Thread):
    def __init__(self, idle: 'list[_PoolThread]') -> None:
        super().__init__(name='mitogen-worker', daemon=True)
        self.jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle_threads = idle

    def run(self) -> None:
        while True:
            self.jobs.get()()
            self._idle_threads.append(self)
