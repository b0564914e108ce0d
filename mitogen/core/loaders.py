"""Modules from sources in memory: a loader for one, and a finder for a tree of them."""

import os.path
import sys
from importlib.machinery import ModuleSpec
from importlib.util import decode_source
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set, Tuple, Union

#: Gives what a package has beside its modules: ``(package, relative path)`` to the bytes of a
#: file, the names in a folder, or None. The path None is the package's own folder.
ResourceGetter = Callable[[str, Optional[str]], Union[bytes, List[str], None]]

#: Compiled sources, by origin and source.
CodeCache = Dict[Tuple[str, bytes], Any]


class SourceLoader:
    """Load one module from its source.

    :param fullname: the module's name.
    :param origin: its `__file__`, which need not exist.
    :param source: its source.
    :param is_package: whether it is a package.
    :param get_resource: where the package's data comes from.
    :param code_cache: where compiled code is kept.
    """

    def __init__(self, fullname: str, origin: str, source: bytes, is_package: bool = False,
                 get_resource: Optional[ResourceGetter] = None, code_cache: Optional[CodeCache] = None) -> None:
        self.name, self.path = fullname, origin
        self._source, self._is_package = source, is_package
        self._get = get_resource or (lambda package, path: None)
        self._cache = {} if code_cache is None else code_cache

    def spec(self) -> ModuleSpec:
        """Return the module's spec."""
        spec = ModuleSpec(self.name, self, origin=self.path, is_package=self._is_package)  # type: ignore[arg-type]
        spec.has_location = True
        if self._is_package:
            spec.submodule_search_locations = [os.path.dirname(self.path)]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(self.get_code(), module.__dict__)

    def get_code(self, fullname: Optional[str] = None) -> Any:
        key = self.path, self._source
        code = self._cache.get(key)
        if code is None:
            code = self._cache[key] = compile(self._source, self.path, 'exec', dont_inherit=True)
        return code

    def get_source(self, fullname: Optional[str] = None) -> str:
        return decode_source(self._source)

    def is_package(self, fullname: Optional[str] = None) -> bool:
        return self._is_package

    def get_filename(self, fullname: Optional[str] = None) -> str:
        return self.path

    def get_data(self, path: str) -> bytes:
        if path == self.path:
            return self._source
        folder = os.path.dirname(self.path) + '/'
        content = self._get(self._package, path[len(folder):]) if path.startswith(folder) else None
        if not isinstance(content, bytes):
            raise FileNotFoundError(path)
        return content

    @property
    def _package(self) -> str:
        return self.name if self._is_package else self.name.rpartition('.')[0]

    def get_resource_reader(self, fullname: str) -> Any:
        from mitogen.core.resources import Resource
        return Resource(self._get, self.name) if self._is_package else None

    @property
    def archive(self) -> Any:
        """The package's folder as a zip file: all that `files()` of Python 3.9 can read, besides real folders."""
        if sys.version_info[:2] != (3, 9) or not self._is_package:
            raise AttributeError('archive')
        from mitogen.core.resources import zip_package
        return zip_package(self._get, self.name, os.path.dirname(os.path.dirname(self.path)))


class MemberFinder:
    """A finder on ``sys.meta_path`` over sources known by their relative path.

    :param root: what the paths are relative to; need not exist.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.code: CodeCache = {}
        self.select({})

    def select(self, members: Mapping[str, bytes]) -> None:
        """Serve `members` (relative path to source) from now on."""
        self.members = members
        #: Names of the modules that were found since.
        self.found: List[str] = []
        self._folders: Optional[Set[str]] = None

    def origin(self, path: str) -> str:
        """Return the `__file__` of the member at `path`."""
        return self.root + '/' + path

    def path_of(self, name: str) -> Optional[str]:
        """Return the path of the member that is module `name`."""
        stem = name.replace('.', '/')
        for path in (stem + '/__init__.py', stem + '.py'):
            if path in self.members:
                return path
        return None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        found = self.path_of(name)
        if found is not None:
            self.found.append(name)
            return SourceLoader(name, self.origin(found), self.members[found], found.endswith('/__init__.py'),
                                self.get_resource, self.code).spec()
        if self._folders is None:
            self._folders = {folder for member in self.members for folder in _folders_of(member)}
        stem = name.replace('.', '/')
        if stem not in self._folders:
            return None
        spec = ModuleSpec(name, None, is_package=True)  # a namespace: a folder without __init__.py
        spec.submodule_search_locations = [self.origin(stem)]
        return spec

    def get_resource(self, package: str, path: Optional[str]) -> Union[bytes, List[str], None]:
        """Return a file, the names in a folder, or None; see :data:`ResourceGetter`."""
        full = package.replace('.', '/') + ('/' + path if path else '')
        if full in self.members:
            return self.members[full]
        names = {member[len(full) + 1:].partition('/')[0] for member in self.members if member.startswith(full + '/')}
        return sorted(names) or None


def _folders_of(path: str) -> Iterator[str]:
    while '/' in path:
        path = path.rpartition('/')[0]
        yield path
