"""The zip of a kind of module is read, and made text of, once."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from ansible.executor import module_common

from ansible_mitogen.hooks.base import Hook, parameters_of
from ansible_mitogen.hooks.bounded import BoundedCache

#: Kinds of modules whose zips are kept. Each takes some 300 KiB.
_MAX_KEPT = 50

_FIELDS = ['zip_data', 'metadata', 'source_mapping']


class ModuleZips(Hook):
    """Keeps the zips that Ansible keeps in files.

    For each task, Ansible reads its module's zip from a file, and writes it as a Python string into the text that it
    sends; to find out how such a string is written takes longer than all the rest of that.
    """

    name = 'zips'
    replaces = 'ansible.executor.module_common._CachedModule.load'
    loss = 'each task takes half a millisecond longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        kind: Any = _kind()
        if kind is None:
            return ''
        fields = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
        if fields != _FIELDS or not hasattr(kind, 'load') or parameters_of(kind.load) != ['path']:
            return '%s is not what it replaces' % self.replaces
        return ''

    def install(self, forks: int) -> None:
        """Give the class a function of its own."""
        kind = _kind()
        if kind is not None:
            kind.load = keeping_zips(kind.load)


def _kind() -> Any:
    # Before ansible-core 2.19 there is no such class.
    return getattr(module_common, '_CachedModule', None)


class WrittenText(str):
    """A text that remembers how it is written in Python."""

    _written: str

    def __new__(cls, text: str) -> 'WrittenText':
        """Find out how the text is written."""
        new = super().__new__(cls, text)
        new._written = repr(text)
        return new

    def __repr__(self) -> str:
        return self._written


def keeping_zips(stock_load: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a function that reads each file once, as long as it does not change."""
    kept = BoundedCache(_MAX_KEPT)

    def read(path: str) -> Any:
        module = stock_load(path)
        return dataclasses.replace(module, zip_data=WrittenText(module.zip_data.decode()))

    def load(path: str) -> Any:
        found = os.stat(path)
        module = kept.get((path, found.st_ino, found.st_size, found.st_mtime_ns), lambda: read(path))
        # It becomes a part of what belongs to one task.
        return dataclasses.replace(module, source_mapping=module.source_mapping.copy())

    return load
