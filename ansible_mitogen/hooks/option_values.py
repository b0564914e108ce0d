"""What an option is, where no variable and no keyword says it, is found out once."""

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

from ansible import constants, context
from ansible.config.manager import ConfigManager

from ansible_mitogen.hooks.base import Hook, parameters_of, reason_in_names

#: All that the stock function has ever used: its answer depends on nothing else.
_NAMES = frozenset([
    'AnsibleError', 'AnsibleOptionsError', 'AnsibleRequiredOptionError', 'AnsibleUndefinedConfigEntry', 'CLIARGS',
    'DEPRECATED', 'Exception', 'INTERNAL_DEFS', 'Mapping', 'Origin', 'Sequence', 'TrustedAsTemplate', 'ValueError',
    '_config_file', '_get_config_label', '_get_entry', '_get_ini_config_value', '_loop_entries', '_parse_config_file',
    '_parsers', '_tags', 'all', 'ansible', 'append', 'context', 'ensure_type', 'environ', 'get',
    'get_config_type', 'get_configuration_definitions', 'get_ini_config_value', 'is_tagged_on', 'isinstance', 'join',
    'keys', 'os', 'py3compat', 'startswith', 'stderr', 'str', 'string_types', 'strip', 'sys', 'tag', 'template',
    'template_default', 'to_native', 'to_text', 'write'])

_PARAMETERS = ['self', 'config', 'cfile', 'plugin_type', 'plugin_name', 'keys', 'variables', 'direct']
_MORE_PARAMETERS = ['templar']

#: Types of options whose values depend on what they are set to, and not on folders or the account besides.
_TYPES = (None, 'bool', 'boolean', 'float', 'int', 'integer', 'raw', 'str', 'string')
_UNCHANGEABLE = (str, int, float, type(None))


class OptionValues(Hook):
    """Remembers what options are by the environment, the command line, ``ansible.cfg`` and their defaults.

    For each task of each host, Ansible looks in all these places for some forty options of the connection and the
    shell. An option that a variable or a keyword sets is worked out as ever.
    """

    name = 'options'
    replaces = 'ansible.config.manager.ConfigManager.get_config_value_and_origin'
    loss = 'each task takes a millisecond longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        stock = vars(ConfigManager).get('get_config_value_and_origin', self.unfit_reason)
        found = parameters_of(stock)
        if found[:len(_PARAMETERS)] != _PARAMETERS or set(found[len(_PARAMETERS):]) - set(_MORE_PARAMETERS):
            return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        return reason_in_names(self.replaces, stock, _NAMES)

    def install(self, forks: int) -> None:
        """Give the class a method of its own."""
        stock: Any = ConfigManager.get_config_value_and_origin
        ConfigManager.get_config_value_and_origin = remembering(stock, constants.config)


def remembering(stock_get: Callable[..., Any], manager: Any) -> Callable[..., Any]:
    """Return a method that asks `stock_get` once for each option that nothing sets for one task or host only.

    :param manager: the configuration of the run. For any other, it is asked each time.
    """
    options: dict[tuple[str | None, str | None, str], _Option] = {}

    @functools.wraps(stock_get)
    def get_config_value_and_origin(
            self: Any, config: str, cfile: str | None = None, plugin_type: str | None = None,
            plugin_name: str | None = None, keys: Any = None, variables: Any = None, direct: Any = None,
            **more: Any) -> Any:
        def ask() -> Any:
            return stock_get(self, config, cfile, plugin_type, plugin_name, keys, variables, direct, **more)

        is_named = plugin_type is None or plugin_name is not None
        if cfile is not None or direct or not is_named or self is not manager or more and any(more.values()):
            return ask()
        definition = self.get_configuration_definitions(plugin_type, plugin_name).get(config)
        key = (plugin_type, plugin_name, config)
        option = options.get(key)
        if option is None or option.definition is not definition:
            option = options[key] = _Option(config, definition)
        return ask() if option.is_set(variables, keys) else option.answer(self, ask)

    return get_config_value_and_origin


class _Option:
    """An option, and what it is where no variable and no keyword sets it.

    :param definition: what the documentation of its plugin says about it; None if there is no such option.
    """

    def __init__(self, config: str, definition: Any) -> None:
        self.definition = definition
        about = definition or {}
        self._variables = _names(about.get('vars'))
        self._keywords = (config, *(about.get('aliases') or ()), *_names(about.get('keyword')))
        self._environment = _names(about.get('env'))
        default = about.get('default')
        is_template = isinstance(default, str) and '{{' in default
        self._is_kept = definition is not None and about.get('type') in _TYPES and not is_template
        self._kept: tuple[Any, Any, list[str | None]] | None = None

    def is_set(self, variables: Any, keys: Any) -> bool:
        """Return whether a variable or a keyword sets it. What is None does not."""
        if variables:
            for name in self._variables:
                if variables.get(name) is not None:
                    return True
        if keys:
            for name in self._keywords:
                if keys.get(name) is not None:
                    return True
        return False

    def answer(self, manager: Any, ask: Callable[[], Any]) -> Any:
        """Return what `ask` returns, or has returned under the same circumstances."""
        if not self._is_kept:
            return ask()
        kept, environment = self._kept, [os.environ.get(name) for name in self._environment]
        if kept is not None and kept[1] is context.CLIARGS and kept[2] == environment:
            return kept[0]
        said = _said(manager)
        answer = ask()
        # What there is to say about a setting is said each time.
        if isinstance(answer[0], _UNCHANGEABLE) and _said(manager) == said:
            self._kept = answer, context.CLIARGS, environment
        return answer


def _names(entries: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(entry['name'] for entry in entries or () if 'name' in entry)


def _said(manager: Any) -> list[int]:
    return [len(getattr(manager, name, ())) for name in ('DEPRECATED', 'WARNINGS', '_errors')]
