"""The way of results, callbacks and messages from a task in a thread to the strategy."""

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any

from ansible.executor.task_queue_manager import FinalQueue

from ansible_mitogen.workers.current import current_worker
from ansible_mitogen.workers.isolation import snapshot

#: What threads have sent and the strategy has not taken yet.
_parcels: deque[Any] = deque()


def collect() -> Any:
    """Return the next thing that a thread has sent."""
    return _parcels.popleft()


class _Ticket:
    """Goes through the strategy's queue in place of an object: read there, it becomes the oldest parcel.

    So all comes in the order in which it was sent, also between threads and forked processes.
    """

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return collect, ()


_TICKET = _Ticket()


class ThreadQueue(FinalQueue):
    """The end of the strategy's queue that a task in a thread writes to. Objects are handed over as they are.

    Its methods are those of ansible-core's queue; only what they all come down to is another.

    :param final_q: the strategy's queue.
    """

    def __init__(self, final_q: Any) -> None:
        # Without the initialiser of the base, which opens a pipe.
        self._final_q = final_q
        #: Something about the task has been reported: it cannot begin anew without reporting that twice.
        self.has_reported = False

    def put(self, item: Any) -> None:
        """Send an object. What the task does to it afterwards is not seen by the receiver."""
        if dataclasses.is_dataclass(item):
            item = _sealed(item)
            self.has_reported = True
        _parcels.append(item)
        self._final_q.put(_TICKET)


def _sealed(item: Any) -> Any:
    """Return a copy of a result, or of the callback that carries one."""
    return dataclasses.replace(item, **{
        field.name: _sealed(value) if field.name == 'wire_task_result' else snapshot(value)
        for field in dataclasses.fields(item) for value in [getattr(item, field.name)]})


class ThreadOutput:
    """What `Display` sends messages to: for tasks in threads their queue, and nothing for all other threads."""

    def __bool__(self) -> bool:
        return current_worker() is not None

    def __getattr__(self, name: str) -> Any:
        worker = current_worker()
        if worker is None:
            raise AttributeError(name)
        return getattr(worker.queue, name)
