"""Which interpreters a context may be started on."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ansible import constants as C

from mitogen.parent.bootstrap import bootstrap_command

_DISCOVER = frozenset(['', 'auto', 'auto_silent', 'auto_legacy', 'auto_legacy_silent'])


class PythonChoice:
    """What the variables of a host say about its interpreter.

    Taken from the variables only when a context has to be opened: they may hold templates.
    """

    def __init__(self, variables: Mapping[str, Any], templar: Any) -> None:
        self._variables = variables
        self._templar = templar

    def names(self) -> list[str]:
        """Return the interpreters to try, best first."""
        return [name for name in (self._configured(), self._discovered()) if name] + self._fallbacks()

    def _configured(self) -> str:
        value = self._variables.get('ansible_python_interpreter')
        if value is None:
            value = default_interpreter()
        if isinstance(value, str) and '{{' in value:
            try:
                value = self._templar.template(value)
            except Exception:
                # Whoever really needs the value reports this; a context can do without it.
                return ''
        return '' if not isinstance(value, str) or value in _DISCOVER else value.strip()

    def _discovered(self) -> str:
        facts = self._variables.get('ansible_facts')
        value = facts.get('discovered_interpreter_python') if isinstance(facts, Mapping) else None
        return value if isinstance(value, str) else ''

    def _fallbacks(self) -> list[str]:
        if 'ansible_interpreter_python_fallback' in self._variables:
            return list(C.config.get_config_value('INTERPRETER_PYTHON_FALLBACK', variables=self._variables))
        return list(fallback_interpreters())


@functools.cache
def fallback_interpreters() -> tuple[str, ...]:
    """Return the interpreters that discovery looks for."""
    return tuple(C.config.get_config_value('INTERPRETER_PYTHON_FALLBACK'))


@functools.cache
def default_interpreter() -> str:
    """Return the interpreter that is configured for hosts which do not say anything else."""
    return C.config.get_config_value('INTERPRETER_PYTHON') or ''


@functools.cache
def bootstrap_text(names: tuple[str, ...]) -> str:
    """Return the shell text that starts a context on the first of `names` that is usable."""
    return bootstrap_command([name for name in names if "'" not in name and '\n' not in name])


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetitions, in order."""
    return tuple(dict.fromkeys(str(name) for name in names if name))
