"""Members: the numbered pieces of code that jobs are made of."""

from typing import Dict, Iterable, List, Sequence, Tuple

#: Inclusive ranges of member numbers, as a request has them.
Ranges = Sequence[Sequence[int]]


class MemberStore:
    """Members by number, and views of those that make up a job's importable world."""

    def __init__(self) -> None:
        self._members: Dict[int, Tuple[str, bytes]] = {}
        self._views: Dict[Tuple[Tuple[int, ...], ...], Dict[str, bytes]] = {}
        #: Changes with what is kept.
        self.version = 0

    def add(self, members: Iterable[Tuple[int, str, bytes]]) -> None:
        """Keep members that arrived."""
        self.version += 1
        for number, path, source in members:
            self._members[number] = (path, source)

    def missing(self, ranges: Ranges) -> List[int]:
        """Return the numbers in `ranges` that are not here."""
        if tuple(map(tuple, ranges)) in self._views:
            return []
        return [number for first, last in ranges for number in range(first, last + 1) if number not in self._members]

    def view(self, ranges: Ranges) -> Dict[str, bytes]:
        """Return path to source of the members in `ranges`, all of which must be here."""
        key = tuple(map(tuple, ranges))
        if key not in self._views:
            self.version += 1
            self._views[key] = dict(
                self._members[number] for first, last in ranges for number in range(first, last + 1))
        return self._views[key]
