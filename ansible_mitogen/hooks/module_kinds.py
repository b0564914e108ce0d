"""Whether a file is a Python module of the new style is looked up once."""

import re
from typing import Any

from ansible.executor import module_common

from ansible_mitogen.hooks.base import Hook
from ansible_mitogen.hooks.bounded import BoundedCache

#: Modules of which it is remembered. Their sources are kept with it.
_MAX_KEPT = 50


class ModuleKinds(Hook):
    """Remembers which sources import what new-style modules import.

    For each task, Ansible searches the whole source of its module for that.
    """

    name = 'kinds'
    replaces = 'ansible.executor.module_common.NEW_STYLE_PYTHON_MODULE_RE'
    loss = 'each task takes some tenths of a millisecond longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        pattern = getattr(module_common, 'NEW_STYLE_PYTHON_MODULE_RE', None)
        if not isinstance(pattern, re.Pattern) or not isinstance(pattern.pattern, bytes):
            return '%s is not a pattern of bytes' % self.replaces
        return ''

    def install(self, forks: int) -> None:
        """Put something in its place that is searched with in the same way."""
        module_common.NEW_STYLE_PYTHON_MODULE_RE = RememberingPattern(module_common.NEW_STYLE_PYTHON_MODULE_RE)


class RememberingPattern:
    """A pattern that is searched for in each text once.

    :param pattern: a compiled one.
    """

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern
        self._kept = BoundedCache(_MAX_KEPT)

    def search(self, text: bytes) -> Any:
        """Return the match, or None."""
        return self._kept.get(text, lambda: self._pattern.search(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pattern, name)
