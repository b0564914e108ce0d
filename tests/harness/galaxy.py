"""Collections that tests need, taken from the `ansible` package of the Python package index."""

import fcntl
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.harness.engines import ROOT

#: Major versions of the package `ansible`, by the ansible-core that they are made for.
PACKAGES = {'2.16': 9, '2.17': 10, '2.18': 11, '2.19': 12, '2.20': 13, '2.21': 14}


def collections(wanted: Sequence[str]) -> Path:
    """Return a collections path with some folders of collections, which are fetched if they are not there.

    :param wanted: folders below `ansible_collections`, such as `community/general/plugins/become`.
    """
    core = '.'.join(importlib.metadata.version('ansible-core').split('.')[:2])
    base = ROOT / '.venv' / f'collections-{core}'
    base.mkdir(parents=True, exist_ok=True)
    with (base / 'lock').open('w') as lock:
        # Several processes run tests, and one of them fetches.
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [folder for folder in wanted if not (base / 'ansible_collections' / folder).exists()]
        if missing:
            _fetch(base, PACKAGES[core], missing)
    return base


def _fetch(base: Path, package: int, wanted: Sequence[str]) -> None:
    prefixes = tuple(f'ansible_collections/{folder}/' for folder in wanted)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet', 'download', '--no-deps',
             '--dest', folder, f'ansible=={package}.*'],
            check=True, timeout=300)
        with zipfile.ZipFile(next(Path(folder).glob('*.whl'))) as wheel:
            names = [name for name in wheel.namelist() if name.startswith(prefixes)]
            wheel.extractall(folder, names)
        for name in wanted:
            target = base / 'ansible_collections' / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder, 'ansible_collections', name), target)
