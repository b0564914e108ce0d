"""A file that is on the host already is found so, and has its attributes set, in one round trip."""

import copy
import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import copy as stock_copy
from ansible.utils.hashing import checksum

from ansible_mitogen.connection.foresight import Foresight
from ansible_mitogen.hooks.action_method import ActionMethod
from ansible_mitogen.mux.api import ModuleCall

_FULL_NAME = 'ansible_collections.ansible.builtin.plugins.action.copy'

#: What an encrypted file begins with: what is copied is another file then.
_VAULT = b'$ANSIBLE_VAULT'


class UnchangedCopy(ActionMethod):
    """Has `copy` and `template` look at the file on the host and, if it is the same, set its attributes at once."""

    name = 'unchanged-copy'
    method = '_copy_file'
    replaces = 'ansible.plugins.action.copy.ActionModule._copy_file'
    parameters = (('self', 'source_full', 'source_rel', 'content', 'content_tempfile', 'dest', 'task_vars', 'follow'),)
    loss = 'copying a file that is there already waits twice for the host'

    def owners(self) -> list[type]:
        """Return the classes that have it."""
        modules: list[Any] = [stock_copy]
        # For those who use its full name, the plugin loader makes another module of the same file, unless it finds one.
        with suppress(ImportError):
            modules.append(importlib.import_module(_FULL_NAME))
        return list(dict.fromkeys(module.ActionModule for module in modules))

    def call(self, stock: Callable[..., Any], action: Any, *args: Any, **kwargs: Any) -> Any:
        """Copy the file."""
        names = self.parameters[0][1:]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        foresight = _foresight(stock, action, given)
        if foresight is None:
            return stock(action, *args, **kwargs)
        with action._connection.foreseeing(foresight):
            return stock(action, *args, **kwargs)


def _foresight(stock: Callable[..., Any], action: Any, given: dict[str, Any]) -> Foresight | None:
    arguments, source = action._task.args, given['source_full']
    try:
        simple = boolean(arguments.get('force', True), strict=False) and not given['follow'] and not boolean(
            arguments.get('raw', False), strict=False)
        with open(source, 'rb') as file:
            encrypted = file.read(len(_VAULT)) == _VAULT
        sha1 = None if encrypted or not simple else checksum(source)
        if sha1 is None or action._task.async_val:
            return None

        def rehearse() -> ModuleCall | None:
            call: ModuleCall | None = action._connection.rehearse(lambda: stock(_understudy(action, sha1), **given))
            return call
        return Foresight.of_file(source, sha1, rehearse)
    except (OSError, TypeError):
        # The stock method says what is wrong.
        return None


def _understudy(action: Any, sha1: str) -> Any:
    """Return an action that finds the file unchanged, and touches nothing."""
    understudy = copy.copy(action)
    understudy._loader = _UntouchedFiles(action._loader)
    understudy._execute_remote_stat = lambda *args, **kwargs: {'exists': True, 'isdir': False, 'checksum': sha1}
    understudy._remove_tempfile_if_content_defined = lambda *args: None
    return understudy


class _UntouchedFiles:
    """A loader that leaves temporary files where they are."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def get_real_file(self, path: str, decrypt: bool = True) -> str:
        return path

    def cleanup_tmp_file(self, path: str) -> None:
        """Do nothing."""
