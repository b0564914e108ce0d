"""Files that were read when the process of a context was started: its environment, limits and groups came from them."""

import os
from typing import Any, Dict, Iterable


class Sources:
    """Tells whether a process started now might get another environment.

    :param paths: files, and folders whose files count. What does not exist may come to exist.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = [os.path.expanduser(path) for path in paths]
        self._seen = self._look()
        self._outdated = False

    def are_outdated(self) -> bool:
        """Whether one of them has changed; once they have, it stays so."""
        self._outdated = self._outdated or self._look() != self._seen
        return self._outdated

    def _look(self) -> Dict[str, Any]:
        marks: Dict[str, Any] = {}
        for path in self._paths:
            marks[path] = _mark(path)
            try:
                names = os.listdir(path)
            except OSError:
                continue  # it is a file, or not there
            marks.update((name, _mark(name)) for name in [os.path.join(path, name) for name in names])
        return marks


def _mark(path: str) -> Any:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
