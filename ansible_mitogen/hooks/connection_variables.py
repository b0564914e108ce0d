"""Connections get the variables of their host from an ansible-core that keeps them to itself."""

import functools
from collections.abc import Callable
from typing import Any

from ansible.executor.task_executor import TaskExecutor
from ansible.plugins.connection import ConnectionBase

from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.hooks.base import Hook, parameters_of


class ConnectionVariables(Hook):
    """Gives connections the variables of their host before ansible-core 2.17, which gives them itself.

    Before, a connection is given the variables of its own options, without those that say which way leads to its host
    and which interpreters are there.
    """

    name = 'variables'
    replaces = 'ansible.executor.task_executor.TaskExecutor._set_connection_options'
    loss = 'hosts with mitogen_via are reached without it'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        if not _is_wanted():
            return ''
        found = parameters_of(vars(TaskExecutor).get('_set_connection_options', _is_wanted))
        return '' if found == ['self', 'variables', 'templar'] else '%s takes the parameters %s' % (
            self.replaces, ', '.join(found))

    def install(self, forks: int) -> None:
        """Wrap the method."""
        if _is_wanted():
            TaskExecutor._set_connection_options = giving_variables(TaskExecutor._set_connection_options)


def _is_wanted() -> bool:
    return not hasattr(ConnectionBase, '_resolve_option_variables')


def giving_variables(stock_set: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that does what `stock_set` does, once the connection has the variables."""
    @functools.wraps(stock_set)
    def set_connection_options(executor: Any, variables: Any, templar: Any) -> Any:
        if isinstance(executor._connection, PersistentConnection):
            executor._connection.take_variables(variables, templar)
        return stock_set(executor, variables, templar)

    return set_connection_options
