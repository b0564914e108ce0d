"""Workers in threads of the main process."""

import contextvars
import queue
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display

from ansible_mitogen.forkgate import ForkGate
from ansible_mitogen.workers.arrivals import Arrivals
from ansible_mitogen.workers.current import current_worker, set_current_worker
from ansible_mitogen.workers.isolation import isolated
from ansible_mitogen.workers.model import Job, Worker, WorkerModel
from ansible_mitogen.workers.placement import Placement
from ansible_mitogen.workers.pool import ThreadPool
from ansible_mitogen.workers.results import ThreadQueue

display = Display()


class NeedsProcess(BaseException):
    """A task in a thread has come to something that must have a process of its own.

    Not an `Exception`: those are results of tasks.
    """


class Cancelled(BaseException):
    """The task was given up."""


class ThreadModel(WorkerModel):
    """Threads for what is safe there, forked processes for all else.

    :param placement: tells one from the other.
    :param fork: makes forked workers.
    :param run: ansible-core's method that runs the task of a worker, given the worker.
    :param arrivals: told when a worker is free.
    """

    def __init__(self, placement: Placement, fork: Callable[[Job], Worker], run: Callable[[Any], None],
                 gate: ForkGate, arrivals: Arrivals) -> None:
        self.placement = placement
        self.fork = fork
        self.run = run
        self.gate = gate
        self.arrivals = arrivals
        self.pool = ThreadPool()

    def worker_for(self, job: Job) -> Worker:
        """Return a worker for a job, not started yet."""
        reason = self.placement.reason_to_fork(job)
        if reason:
            self.note_fork(job, reason)
            return self.fork(job)
        return ThreadWorker(job, self)

    @staticmethod
    def note_fork(job: Job, reason: str) -> None:
        """Tell the user."""
        display.vvv('MITOGEN: the task runs in a process of its own: %s' % reason, host=job.host.name)


class ThreadWorker:
    """Runs a task in a thread; in a forked process after all, if the thread comes to something that needs one.

    It has what ansible-core's method wants of a worker, under the names that it has there.
    """

    def __init__(self, job: Job, model: ThreadModel) -> None:
        self._job = job
        self._model = model
        self._ended = threading.Event()
        self._exitcode: int | None = None
        self._forked: Worker | None = None
        self._cancelled = False
        self._interrupt: Callable[[], None] | None = None
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._number = job.worker_id
        #: It has asked for something outside of this process: to begin anew might do that twice.
        self.has_acted = False
        #: What plugins have printed.
        self.printed: dict[str, list[str]] = {'stdout': [], 'stderr': []}
        self.queue = ThreadQueue(job.final_q)
        own = isolated(job)
        self._final_q = self.queue
        self._task_vars = own.task_vars
        self._host = own.host
        self._task = own.task
        self._play_context = own.play_context
        self._loader = own.loader
        self._variable_manager = own.variable_manager
        self._shared_loader_obj = own.shared_loader_obj

    # What the strategy uses.

    @property
    def pid(self) -> int | None:
        """The process, if it has become one."""
        return self._forked.pid if self._forked is not None else None

    @property
    def exitcode(self) -> int | None:
        """As for a process: None while it runs, and not 0 if it died without a result."""
        return self._forked.exitcode if self._forked is not None else self._exitcode

    @property
    def worker_id(self) -> int:
        """Where the strategy finds this worker. A task that asks whatever worker for it gets that of its own."""
        return (current_worker() or self)._number

    @property
    def worker_queue(self) -> 'Answers':
        """Where answers to prompts arrive, likewise."""
        return Answers((current_worker() or self)._answers)

    def start(self) -> None:
        """Begin, in a thread."""
        # A context of its own, and an empty one: ansible-core keeps objects in there that are made for one thread.
        context = contextvars.Context()
        self._model.pool.run(lambda: context.run(self._run_in_thread))

    def is_alive(self) -> bool:
        """Whether it is not done yet."""
        return not self._ended.is_set() or (self._forked is not None and self._forked.is_alive())

    def terminate(self) -> None:
        """Give the task up. What runs on the target for it is ended."""
        self._cancelled = True
        forked, interrupt = self._forked, self._interrupt
        if forked is not None:
            forked.terminate()
        elif interrupt is not None:
            interrupt()

    def close(self) -> None:
        """Release a process that has ended."""
        if self._forked is not None:
            self._forked.close()

    # What is used in the thread itself.

    @contextmanager
    def waiting(self, interrupt: Callable[[], None] | None) -> Iterator[None]:
        """Wait for something outside of this process, holding no lock.

        :param interrupt: ends the wait, from another thread.
        :raises Cancelled: the task was given up before or meanwhile.
        """
        self.has_acted = True
        self._interrupt = interrupt
        self._model.gate.leave()
        try:
            if not self._cancelled:
                yield
        finally:
            self._model.gate.enter()
            self._interrupt = None
            if self._cancelled:
                raise Cancelled

    def ask_for_process(self, reason: str) -> None:
        """Leave the thread if the task can still be begun anew elsewhere; else stay.

        :raises NeedsProcess: it can.
        """
        if not self.has_acted and not self.queue.has_reported:
            raise NeedsProcess(reason)

    def meet_lookup(self, name: str) -> bool:
        """Take note of a lookup plugin that is not ansible-core's, and leave the thread if possible.

        :returns: whether it may run along with others. Else it must run alone.
        """
        if self._model.placement.trusts(name):
            return True
        reason = 'the lookup plugin %s is not one of ansible-core' % name
        self._model.placement.learn_task(self._job.task, reason)
        self.ask_for_process(reason)
        return False

    def _run_in_thread(self) -> None:
        model = self._model
        model.gate.enter()
        set_current_worker(self)
        reason = ''
        try:
            model.run(self)
            self._exitcode = 0
        except NeedsProcess as exc:
            reason = str(exc)
        except Cancelled:
            self._exitcode = 0
        except BaseException:
            self._exitcode = 1
            display.debug('WORKER THREAD ENDED: %s' % traceback.format_exc())
        finally:
            set_current_worker(None)
            model.gate.leave()
        try:
            if reason and not self._cancelled:
                self._go_on_in_process(reason)
        finally:
            self._ended.set()
            model.arrivals.note()

    def _go_on_in_process(self, reason: str) -> None:
        self._model.note_fork(self._job, reason)
        try:
            forked = self._model.fork(self._job)
            forked.start()
            self._forked = forked
        except OSError as exc:
            self._exitcode = 1
            display.error('No process could be forked for a task of %s: %s' % (self._job.host.name, exc))


class Answers:
    """The queue of a worker, as a prompt uses it: errors are raised there."""

    def __init__(self, answers: 'queue.SimpleQueue[Any]') -> None:
        self._answers = answers

    def put(self, answer: Any) -> None:
        """Give an answer."""
        self._answers.put(answer)

    def get(self) -> Any:
        """Wait for an answer.

        :raises AnsibleError: it is one.
        """
        answer = self._answers.get()
        if isinstance(answer, AnsibleError):
            raise answer
        return answer
