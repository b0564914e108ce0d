"""What turns a stock strategy into one of ours."""

from typing import Any

from ansible_mitogen import hooks
from ansible_mitogen.hooks.warm_up import prepare_task


class MitogenStrategy:
    """Mixin over a stock strategy: installs the hooks when the first play begins."""

    def __init__(self, tqm: Any) -> None:
        forks = getattr(tqm, '_forks', 0) or 5
        hooks.install(forks)
        super().__init__(tqm)  # type: ignore[call-arg]
        add_slots(getattr(tqm, '_workers', None), forks)

    def _queue_task(self, host: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        prepare_task(task)
        return super()._queue_task(host, task, *args, **kwargs)  # type: ignore[misc]


def add_slots(workers: object, forks: int) -> None:
    """Let a worker start while the one before it, which has sent its result already, still exits.

    A play has a slot for each host, or `forks` of them if that is less. With few hosts, each task would wait until the
    process of the task before it is gone.

    :param workers: the list of slots, which is extended.
    :param forks: how many workers the user allows.
    """
    if isinstance(workers, list):
        workers.extend([None] * min(len(workers), forks - len(workers)))
