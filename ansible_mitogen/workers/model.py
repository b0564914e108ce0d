"""What a strategy needs of whoever runs its tasks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol


class Worker(Protocol):
    """Runs one task for one host. To a strategy it looks like the process that ansible-core makes for that."""

    @property
    def pid(self) -> int | None:
        """The process that signals are passed on to, None if it is this one."""

    @property
    def exitcode(self) -> int | None:
        """None while it runs, 0 if it has sent a result; anything else ends the run."""

    def start(self) -> None:
        """Begin."""

    def is_alive(self) -> bool:
        """Whether it is not done yet."""

    def terminate(self) -> None:
        """Give the task up."""

    def close(self) -> None:
        """Release what is left of it. It is done."""


@dataclass(frozen=True)
class Job:
    """A task for a host: what ansible-core gives to a worker, by the same names."""

    final_q: Any
    task_vars: dict[str, Any]
    host: Any
    task: Any
    play_context: Any
    loader: Any
    variable_manager: Any
    shared_loader_obj: Any
    worker_id: int
    cliargs: Any


class WorkerModel(ABC):
    """Decides what kind of worker each task gets, and makes it."""

    @abstractmethod
    def worker_for(self, job: Job) -> Worker:
        """Return a worker, not started yet. Called in the main thread."""
