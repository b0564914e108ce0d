"""Telling interpreters apart."""

import os
import shutil
import sys


def is_own(path: str) -> bool:
    """Whether `path` is another name of the interpreter that runs this.

    It is not if either of them belongs to a virtual environment: the environment goes by the
    name that an interpreter is started under.
    """
    found = shutil.which(os.path.expanduser(path))
    if not found or not sys.executable or _in_venv(found) or _in_venv(sys.executable):
        return False
    return os.path.realpath(found) == os.path.realpath(sys.executable)


def _in_venv(executable: str) -> bool:
    folder = os.path.dirname(executable)
    return any(os.path.exists(os.path.join(place, 'pyvenv.cfg')) for place in (folder, os.path.dirname(folder)))
