"""Hooks that replace a method of Ansible's action plugins."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from ansible.plugins import action as stock_actions
from ansible.plugins.action import ActionBase

from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.hooks.base import Hook, parameters_of


class ActionMethod(Hook):
    """Wraps a method, for the action plugins of ansible-core over connections of ours. Others get the stock one."""

    #: Its name.
    method: str
    #: Its parameters, all versions of ansible-core together.
    parameters: tuple[tuple[str, ...], ...]

    def owners(self) -> list[type]:
        """Return the classes that have it."""
        return [ActionBase]

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        for owner in self.owners():
            method = getattr(owner, self.method, None)
            found = tuple(parameters_of(method)) if callable(method) else None
            if found is None:
                return '%s is not there' % self.replaces
            if found not in self.parameters:
                return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        return ''

    def install(self, forks: int) -> None:
        """Wrap it."""
        for owner in self.owners():
            self._wrap(owner)

    def _wrap(self, owner: type) -> None:
        stock = getattr(owner, self.method)

        @functools.wraps(stock)
        def method(action: Any, *args: Any, **kwargs: Any) -> Any:
            kind: type = type(action)
            if isinstance(action._connection, PersistentConnection) and is_of_ansible_core(kind):
                return self.call(stock, action, *args, **kwargs)
            return stock(action, *args, **kwargs)
        setattr(owner, self.method, method)

    def call(self, stock: Callable[..., Any], action: Any, *args: Any, **kwargs: Any) -> Any:
        """Do it.

        :param stock: the method that is replaced.
        :param action: the object that it is called on.
        """
        def replay() -> Any:
            return stock(action, *args, **kwargs)
        with action._connection.deferring(replay):
            return stock(action, *args, **kwargs)


@functools.cache
def is_of_ansible_core(action_class: type) -> bool:
    """Whether a plugin, and all that it is derived from, comes with ansible-core.

    A plugin by someone else may call the methods of its base in an order that is not known here.
    """
    home = os.path.dirname(os.path.abspath(stock_actions.__file__)) + os.sep
    return all(_file_of(one).startswith(home) for one in action_class.__mro__ if issubclass(one, ActionBase))


def _file_of(one: type) -> str:
    return os.path.abspath(getattr(sys.modules.get(one.__module__), '__file__', None) or os.sep)
