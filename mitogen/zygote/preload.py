"""What a zygote imports into itself, so that its children need not; and when that has gone stale.

A child must see what a fresh interpreter would. So only modules that depend
on nothing but the standard library and other members are imported here; and
what an import may have looked at (third-party modules it looked for in vain,
environment variables) is remembered, and compared before each fork.
"""

import importlib
import os
import site
import sys
import time
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from mitogen.core.loaders import MemberFinder

_STDLIB = os.path.dirname(os.__file__) + '/'
#: A folder that changed less than these seconds ago may change again within the same time stamp.
_TIME_STAMP_SIZE = 2.0


class Foreign(BaseException):
    """A module that is to be preloaded wants a third-party module. No `except Exception` may hide that."""


def _is_foreign(spec: ModuleSpec) -> bool:
    if spec.origin in ('built-in', 'frozen'):
        return False
    if spec.origin is None:
        return spec.loader is None or spec.submodule_search_locations is not None and not hasattr(
            spec.loader, 'get_code')
    inside = spec.origin.startswith(_STDLIB) or '/lib-dynload/' in spec.origin
    return not inside or 'site-packages' in spec.origin or 'dist-packages' in spec.origin


def _stat(path: str) -> Any:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _Watch:
    """A finder that stands before the others during an import and notes what they find.

    :param members: the finder of members.
    :param tolerated: third-party packages that may be imported.
    """

    def __init__(self, members: MemberFinder, tolerated: Iterable[str]) -> None:
        self._members, self._tolerated = members, tolerated
        self.found: Dict[str, str] = {}
        self.files: List[str] = []
        self.missing: Dict[str, Optional[List[str]]] = {}
        self.foreign = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        member = self._members.path_of(name)
        if member is not None:
            self.found[name] = member
            return self._members.find_spec(name)
        for finder in list(sys.meta_path):
            find = getattr(finder, 'find_spec', None)
            spec = find(name, path, target) if finder is not self and find else None
            if spec is not None:
                break
        else:
            self.missing[name] = path and list(path)
            return None
        if _is_foreign(spec):
            if name.partition('.')[0] not in self._tolerated:
                self.foreign = True
                raise Foreign(name)
            self.files.append(spec.origin or '')
        return spec


class Preloader:
    """Keeps track of what is imported in the zygote itself.

    :param finder: the finder of members.
    """

    def __init__(self, finder: MemberFinder) -> None:
        self._finder = finder
        self._sites: List[str] = getattr(site, 'getsitepackages', list)()
        if site.ENABLE_USER_SITE:
            self._sites.append(site.getusersitepackages())
        self._wanted: Dict[str, bool] = {}
        self._tolerated: Iterable[str] = frozenset()
        self._stamp: Tuple[Any, ...] = ()
        self._stamp_time = 0.0
        self._environ: Set[bytes] = set()
        self._answer: Any = None
        #: Changes with what is imported.
        self.version = 0
        self._forget()

    def _forget(self) -> None:
        self.version += 1
        self._loaded: Dict[str, Tuple[str, bytes]] = {}
        self._refused: Set[Tuple[str, bytes]] = set()
        self._missing: Dict[str, Optional[List[str]]] = {}
        self._files: Dict[str, Any] = {}
        # What a child told of, as it was when it was dealt with: whether it was imported, and its source.
        self._seen: Dict[str, Tuple[bool, bytes]] = {}

    def note(self, found: Mapping[str, bool]) -> None:
        """Remember modules that a child found, to import (if true) or compile here should another job have them."""
        new = {name: imported for name, imported in found.items()
               if name not in self._loaded and (name not in self._seen or self._seen[name][0] != imported)}
        if new:
            self._wanted.update(new)
            self._answer = None

    def prepare(self, request: Mapping[str, Any]) -> List[str]:
        """Import and compile what may be and is not yet, for a request whose members the finder serves.

        The module of the request's entry may have a global `TOLERATED`: names of third-party packages that may be
        imported here, because they are known to be harmless, and nearly every job uses them if they exist.

        Returns the modules imported here that do not suit the job, which must drop them.
        """
        self._discard_if_stale()
        members = self._finder.members
        if self._answer is not None:
            asked, version, answer = self._answer
            if version == self.version and asked[0] is members and asked[1:] == _asked(request):
                return list(answer)
        unfit = self._unfit(request)
        # It is kept with the members, and so their identity says all.
        self._answer = (members, *_asked(request)), self.version, unfit
        return list(unfit)

    def _unfit(self, request: Mapping[str, Any]) -> List[str]:
        if self._overridden():
            return self._all_names()
        entry = request['entry'].partition(':')[0]
        self._import(entry)
        self._tolerated = getattr(sys.modules.get(entry), 'TOLERATED', ())
        for name in request.get('preload') or ():
            self._import(name)
        self._wanted.update((name, imported) for name, (imported, _) in self._seen.items() if name not in self._wanted)
        for name in list(self._wanted):
            path = self._finder.path_of(name)
            if path is None:
                continue
            seen = self._wanted.pop(name), self._finder.members[path]
            if self._seen.get(name) == seen:
                continue
            self._seen[name] = seen
            if seen[0]:
                self._import(name)
            try:
                self._finder.find_spec(name).loader.get_code()  # type: ignore[union-attr]
            except Exception:
                continue  # the child will say what is wrong with it
        encode: Any = os.environ.encodekey
        for key, value in (request.get('env') or {}).items():
            if encode(key) in self._environ and os.environ.get(key) != value:
                return self._all_names()
        return [name for name, (path, _) in self._loaded.items() if path not in self._finder.members]

    def _import(self, name: str) -> None:
        path = None if name in self._loaded else self._finder.path_of(name)
        if path is None or (path, self._finder.members[path]) in self._refused:
            return
        self.version += 1
        watch = _Watch(self._finder, self._tolerated)
        encode: Any = os.environ.encodekey

        def note_key(key: str) -> Any:
            self._environ.add(encode(key))
            return encode(key)
        sys.meta_path.insert(0, watch)
        os.environ.encodekey = note_key
        try:
            importlib.import_module(name)
            failed = watch.foreign
        except BaseException:
            failed = True
        finally:
            os.environ.encodekey = encode
            sys.meta_path.remove(watch)
            sys.stdout.flush()  # to nowhere: else the children would print it
            sys.stderr.flush()
        self._missing.update(watch.missing)
        if failed:
            # Some that were imported on the way may have gone without what they wanted: have none of them.
            drop_modules(watch.found)
            self._refused.add((path, self._finder.members[path]))
            return
        self._loaded.update((found, (member, self._finder.members[member])) for found, member in watch.found.items())
        self._files.update((file, _stat(file)) for file in watch.files)

    def _overridden(self) -> bool:
        members = self._finder.members
        return any(members.get(path, source) != source for path, source in self._loaded.values())

    def _all_names(self) -> List[str]:
        # Not the zygote's own, of which parts may have come as members: jobs run by it.
        tops = {name.partition('.')[0] for name in self._loaded}.union(self._tolerated) - {'mitogen'}
        return [name for name in sys.modules if name.partition('.')[0] in tops]

    def _discard_if_stale(self) -> None:
        """Forget all, if a module that was missing has appeared or a third-party one has changed."""
        if self._appeared() or any(_stat(file) != was for file, was in self._files.items()):
            self._wanted.update(dict.fromkeys(self._loaded, True))
            drop_modules(self._all_names())
            self._forget()

    def _appeared(self) -> bool:
        folders = set(sys.path).union(self._sites, *(path for path in self._missing.values() if path))
        stamp = tuple((folder, (_stat(folder) or (0,))[0]) for folder in sorted(folders))
        now = time.time()
        settled = all(changed < (self._stamp_time - _TIME_STAMP_SIZE) * 1e9 for _, changed in stamp)
        if stamp == self._stamp and settled:
            return False
        first, self._stamp, self._stamp_time = not self._stamp, stamp, now
        self.version += 1
        if not first:
            for folder in self._sites:
                if os.path.isdir(folder):
                    site.addsitedir(folder)  # takes up new .pth files, and a folder that is new itself
        sys.path_importer_cache.clear()
        return any(PathFinder.find_spec(name, path) is not None for name, path in self._missing.items())


def _asked(request: Mapping[str, Any]) -> Tuple[Any, ...]:
    return request['entry'], request.get('preload'), request.get('env')


_dropped: List[Any] = []


def drop_modules(names: Iterable[str]) -> None:
    """Make modules importable afresh.

    They are kept all the same: to take them apart would cost more than to have them.
    """
    for name in list(names):
        module = sys.modules.pop(name, None)
        _dropped.append(module)
        parent, _, attribute = name.rpartition('.')
        if module is not None and parent:
            vars(sys.modules.get(parent, module)).pop(attribute, None)
