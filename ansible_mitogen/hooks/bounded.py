"""Results that are kept, as long as they are not too many."""

from collections.abc import Callable, Hashable
from typing import Any

_NOTHING = object()


class BoundedCache:
    """Keeps what was made for a key; when there are too many, it begins anew.

    :param size: how many are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what `make` returned for the key earlier, or returns now. If it raises an error, nothing is kept."""
        found = self._kept.get(key, _NOTHING)
        if found is _NOTHING:
            if len(self._kept) >= self._size:
                self._kept.clear()
            found = self._kept[key] = make()
        return found
