"""Tasks run in threads of the main process instead of forked ones."""

import functools
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ansible.executor import task_executor
from ansible.executor.process import worker as stock_worker
from ansible.executor.task_queue_manager import FinalQueue
from ansible.inventory.manager import InventoryManager
from ansible.plugins import loader
from ansible.plugins import strategy as stock_strategy
from ansible.plugins.strategy import free as free_strategy
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager

from ansible_mitogen import link
from ansible_mitogen.forkgate import ForkGate
from ansible_mitogen.hooks.base import Hook, parameters_of, reason_in_names

display = Display()

_STOCK: Any = stock_worker.WorkerProcess

#: Before 2.19 templates are filled in in place.
_FIRST_VERSION = (2, 19)

_PARAMETERS = ['final_q', 'task_vars', 'host', 'task', 'play_context', 'loader', 'variable_manager',
               'shared_loader_obj', 'worker_id', 'cliargs']

#: All that the method which runs a task has ever used. One that uses more may do what is not good in a thread.
_NAMES_IN_RUN = frozenset([
    'AnsibleError', 'Exception', 'Host', 'Task', 'TaskExecutor', 'UnifiedTaskResult', '_RawTaskResult',
    '_error_utils', '_final_q', '_host', '_loader', '_play_context', '_shared_loader_obj', '_task', '_task_vars',
    '_uuid', '_variable_manager', 'create_from_action_exception', 'current_worker', 'dict', 'display',
    'dump_attrs', 'finalize_registered_values', 'getvalue', 'groups', 'ignore_errors', 'ignore_unreachable',
    'indent', 'name', 'result_dict_from_exception', 'run', 'send_task_result', 'squash', 'stderr', 'stdout',
    'sys', 'textwrap', 'vars', 'warning'])

#: Methods that one thread at a time may be in, by lock, with their first parameters.
_GUARDED: tuple[tuple[str, type, str, list[str]], ...] = (
    ('loading', loader.PluginLoader, 'get_with_context', ['self', 'name']),
    ('loading', loader.PluginLoader, 'find_plugin_with_context', ['self', 'name']),
    ('loading', loader.PluginLoader, '_load_module_source', ['self']),
    ('loading', loader.Jinja2Loader, 'get_with_context', ['self', 'name']),
    ('serial', VariableManager, 'get_vars', ['self']),
    ('serial', VariableManager, 'clear_facts', ['self', 'hostname']),
    ('serial', VariableManager, 'set_host_facts', ['self', 'host', 'facts']),
    ('serial', VariableManager, 'set_nonpersistent_facts', ['self', 'host', 'facts']),
    ('serial', VariableManager, 'set_host_variable', ['self', 'host', 'varname', 'value']),
    ('serial', InventoryManager, 'add_dynamic_host', ['self']),
    ('serial', InventoryManager, 'add_dynamic_group', ['self']),
    ('serial', InventoryManager, 'refresh_inventory', ['self']),
)


class WorkerThreads(Hook):
    """Gives strategies workers in threads, for tasks that are safe there. From ansible-core 2.19 on.

    A task that is not, or turns out not to be, runs in a forked process, as ever.
    """

    name = 'threads'
    replaces = 'ansible.plugins.strategy.WorkerProcess'
    loss = 'each task of each host is a forked process'

    #: Where threads come and go, once it is installed; None if tasks run in forked processes.
    gate: ForkGate | None = None

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        if not _is_wanted():
            return ''
        is_stock = getattr(stock_strategy, 'WorkerProcess', None) is _STOCK and hasattr(_STOCK, '_run')
        if not is_stock:
            return '%s is not there, or another' % self.replaces
        found = parameters_of(_STOCK)
        if found != _PARAMETERS:
            return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        in_run = reason_in_names(self.replaces + '._run', _STOCK._run, _NAMES_IN_RUN)
        return in_run or _unfit_context() or _unfit_methods() or _unfit_objects()

    def install(self, forks: int) -> None:
        """Put the model of workers in the place of ansible-core's class, and make shared code safe for threads."""
        if _is_wanted():
            self.gate = _install()
        else:
            display.vvv('MITOGEN: tasks run in forked processes: %s' % _why_not_wanted())


def _why_not_wanted() -> str:
    if tuple(int(part) for part in ansible_version.split('.')[:2]) < _FIRST_VERSION:
        return 'ansible-core %s cannot run them in threads' % ansible_version
    if os.environ.get('MITOGEN_WORKERS') == 'fork':
        return 'MITOGEN_WORKERS is fork'
    return ''


def _is_wanted() -> bool:
    return not _why_not_wanted()


def _unfit_context() -> str:
    context = getattr(getattr(stock_worker, '_task', None), 'TaskContext', None)
    if context is None:
        return 'there is no TaskContext'
    maker, wanted = (context.create, ['task', 'task_vars', 'host_name']) if hasattr(context, 'create') else (
        context, ['task'])
    return '' if parameters_of(maker) == wanted else 'TaskContext takes %s' % ', '.join(parameters_of(maker))


def _unfit_methods() -> str:
    for _, owner, name, wanted in _GUARDED:
        method = getattr(owner, name, None)
        if method is None or parameters_of(method)[:len(wanted)] != wanted:
            return '%s.%s is not there, or takes other parameters' % (owner.__name__, name)
    return ''


def _unfit_objects() -> str:
    if getattr(task_executor, 'time', None) is not time:
        return 'the task executor does not pause by time.sleep'
    if any(getattr(module, 'time', None) is not time for module in (stock_strategy, free_strategy)):
        return 'strategies do not pause by time.sleep'
    if parameters_of(stock_strategy.StrategyBase.__init__) != ['self', 'tqm']:
        return 'StrategyBase takes other parameters'
    if vars(display).get('_final_q', '') is not None:
        return 'Display has no queue, or one already'
    if parameters_of(FinalQueue.put) != ['self', 'obj']:
        return 'FinalQueue.put takes other parameters'
    if not hasattr(_intercept(), '_invoke_plugin'):
        return 'filters are not called by JinjaPluginIntercept._invoke_plugin'
    return ''


def _intercept() -> Any:
    from ansible._internal._templating import _jinja_plugins
    return getattr(_jinja_plugins, 'JinjaPluginIntercept', None)


def _install() -> ForkGate:
    # Imported late: they need what ansible-core has from 2.19 on.
    from ansible_mitogen.workers import placement, plugins, syntax_trees
    from ansible_mitogen.workers.arrivals import Arrivals, WakingTime
    from ansible_mitogen.workers.forked import forked_worker_maker
    from ansible_mitogen.workers.locks import SharedLocks
    from ansible_mitogen.workers.model import Job
    from ansible_mitogen.workers.results import ThreadOutput
    from ansible_mitogen.workers.stdio import ThreadStdio
    from ansible_mitogen.workers.threads import ThreadModel

    gate, locks, arrivals = ForkGate(), SharedLocks(), Arrivals()
    for lock, owner, name, _ in _GUARDED:
        setattr(owner, name, locks.guard(lock, getattr(owner, name)))
    if not syntax_trees.are_safe():
        syntax_trees.make_one_at_a_time(locks)
    persists = plugins.connection_finder(
        loader.connection_loader.get, has_twins='get_with_context' in vars(loader.connection_loader))
    # Over what the connection hook has put there, to see its choice.
    loader.connection_loader.get_with_context = plugins.watched_connections(
        locks.guard('loading', loader.connection_loader.get_with_context))
    loader.lookup_loader.get = plugins.watched_lookups(loader.lookup_loader.get, locks)
    intercept = _intercept()
    intercept._invoke_plugin = staticmethod(plugins.one_by_one(intercept._invoke_plugin, locks))

    trusted = os.environ.get(placement.TRUSTED_PLUGINS, '').replace(',', ' ').split()
    model = ThreadModel(placement.Placement(persists, trusted), forked_worker_maker(_STOCK, gate, locks), _run, gate,
                        arrivals)
    stock_strategy.WorkerProcess = lambda **job: model.worker_for(Job(**job))

    stock_strategy.StrategyBase.__init__ = _noting_results(stock_strategy.StrategyBase.__init__, arrivals)
    stock_strategy.time = free_strategy.time = WakingTime(arrivals)
    link.surround_waits(_waiting)
    task_executor.time = _Pauses()
    display._final_q = ThreadOutput()
    sys.stdout, sys.stderr = ThreadStdio(sys.stdout, 'stdout'), ThreadStdio(sys.stderr, 'stderr')
    return gate


def _noting_results(stock_init: Callable[..., None], arrivals: Any) -> Callable[..., None]:
    from ansible_mitogen.workers.arrivals import NotedResults

    @functools.wraps(stock_init)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        stock_init(self, *args, **kwargs)
        self._results = NotedResults(self._results, arrivals)

    return init


def _run(worker: Any) -> None:
    """Run the task of a worker as ansible-core's own does, less what it does to its process."""
    context = stock_worker._task.TaskContext
    if hasattr(context, 'create'):
        entered = context.create(task=worker._task, task_vars=worker._task_vars, host_name=worker._host.name)
    else:
        entered = context(worker._task)
    with entered:
        _STOCK._run(worker)


def _waiting(interrupt: Callable[[], None] | None) -> AbstractContextManager[None]:
    from ansible_mitogen.workers.current import current_worker
    worker = current_worker()
    return nullcontext() if worker is None else worker.waiting(interrupt)


class _Pauses:
    """The module `time`, for those whose threads others shall not wait for while they sleep."""

    @staticmethod
    def sleep(seconds: float) -> None:
        with _waiting(None):
            time.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
