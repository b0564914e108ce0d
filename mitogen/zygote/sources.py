"""Files that were read when the process of a context was started: its environment, limits and groups came from them."""

import os
import pwd
import stat
from typing import Any, Dict, Iterable, List, Optional, Set

#: In this one only what is said of a few accounts matters.
GROUPS = '/etc/group'


class Sources:
    """Tells whether a process started now might get another environment.

    :param paths: files, and folders whose files count. What does not exist may come to exist.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = [os.path.expanduser(path) for path in paths]
        self._seen = self._look()
        self._groups = groups_that_matter() if GROUPS in self._paths else None
        self._outdated = False

    def are_outdated(self) -> bool:
        """Whether one of them has changed; once they have, it stays so."""
        if not self._outdated:
            found = self._look()
            if found != self._seen:
                self._outdated = not self._are_alike(found)
                self._seen = found
        return self._outdated

    def _are_alike(self, found: Dict[str, Any]) -> bool:
        """Whether nothing has changed but groups of others."""
        changed = {path for path in {*found, *self._seen} if found.get(path) != self._seen.get(path)}
        return changed == {GROUPS} and self._groups is not None and self._groups == groups_that_matter()

    def _look(self) -> Dict[str, Any]:
        marks: Dict[str, Any] = {}
        for path in self._paths:
            found = _status(path)
            marks[path] = _mark(found)
            if found is None or not stat.S_ISDIR(found.st_mode):
                continue
            try:
                names = os.listdir(path)
            except OSError:
                continue  # this account may not read it
            marks.update((name, _mark(_status(name))) for name in [os.path.join(path, name) for name in names])
        return marks


def groups_that_matter() -> Optional[List[bytes]]:
    """Return what the file of groups says of this account and of the one that it was entered from.

    None if that one is not known: other programs than sudo and doas do not tell.
    """
    before = os.environ.get('SUDO_USER') or os.environ.get('DOAS_USER')
    if not before:
        return None
    try:
        accounts = [pwd.getpwuid(os.getuid()), pwd.getpwnam(before)]
        with open(GROUPS, 'rb') as file:
            return lines_of(file.read(), {os.fsencode(account.pw_name) for account in accounts},
                            {b'%d' % account.pw_gid for account in accounts})
    except (KeyError, OSError):
        return None


def lines_of(content: bytes, names: Set[bytes], numbers: Set[bytes]) -> List[bytes]:
    """Return the lines for the groups that have one of these numbers, or one of these names among their members."""
    found = []
    for line in content.splitlines():
        fields = line.split(b':')
        if len(fields) != 4 or fields[2] in numbers or not names.isdisjoint(fields[3].split(b',')):
            found.append(line)
    return found


def _status(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except OSError:
        return None


def _mark(found: Optional[os.stat_result]) -> Any:
    return found and (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
