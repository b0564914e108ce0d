"""Finding modules and their source without importing them."""

import logging
import os
import pkgutil
import sys
import zipimport
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder, SourceFileLoader
from importlib.util import spec_from_loader
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from mitogen.core.importer import ModuleCode, is_stdlib

LOG = logging.getLogger(__name__)

_Path = Union[str, 'os.PathLike[str]']


def get_child_modules(path: _Path, fullname: str) -> List[str]:
    """Return the full names of a package's modules and subpackages, without loading any of them.

    :param path: the package's folder, or the path of its ``__init__`` module;
        either may be inside a zip file.
    :param fullname: the package's full name.
    """
    folder = os.fspath(path)
    if os.path.basename(folder).split('.')[0] == '__init__':
        folder = os.path.dirname(folder)
    return _names_in([folder], fullname)


def _names_in(folders: Iterable[str], package: str) -> List[str]:
    names = {info[1] for info in pkgutil.iter_modules(list(folders))}
    return ['%s.%s' % (package, name) for name in sorted(names) if name.isidentifier()]


def inside(path: str) -> bool:
    """Return whether a relative path, with slashes, stays inside of the folder that it is relative to."""
    return not any(part in ('', '.', '..') or '\0' in part or os.sep in part for part in path.split('/'))


class ModuleFinder:
    """Find modules, and what they will import, by the paths of this process.

    A module's parents are not imported either: what is not in
    ``sys.modules`` is looked for by the finders of ``sys.meta_path``, level
    by level. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._found: Dict[str, ModuleCode] = {}
        self._imports: Dict[str, List[str]] = {}

    def find(self, name: str) -> Optional[ModuleCode]:
        """Return a module's source, or None if there is none: not found, built in, or compiled.

        A namespace package is found as a package with empty source.

        :param name: full name, or ``__main__``.
        """
        code = self._found.get(name)
        if code is None:
            spec = _find_spec(name)
            code = None if spec is None else _code_of(spec)
            if code is not None:
                self._found[name] = code
        return code

    def submodules(self, package: str) -> List[str]:
        """Return the full names of the modules and subpackages directly inside `package`."""
        return _names_in(_locations(_find_spec(package)), package)

    def data(self, package: str, path: Optional[str]) -> Any:
        """Return a file of a package as bytes, or the names in its folder if `path` is None.

        :param path: relative to the package, with slashes.
        :returns: None if there is no such file, or if it would be outside the package.
        """
        folders = _locations(_find_spec(package))
        if path is None:
            return sorted({name for folder in folders for name in _listing(folder)}) if folders else None
        for folder in folders if inside(path) else ():
            content = _read(folder, path.split('/'))
            if content is not None:
                return content
        return None

    def related(self, name: str) -> Iterator[str]:
        """Yield the modules that importing `name` will import, nearest first.

        These are the names in its import statements, in theirs and so on, with
        their packages; not those inside functions, nor of the standard
        library, nor those that cannot be found here. They are looked for as
        they are asked for: all that a large one imports takes long to read.
        """
        seen = {name}
        queue = [name]
        for current in queue:
            for other in self._imported_by(current):
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
                    yield other

    def _imported_by(self, name: str) -> List[str]:
        names = self._imports.get(name)
        if names is None:
            # Imported late: a program that sends no modules need not have it.
            from mitogen.parent.imports import imports_of
            code = self.find(name)
            names = [] if code is None else list(self._existing(imports_of(name, code)))
            self._imports[name] = names
        return names

    def _existing(self, imports: Iterable[Tuple[str, Sequence[str]]]) -> Iterator[str]:
        for module, attributes in imports:
            if is_stdlib(module):
                continue
            parts = module.split('.')
            names = ['.'.join(parts[:count]) for count in range(1, len(parts) + 1)]
            code = None
            for name in names:
                code = self.find(name)
                if code is None:
                    break
                yield name
            if code is not None and code.is_package:
                for attribute in attributes:
                    name = '%s.%s' % (module, attribute)
                    if self.find(name) is not None:
                        yield name


def _find_spec(name: str) -> Any:
    """Return the spec of a module that need not be loaded, or None."""
    # Some finders would take other names for paths.
    if not all(part.isidentifier() for part in name.split('.')):
        return None
    loaded = sys.modules.get(name)
    spec = getattr(loaded, '__spec__', None)
    if spec is not None:
        return spec
    if name == '__main__':
        return _spec_of_script(loaded)
    parent = name.rpartition('.')[0]
    path = None
    if parent:
        path = getattr(sys.modules.get(parent), '__path__', None)
        if path is None:
            path = _locations(_find_spec(parent))
        if not path:
            return None
    for finder in list(sys.meta_path):
        find_spec = getattr(finder, 'find_spec', None)
        if find_spec is None or finder in (BuiltinImporter, FrozenImporter):
            continue
        try:
            # By its full name, a namespace package would want its parent to be loaded.
            spec = find_spec(name.rpartition('.')[2] if finder is PathFinder else name, path)
        except Exception as exc:
            LOG.debug('%r cannot tell whether there is a module %s: %s', finder, name, exc)
            continue
        if spec is not None and (spec.loader is not None or _has_modules(_locations(spec))):
            return spec
    return None


def _spec_of_script(module: Any) -> Any:
    path = getattr(module, '__file__', None)
    return path and spec_from_loader('__main__', SourceFileLoader('__main__', path))


def _has_modules(folders: List[str]) -> bool:
    """Whether a namespace package is more than a folder that has the name of a module by chance."""
    below = [entry.path for folder in folders if os.path.isdir(folder)
             for entry in os.scandir(folder) if entry.name.isidentifier() and entry.is_dir()]
    return any(True for _ in pkgutil.iter_modules(folders + below))


def _locations(spec: Any) -> List[str]:
    """Return the folders of a package; none of what is no package."""
    return list(getattr(spec, 'submodule_search_locations', None) or ())


def _code_of(spec: Any) -> Optional[ModuleCode]:
    folders = _locations(spec)
    origin = spec.origin if spec.has_location else folders[0] if folders else spec.name
    try:
        if spec.loader is None:
            source = b''
        elif spec.has_location and origin.endswith('.py'):
            source = spec.loader.get_data(origin)
        else:
            text = spec.loader.get_source(spec.name)
            if text is None:
                return None
            source = text.encode('utf-8')
    except (AttributeError, ImportError, OSError):
        # Built in, an extension, or only compiled; or gone meanwhile.
        return None
    return ModuleCode(origin, spec.submodule_search_locations is not None, source)


def _read(folder: str, parts: List[str]) -> Optional[bytes]:
    path = os.path.join(folder, *parts)
    importer: Any = pkgutil.get_importer(folder)
    try:
        if isinstance(importer, zipimport.zipimporter):
            return importer.get_data(path)
        if not os.path.isfile(path):
            return None
        with open(path, 'rb') as source:
            return source.read()
    except OSError:
        return None


def _listing(folder: str) -> List[str]:
    importer: Any = pkgutil.get_importer(folder)
    if isinstance(importer, zipimport.zipimporter):
        import zipfile
        with zipfile.ZipFile(importer.archive) as archive:
            inside = [name[len(importer.prefix):] for name in archive.namelist() if name.startswith(importer.prefix)]
        return [name.split('/')[0] for name in inside if name]
    return os.listdir(folder) if os.path.isdir(folder) else []
