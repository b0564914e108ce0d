"""Work for the time in which all tasks wait."""

import threading
from collections import deque
from collections.abc import Callable, Iterable

from ansible_mitogen.forkgate import ForkGate

#: Seconds that nobody must have been at work for. The main thread takes less to handle a result and to begin a task,
#: and is not to be disturbed then.
_QUIET = 0.01


class IdleThread:
    """A thread that does one job after the other, and begins none while a task is at work.

    :param gate: where tasks come and go.
    """

    def __init__(self, gate: ForkGate) -> None:
        self._gate = gate
        self._lock = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._is_running = False

    def add(self, jobs: Iterable[Callable[[], None]]) -> None:
        """Have these done, too. They must not raise."""
        with self._lock:
            self._jobs.extend(jobs)
            if self._jobs and not self._is_running:
                self._is_running = True
                self._thread = threading.Thread(target=self._run, name='mitogen-idle', daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Forget what has not been begun, and wait for the end of what has."""
        with self._lock:
            self._jobs.clear()
            thread = self._thread
        if thread is not None:
            self._gate.note()
            thread.join()

    def _run(self) -> None:
        while self._gate.enter_when_quiet(_QUIET, self._has_jobs):
            try:
                with self._lock:
                    job = self._jobs.popleft() if self._jobs else None
                if job is not None:
                    job()
            finally:
                self._gate.leave()

    def _has_jobs(self) -> bool:
        with self._lock:
            self._is_running = bool(self._jobs)
            return self._is_running
