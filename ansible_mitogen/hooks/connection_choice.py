"""The loader's answer for a connection that has a persistent twin becomes that twin."""

import os
from collections.abc import Callable
from typing import Any

from ansible.plugins.loader import connection_loader

from ansible_mitogen.connection.container_exec import SUBSTITUTES
from ansible_mitogen.connection.twins import NEEDS, twin_of, unfit_reasons
from ansible_mitogen.hooks.base import Hook, parameters_of

#: Where our own plugins are, for those who name them.
PLUGINS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'plugins', 'connection')


class ConnectionChoice(Hook):
    """Gives plays that ask for ``ssh``, ``local``, ``docker`` or the like, by whatever name, persistent connections.

    The loader does all that it does otherwise, then the object's class is
    changed: name, options and variables are those of the stock plugin.
    """

    name = 'connection'
    replaces = 'ansible.plugins.loader.connection_loader.get_with_context'
    loss = 'connections are persistent only in plays that name mitogen_ssh, mitogen_local and so on'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        found = parameters_of(connection_loader.get_with_context)
        if found != ['name', '*args', '**kwargs']:
            return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        return ''

    def missing_parts(self) -> list[str]:
        """Return why a stock plugin is left as it is: a clause for each."""
        return unfit_reasons()

    def install(self, forks: int) -> None:
        """Wrap the method of the one loader of connections."""
        # The loader forgets what it has loaded.
        connection_loader.add_directory(PLUGINS)
        # A module is named as the first who asks for it does, and keeps that name: asked for by a fully qualified
        # one, its classes would be others than those that have twins.
        for stock in NEEDS:
            connection_loader.get(stock.__module__.rpartition('.')[2], class_only=True)
        connection_loader.get_with_context = choosing_twins(connection_loader.get_with_context)


def choosing_twins(stock_get: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loader's method that makes twins of what `stock_get` returns."""
    def get_with_context(name: str, *args: Any, **kwargs: Any) -> Any:
        result = stock_get(name, *args, **kwargs)
        if result.object is None and name in SUBSTITUTES:
            # The collection with the stock plugin is not installed.
            result = stock_get('mitogen_' + name, *args, **kwargs)
        connection = result.object
        # Those who ask for a local connection for purposes of their own, such as network connections which run
        # everything on the controller, do not pass what tasks do.
        wanted_plain = getattr(connection, 'transport', '') == 'local' and 'ansible_playbook_pid' not in kwargs
        if connection is not None and not isinstance(connection, type) and not wanted_plain:
            twin = twin_of(type(connection))
            if twin is not None:
                connection.__class__ = twin
        return result

    return get_with_context
