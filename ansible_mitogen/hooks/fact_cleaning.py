"""Which facts are taken out of a host's variables is found out once, not for every task."""

from collections.abc import Callable
from typing import Any

from ansible.plugins.loader import connection_loader
from ansible.vars import clean, manager

from ansible_mitogen.hooks.base import Hook, parameters_of, reason_in_names
from ansible_mitogen.hooks.bounded import BoundedCache

#: All that the stock function uses: its answer depends on nothing else.
_NAMES = frozenset([
    'C', 'COMMON_CONNECTION_VARS', 'INTERNAL_RESULT_KEYS', 'MAGIC_VARIABLE_MAPPING', 'RESTRICTED_RESULT_KEYS', 'add',
    'all', 'basename', 'compile', 'connection_loader', 'display', 'endswith', 'escape', 'intersection', 'keys', 'match',
    'module_response_deepcopy', 'os', 'path', 're', 'set', 'splitext', 'startswith', 'strip_internal_keys', 'update',
    'warning'])

#: Sets of names of facts that are remembered. Hosts of one kind share one.
_MAX_REMEMBERED = 1000


class FactCleaning(Hook):
    """Remembers for a set of names which of them Ansible allows as facts.

    Ansible looks that up for each task of each host, in the folders of all connection plugins.
    """

    name = 'facts'
    replaces = 'ansible.vars.manager.clean_facts'
    loss = 'each task of a host with many facts takes some ms longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        stock = vars(manager).get('clean_facts', self.unfit_reason)
        if stock is not vars(clean).get('clean_facts') or parameters_of(stock) != ['facts']:
            return '%s is not there, or takes other parameters' % self.replaces
        return reason_in_names(self.replaces, stock, _NAMES)

    def install(self, forks: int) -> None:
        """Replace the function where variables are put together."""
        manager.clean_facts = remembering(manager.clean_facts)


def remembering(stock_clean: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that does what `stock_clean` does, and asks it once for each set of names."""
    kept = BoundedCache(_MAX_REMEMBERED)

    def clean_facts(facts: Any) -> Any:
        key = (*facts, *connection_loader._get_paths())
        names = kept.get(key, lambda: frozenset(stock_clean(dict.fromkeys(facts))))
        allowed = {name: value for name, value in facts.items() if name in names}
        return clean.strip_internal_keys(clean.module_response_deepcopy(allowed))

    return clean_facts
