"""Locks between the test runs of one machine."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def take(path: Path, exclusive: bool = False) -> IO[str]:
    """Wait for the lock on a file, and return the file: to close it lets go of the lock."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # It outlives neither this process nor what is executed by it: Python's files are close-on-exec.
    lock = path.open('a')
    fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    return lock


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Be the only one on this machine within the block."""
    with take(path, exclusive=True):
        yield
