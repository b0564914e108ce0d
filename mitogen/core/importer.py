"""Importing modules from the parent.

A module is asked for by GET_MODULE, DATA ``name``; data of a package by
``[package, relative path, offset]``, its listing by ``[package, None, 0]``. The answer
to a name, and a LOAD_MODULE that comes unasked, is DATA ``{modules: [[name,
origin, is_package, size], ...], blob: zlib of the sources}``: the module and
others that it will want. A size of -1 says that the parent has no such
module. The answer to data is bytes, fewer than ``PIECE`` at the end of the file, a list, or None.
"""

import sys
import threading
import zlib
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from mitogen.core import handles
from mitogen.core.errors import Error
from mitogen.core.loaders import SourceLoader
from mitogen.core.messages import Message

#: Most bytes of a file in one answer: well under the limit of a frame.
PIECE = 512 * 1024

#: Seconds to wait for the parent's answer.
TIMEOUT = 60.0

ModuleCode = NamedTuple('ModuleCode', [('origin', str), ('is_package', bool), ('source', bytes)])
ModuleCode.__doc__ = 'A module as it came from the parent.'


def unpack_modules(answer: Dict[str, Any]) -> Dict[str, Optional[ModuleCode]]:
    """Return the modules of a LOAD_MODULE payload by name; None for one that does not exist."""
    blob, offset = zlib.decompress(answer['blob']), 0
    found: Dict[str, Optional[ModuleCode]] = {}
    for name, origin, is_package, size in answer['modules']:
        found[name] = None if size < 0 else ModuleCode(origin, is_package, blob[offset:offset + size])
        offset += max(0, size)
    return found


def is_stdlib(name: str) -> bool:
    """Whether this interpreter's own library has the top-level module of `name`."""
    top = name.partition('.')[0]
    names = getattr(sys, 'stdlib_module_names', None)
    if names is not None:
        return top in names
    if BuiltinImporter.find_spec(top) or FrozenImporter.find_spec(top):
        return True
    spec = PathFinder.find_spec(top)
    origin = spec.origin if spec is not None and spec.origin else ''
    return 'site-packages' not in origin and 'dist-packages' not in origin and (
        origin.startswith((sys.base_prefix, sys.base_exec_prefix)))


def _spec_with_hook(name: str, func: Callable[[], None]) -> Any:
    """Return the spec of a module of the path, changed so that `func` is called when it has been executed."""
    spec: Any = PathFinder.find_spec(name)
    if spec is None:
        return None
    execute = spec.loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        func()
    spec.loader.exec_module = exec_module
    return spec


class Importer:
    """A finder on ``sys.meta_path`` that gets modules from the parent.

    It stands before the path, so that what the master has goes before an
    older copy here, but never shadows the standard library, nor the rest of
    a package that was imported from elsewhere.

    :param router: the router of this process.
    :param prefixes: names, with all below them, that the parent may be asked
        for; None for any.
    """

    def __init__(self, router: Any, prefixes: Optional[List[str]] = None) -> None:
        self.router = router
        #: What is called when a module of the standard library has been imported, by the module's name.
        self.hooks: Dict[str, Callable[[], None]] = {}
        self._prefixes = prefixes
        self._lock = threading.Lock()
        self._known: Dict[str, Optional[ModuleCode]] = {}
        self._pending: Dict[str, threading.Event] = {}

    def __repr__(self) -> str:
        return '<Importer of context %d>' % self.router.context_id

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Find a module, asking the parent if need be."""
        if name in self.hooks:
            return _spec_with_hook(name, self.hooks.pop(name))
        code = self.get(name) if self._is_ours(name) else None
        if code is None:
            return None
        return SourceLoader(name, code.origin, code.source, code.is_package, self._get_data).spec()

    def _is_ours(self, name: str) -> bool:
        if self._prefixes is not None and not any(
                (name + '.').startswith(prefix + '.') for prefix in self._prefixes):
            return False
        package = sys.modules.get(name.rpartition('.')[0])
        if package is None:
            return not is_stdlib(name)
        return isinstance(getattr(package, '__loader__', None), SourceLoader)

    def get(self, name: str) -> Optional[ModuleCode]:
        """Return a module's code, None if the parent has no such module.

        :raises ImportError: the parent does not answer.
        """
        while True:
            with self._lock:
                if name in self._known:
                    return self._known[name]
                event = self._pending.get(name)
                if event is None:
                    self._pending[name] = threading.Event()
                    break
            event.wait(TIMEOUT)
        try:
            self.take(self._ask(name))
        except Error as exc:
            raise ImportError('cannot get module %s from the parent: %s' % (name, exc)) from None
        finally:
            self._pending.pop(name).set()
        return self._known.get(name)

    def _ask(self, request: Any) -> Any:
        if self.router.broker.is_current():
            raise Error('the thread that would take the answer cannot wait for it')
        parent = self.router.upstream.remote_id
        answer = self.router.context_for(parent).ask(handles.GET_MODULE, request, persist=False)
        try:
            return answer.get(TIMEOUT)
        finally:
            answer.close()

    def known(self, name: str) -> Optional[ModuleCode]:
        """Return a module's code if the parent has sent it already."""
        return self._known.get(name)

    def take(self, answer: Any) -> None:
        """Keep the modules of a LOAD_MODULE payload."""
        self.keep(unpack_modules(answer))

    def keep(self, modules: Dict[str, Any]) -> None:
        """Keep the code of modules, None for those that the parent has not got."""
        self._known.update(modules)

    def on_load(self, message: Message) -> None:
        """Take modules that the parent sends unasked."""
        self.take(message.decode())

    def _get_data(self, package: str, path: Optional[str]) -> Any:
        content = b''
        try:
            while True:
                piece = self._ask([package, path, len(content)])
                if not isinstance(piece, bytes):
                    return piece
                content += piece
                if len(piece) < PIECE:
                    return content
        except Error as exc:
            raise OSError('cannot get data of %s from the parent: %s' % (package, exc)) from None
