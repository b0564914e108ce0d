"""The collections that have connection plugins, as the ``ansible`` package ships them."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.harness import images, locks

#: The package for each ansible-core, and the only way to get these collections without asking Galaxy.
PACKAGES = {'2.16': '9.13.0', '2.17': '10.7.0', '2.18': '11.13.0', '2.19': '12.3.0', '2.20': '13.8.0', '2.21': '14.5.0'}

WANTED = ('ansible/netcommon', 'ansible/posix', 'ansible/utils', 'community/docker', 'community/general',
          'community/library_inventory_filtering_v1', 'community/okd', 'containers/podman', 'kubernetes/core')


def collections_path(core: str, python: str | Path = sys.executable) -> Path:
    """Return the folder to be named in ``collections_path``; it is made once and kept.

    :param core: version of ansible-core, like ``2.19``.
    :param python: an interpreter, with pip, that the package is for.
    :raises RuntimeError: it cannot be made.
    """
    content = hashlib.sha256(repr(WANTED).encode()).hexdigest()[:8]
    folder = images.cache() / 'collections' / f'{PACKAGES[core]}-{content}'
    with locks.exclusive(images.cache() / 'collections.lock'):
        if not folder.exists():
            _make(folder, PACKAGES[core], python)
    return folder


def _make(folder: Path, version: str, python: str | Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.new-', dir=folder.parent) as place:
        # No cache: it is large, and what is wanted of it is kept here.
        done = subprocess.run([
            python, '-m', 'pip', '--disable-pip-version-check', '--no-cache-dir', 'download', '--quiet',
            '--no-deps', '--dest', place, 'ansible==' + version], capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise RuntimeError('the collections cannot be downloaded: %s' % done.stderr[-3000:])
        prefixes = tuple('ansible_collections/%s/' % name for name in WANTED)
        new = Path(place, 'new')
        with zipfile.ZipFile(next(Path(place).glob('ansible-*.whl'))) as wheel:
            wheel.extractall(new, [name for name in wheel.namelist() if name.startswith(prefixes)])
        new.chmod(0o755)
        new.rename(folder)
