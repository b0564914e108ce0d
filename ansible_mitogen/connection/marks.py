"""What is learnt once, by whichever worker, and holds for all of the run."""

import mmap
import zlib


class SharedMarks:
    """A set of names for this process and all that are forked from it, whichever adds to it.

    A name may be taken for another one, rarely: marks are for what may be slower, not wrong.
    """

    _SIZE = 4096

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, self._SIZE)

    def add(self, name: str) -> None:
        """Mark a name."""
        self._bytes[zlib.crc32(name.encode()) % self._SIZE] = 1

    def __contains__(self, name: str) -> bool:
        return self._bytes[zlib.crc32(name.encode()) % self._SIZE] != 0
