"""Workers in processes of their own, as ansible-core has them, forked while threads are at work."""

from collections.abc import Callable
from typing import Any

from ansible_mitogen.forkgate import ForkGate
from ansible_mitogen.workers.locks import SharedLocks
from ansible_mitogen.workers.model import Job, Worker

#: Seconds in which threads come to a place where they hold no lock, on a very busy machine too. One that does not is
#: blocked, in a command that a lookup runs perhaps, and then most likely holds none either.
_PATIENCE = 10.0

#: Seconds for each lock that a blocked thread may hold. The child gets a new one.
_LOCK_PATIENCE = 0.5


def forked_worker_maker(stock: Any, gate: ForkGate, locks: SharedLocks) -> Callable[[Job], Worker]:
    """Return what makes forked workers.

    :param stock: ansible-core's class, of which they are.
    """
    class ForkedWorker(stock):
        def start(self) -> None:
            with gate.closed(_PATIENCE), locks.all_held(_LOCK_PATIENCE):
                super().start()

    ForkedWorker.__name__ = stock.__name__

    def make(job: Job) -> Any:
        return ForkedWorker(**vars(job))

    return make
