"""The Pythons of this machine that a target may have."""

import os
import re
import shutil
from pathlib import Path

#: The oldest minor version of Python 3 that a target may have.
OLDEST = 6
NEWEST = 19


def find_python(version: str) -> str | None:
    """Return the path of a Python of that version (``3.11``), from pyenv or the search path; None if there is none."""
    pyenv = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv')
    for path in sorted(pyenv.glob('versions/%s.*/bin/python' % version)):
        if re.fullmatch(r'[\d.]+', path.parts[-3]):
            return str(path)
    # Not a shim of pyenv's, which is there for every version, and fails.
    folders = [folder for folder in os.environ.get('PATH', '').split(os.pathsep) if 'shims' not in folder]
    return shutil.which('python' + version, path=os.pathsep.join([*folders, '/usr/local/bin', '/usr/bin']))


def target_pythons() -> dict[str, str]:
    """Return the path of one Python of each version that a target may have, by version, the oldest first."""
    found = {version: find_python(version) for version in ('3.%d' % minor for minor in range(OLDEST, NEWEST))}
    return {version: path for version, path in found.items() if path is not None}
