"""Which worker the running thread belongs to."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_mitogen.workers.threads import ThreadWorker


class _Current(threading.local):
    worker: 'ThreadWorker | None' = None


_current = _Current()


def current_worker() -> 'ThreadWorker | None':
    """Return the worker of this thread, None in the main thread and in other threads that run no task."""
    return _current.worker


def set_current_worker(worker: 'ThreadWorker | None') -> None:
    """Say whose this thread is from now on."""
    _current.worker = worker
