"""The twins of stock connections that collections bring, as plugins with names of their own."""

import sys
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.loader import connection_loader

from ansible_mitogen.connection.container_exec import OPTIONS, SUBSTITUTES
from ansible_mitogen.connection.documentation import under_name
from ansible_mitogen.connection.twins import twin_of


def twin_by_name(stock_name: str, name: str) -> tuple[Any, str]:
    """Return the twin of a stock connection, and the documentation of the plugin that it becomes.

    Raises nothing: ansible-playbook imports all plugins of a folder that the user names. Where there is no such
    connection, a class is returned that says so when it is used.

    :param stock_name: in full, like ``community.docker.docker``.
    :param name: of the plugin.
    """
    stock = connection_loader.get(stock_name, class_only=True)
    collection, _, short_name = stock_name.rpartition('.')
    if stock is not None:
        documentation = sys.modules[stock.__module__].DOCUMENTATION
    elif short_name in SUBSTITUTES:
        stock, documentation = SUBSTITUTES[short_name], OPTIONS.format(program=short_name)
    else:
        return _unusable('The connection %s needs the collection %s, which is not installed.' % (name, collection)), ''
    twin = twin_of(stock)
    if twin is None:
        return _unusable('The connection %s does not know this version of %s.' % (name, stock_name)), ''
    return twin, under_name(documentation, name)


def _unusable(reason: str) -> Any:
    def refuse(self: object, *args: Any, **kwargs: Any) -> None:
        raise AnsibleError(reason)
    unusable: Any = type('Connection', (ConnectionBase,), {'__init__': refuse})
    # The loader takes a class that is still abstract for none.
    unusable.__abstractmethods__ = frozenset()
    return unusable
