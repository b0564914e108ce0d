"""Connections learn which task they serve, so that its costs can be told from others'."""

import functools
from typing import Any

from ansible.executor.task_executor import TaskExecutor

from ansible_mitogen.hooks.base import Hook, parameters_of
from ansible_mitogen.profile import label


class Labels(Hook):
    """Has the costs of each task counted by itself. Installed by the callback `mitogen_profile` only."""

    name = 'labels'
    replaces = 'ansible.executor.task_executor.TaskExecutor._get_connection'
    loss = 'the profile has no numbers of connections'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        method = getattr(TaskExecutor, '_get_connection', None)
        if not callable(method):
            return '%s is not there' % self.replaces
        found = parameters_of(method)
        if found != ['self', 'cvars', 'templar', 'current_connection']:
            return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        return ''

    def install(self, forks: int) -> None:
        """Wrap the method: the object that has it knows the task and its host."""
        stock = TaskExecutor._get_connection

        @functools.wraps(stock)
        def _get_connection(executor: Any, *args: Any, **kwargs: Any) -> Any:
            connection = stock(executor, *args, **kwargs)
            # It may be a stock connection that becomes one of ours only later.
            connection.mitogen_label = label(executor._task._uuid, executor._host.get_name())
            return connection
        TaskExecutor._get_connection = _get_connection
