"""Which variables belong to the options of a plugin is looked up once."""

import functools
from collections.abc import Callable
from typing import Any

from ansible.config.manager import ConfigManager

from ansible_mitogen.hooks.base import Hook, parameters_of, reason_in_names

#: Methods that go through all options of a plugin, with their parameters, and all names that they use.
_METHODS = {
    'get_plugin_vars': ['self', 'plugin_type', 'name'],
    'get_plugin_options_from_var': ['self', 'plugin_type', 'name', 'variable'],
}
_NAMES = frozenset(['append', 'get_configuration_definitions', 'items', 'values'])


class OptionNames(Hook):
    """Keeps the lists of variables that set an option of a plugin.

    For each task of each host, and each item of a loop, Ansible goes through all options a dozen times to make them.
    """

    name = 'option-names'
    replaces = 'ansible.config.manager.ConfigManager.get_plugin_vars'
    loss = 'each task takes some tenths of a millisecond longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        for name, wanted in _METHODS.items():
            stock: Any = vars(ConfigManager).get(name, self.unfit_reason)
            if parameters_of(stock) != wanted or reason_in_names(name, stock, _NAMES):
                return '%s is not there, or takes other parameters, or uses something else' % name
        return ''

    def install(self, forks: int) -> None:
        """Give the class methods of its own."""
        for name in _METHODS:
            setattr(ConfigManager, name, keeping_lists(getattr(ConfigManager, name)))


def keeping_lists(stock_list: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Return a method that asks `stock_list` once, as long as the definitions of the plugin's options stay the same."""
    kept: dict[tuple[str, ...], tuple[Any, list[str]]] = {}

    @functools.wraps(stock_list)
    def list_names(self: Any, plugin_type: str, name: str, *variable: str, **more: str) -> list[str]:
        definitions = self.get_configuration_definitions(plugin_type, name)
        key = (plugin_type, name, *variable, *more.values())
        found = kept.get(key)
        if found is None or found[0] is not definitions:
            found = kept[key] = definitions, stock_list(self, plugin_type, name, *variable, **more)
        # A caller may add to it.
        return list(found[1])

    return list_names
