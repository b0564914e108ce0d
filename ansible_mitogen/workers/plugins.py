"""Plugins as tasks in threads get them."""

import functools
import os
from collections.abc import Callable
from typing import Any

from ansible import plugins as stock_plugins

from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.connection.twins import twin_of
from ansible_mitogen.workers.current import current_worker
from ansible_mitogen.workers.locks import SharedLocks
from ansible_mitogen.workers.placement import connection_reason

_STOCK_FOLDER = os.path.join(os.path.dirname(os.path.realpath(stock_plugins.__file__)), '')
#: Plugins of ansible-core that it keeps elsewhere, in collections of its own.
_INTERNAL_FOLDER = os.path.join(os.path.dirname(os.path.dirname(_STOCK_FOLDER)), '_internal', '')

#: Lookups of ansible-core after which a task is not begun anew, as they may have changed something.
_ACTING_LOOKUPS = frozenset(['pipe', 'password', 'url'])


def watched_connections(stock_get: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loader's method that has tasks in threads leave these if their connection is not one of ours."""
    def get_with_context(name: str, *args: Any, **kwargs: Any) -> Any:
        result = stock_get(name, *args, **kwargs)
        worker = current_worker()
        # Only tasks pass this; others get connections for purposes of their own.
        if worker is not None and 'ansible_playbook_pid' in kwargs and result.object is not None \
                and not isinstance(result.object, PersistentConnection):
            worker.ask_for_process(connection_reason(name))
        return result

    return get_with_context


def connection_finder(get_class: Callable[..., Any], has_twins: bool) -> Callable[[str], bool]:
    """Return what tells whether a connection of some name will be one of ours.

    :param get_class: the loader's method for classes.
    :param has_twins: stock connections are replaced by their twins.
    """
    def persists(name: str) -> bool:
        found = get_class(name, class_only=True)
        # One that is not found is an error of the task, wherever it runs.
        return found is None or issubclass(found, PersistentConnection) or (has_twins and twin_of(found) is not None)

    return persists


def watched_lookups(stock_get: Callable[..., Any], locks: SharedLocks) -> Callable[..., Any]:
    """Return a loader's method that has tasks leave their threads for lookups that are not ansible-core's."""
    def get(name: str, *args: Any, **kwargs: Any) -> Any:
        lookup = stock_get(name, *args, **kwargs)
        worker = current_worker()
        if worker is None or lookup is None or isinstance(lookup, type):
            return lookup
        if not is_stock(lookup):
            if not worker.meet_lookup(name):
                lookup.run = locks.guard('serial', lookup.run)
        elif name.rpartition('.')[2] in _ACTING_LOOKUPS:
            worker.has_acted = True
        return lookup

    return get


def one_by_one(stock_invoke: Callable[..., Any], locks: SharedLocks) -> Callable[..., Any]:
    """Return what calls filters and tests: one at a time those that are not ansible-core's."""
    def invoke(plugin: Any, /, *args: Any, **kwargs: Any) -> Any:
        if is_stock(plugin):
            return stock_invoke(plugin, *args, **kwargs)
        with locks.serial:
            return stock_invoke(plugin, *args, **kwargs)

    return invoke


def is_stock(plugin: Any) -> bool:
    """Whether a plugin belongs to ansible-core, or to the template engine."""
    path = getattr(plugin, '_original_path', None)
    return not path or _is_stock_path(path)


@functools.cache
def _is_stock_path(path: str) -> bool:
    return os.path.realpath(path).startswith((_STOCK_FOLDER, _INTERNAL_FOLDER))
