"""Bundles that were made before: kept where Python keeps byte-code, for the same reason and as long."""

import importlib.util
import os
import sys
from typing import Callable, Iterable, Optional

#: Bytes of the digest that a file begins with.
_DIGEST_SIZE = 32


def cached(name: str, inputs: Iterable[bytes], make: Callable[[], bytes]) -> bytes:
    """Return what `make` returned earlier for the same inputs, or else returns now.

    What cannot be kept, or read, is made each time; so it is where Python may not write byte-code.

    :param name: what it is, a file name.
    :param inputs: all that the result depends on, besides this version of Python.
    """
    digest = _digest(b'%d ' % len(one) + one for one in inputs)
    path = _path(name)
    kept = _read(path, digest) if path else None
    if kept is not None:
        return kept
    made = make()
    if path and not sys.dont_write_bytecode:
        _write(path, digest + _digest([made]) + made)
    return made


def _digest(parts: Iterable[bytes]) -> bytes:
    # Imported late, by the thread that needs it: it takes a while.
    import hashlib
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _path(name: str) -> Optional[str]:
    try:
        # What is put in the place of a source file's name goes with the version of Python, and obeys its settings.
        return importlib.util.cache_from_source(os.path.join(os.path.dirname(os.path.abspath(__file__)), name + '.py'))
    except NotImplementedError:
        return None


def _read(path: str, digest: bytes) -> Optional[bytes]:
    try:
        with open(path, 'rb') as file:
            content = file.read()
    except OSError:
        return None
    head, made = content[:2 * _DIGEST_SIZE], content[2 * _DIGEST_SIZE:]
    return made if head == digest + _digest([made]) else None


def _write(path: str, content: bytes) -> None:
    part = '%s.%d' % (path, os.getpid())
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(part, 'wb') as file:
            file.write(content)
        os.replace(part, path)
    except OSError:
        try:
            os.unlink(part)
        except OSError:
            pass  # it was not made
