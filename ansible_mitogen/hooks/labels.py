"""Connections learn which task they serve, so that its costs can be told from others'."""

from typing import Any

from ansible.plugins.loader import connection_loader

from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.hooks.base import Hook, parameters_of


class Labels(Hook):
    """Has the costs of each task counted by itself. Installed by the callback `mitogen_profile` only."""

    name = 'labels'
    replaces = 'ansible.plugins.loader.connection_loader.get_with_context'
    loss = 'the profile has no numbers of connections'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        found = parameters_of(connection_loader.get_with_context)
        if found != ['name', '*args', '**kwargs']:
            return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        return '' if hasattr(PersistentConnection, '_resolve_option_variables') else 'connections are not told the host'

    def install(self, forks: int) -> None:
        """Wrap the method of the one loader of connections."""
        stock_get = connection_loader.get_with_context

        def get_with_context(name: str, *args: Any, **kwargs: Any) -> Any:
            result = stock_get(name, *args, **kwargs)
            if result.object is not None and not isinstance(result.object, type):
                # It may be a stock connection that becomes one of ours only later.
                result.object.mitogen_task_id = kwargs.get('task_uuid', '')
            return result
        connection_loader.get_with_context = get_with_context
