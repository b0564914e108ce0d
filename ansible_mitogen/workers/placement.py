"""Whether a task may run in a thread."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from ansible import constants as C
from ansible.plugins import action as stock_actions
from ansible.plugins.loader import action_loader, module_loader
from ansible.template import Templar

from ansible_mitogen.workers.model import Job

#: Name of the variable with which a host, a play or a task says `fork`.
CHOICE = 'mitogen_workers'

#: Environment variable: action and lookup plugins that are not ansible-core's and may run in threads all the same.
TRUSTED_PLUGINS = 'MITOGEN_THREAD_SAFE_PLUGINS'

#: Action plugins of ansible-core that are not for threads, and why. Whoever forks waits for threads that sleep in a way
#: that nobody knows of.
_UNFIT_ACTIONS = {
    'pause': 'pause waits for the user',
    'reboot': 'reboot sleeps',
    'wait_for_connection': 'wait_for_connection sleeps',
}

#: Tasks of which the answer is remembered.
_MAX_REMEMBERED = 10000

_STOCK_FOLDER = os.path.join(os.path.dirname(os.path.realpath(stock_actions.__file__)), '')


class Placement:
    """Gives the reason why a task must have a process of its own.

    :param persists: whether a connection of that name becomes one of ours.
    :param trusted: names of action and lookup plugins of others that are known to be safe.
    """

    def __init__(self, persists: Callable[[str], bool], trusted: Iterable[str] = ()) -> None:
        self._persists = persists
        self._trusted = frozenset(trusted)
        self._action_reasons: dict[tuple[str, ...], str] = {}
        self._connection_reasons: dict[str, str] = {}
        #: What is known of tasks, by their IDs, whatever the host.
        self._task_reasons: dict[str, str] = {}

    def reason_to_fork(self, job: Job) -> str:
        """Return why the task of a job must not run in a thread, '' if it may."""
        return self._reason_by_choice(job) or self._reason_by_task(job.task) or self._reason_by_connection(job)

    def trusts(self, name: str) -> bool:
        """Whether a plugin is listed as safe, by its short or its full name."""
        return name in self._trusted or name.rpartition('.')[2] in self._trusted

    def learn_task(self, task: Any, reason: str) -> None:
        """Remember that this task is forked for every host."""
        self._task_reasons[task._uuid] = reason

    def _reason_by_task(self, task: Any) -> str:
        reason = self._task_reasons.get(task._uuid)
        if reason is None:
            # What a task inherits is looked up through all blocks around it.
            if len(self._task_reasons) >= _MAX_REMEMBERED:
                self._task_reasons.clear()
            reason = self._task_reasons[task._uuid] = (
                ('it has a timeout' if task.timeout else '')
                or ('it may call the debugger' if self._may_call_debugger(task) else '')
                or self._reason_by_action(task)
            )
        return reason

    def _reason_by_choice(self, job: Job) -> str:
        value = job.task_vars.get(CHOICE)
        if isinstance(value, str) and '{{' in value:
            value = Templar(loader=job.loader, variables=job.task_vars).template(value)
        return '%s is fork' % CHOICE if value == 'fork' else ''

    @staticmethod
    def _may_call_debugger(task: Any) -> bool:
        return bool(C.ENABLE_TASK_DEBUGGER) or task.debugger not in (None, 'never')

    def _reason_by_action(self, task: Any) -> str:
        key = (task.action, *(task.collections or ()))
        if key not in self._action_reasons:
            self._action_reasons[key] = self._find_action_reason(task.action, task.collections)
        return self._action_reasons[key]

    def _find_action_reason(self, name: str, collections: Any) -> str:
        if '{{' in name:
            return 'the name of its action is a template'
        path = _action_plugin_path(name, collections)
        short = name.rpartition('.')[2]
        if path.startswith(_STOCK_FOLDER):
            return _UNFIT_ACTIONS.get(short, '')
        if self.trusts(name):
            return ''
        return 'its action plugin is not one of ansible-core: %s' % path

    def _reason_by_connection(self, job: Job) -> str:
        if job.task.delegate_to is not None:
            # Whoever makes the connection finds out.
            return ''
        name = job.task_vars.get('ansible_connection') or job.task.connection
        if not isinstance(name, str) or '{{' in name:
            return ''
        if name not in self._connection_reasons:
            self._connection_reasons[name] = '' if self._persists(name) else connection_reason(name)
        return self._connection_reasons[name]


def connection_reason(name: str) -> str:
    """Return the reason that a connection which does not persist gives."""
    return 'its connection, %s, is not persistent' % name


def _action_plugin_path(name: str, collections: Any) -> str:
    """Return the file of the plugin that `TaskExecutor` would choose for an action."""
    module = module_loader.find_plugin_with_context(name, collection_list=collections)
    candidates = [module.action_plugin] if module.resolved and module.action_plugin else [name, _network_group(name)]
    for candidate in [name for name in candidates if name]:
        found = action_loader.find_plugin_with_context(candidate, collection_list=collections)
        if found.resolved:
            return os.path.realpath(found.plugin_resolved_path)
    found = action_loader.find_plugin_with_context('ansible.legacy.normal')
    return os.path.realpath(found.plugin_resolved_path)


def _network_group(name: str) -> str:
    """Return the name of the action plugin that all modules for a kind of network device share, if it is one."""
    collection, dot, short = name.rpartition('.')
    prefix = short.split('_')[0]
    return collection + dot + prefix if prefix in C.NETWORK_GROUP_MODULES else ''
