"""ansible-core's source distribution, and the environment that its integration targets run in."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

from environments import ensure_environment, find_python, give_up, run, say

from ansible_mitogen.versions import TESTED

#: The releases whose targets are run, by version.
CORES = {core.version: core for core in TESTED}

#: What ansible-test would install for the targets.
REQUIREMENTS = ['passlib', 'pexpect', 'bcrypt', 'setuptools<81', 'wheel']

#: What targets have pip install: arguments for pip, one call for each, as some want different versions.
_WANTED = (
    ['pexpect==4.8.0', 'passlib==1.7.4', 'build', 'Cython', 'setuptools<81', 'wheel'],
    ['pexpect==4.9.0'],
    ['--no-binary', 'PyYAML', 'PyYAML'],
)

#: Debian packages that targets use, or install if they are missing.
PACKAGES = ['acl', 'debconf-utils', 'git', 'libuser', 'openssh-server', 'python3-apt', 'unzip', 'zip']


def fetch(core: str, base: Path) -> Path:
    """Return the folder of the unpacked source distribution, which is fetched if it is not there.

    :param base: where it is kept.
    """
    release = CORES[core].release
    folder = base.with_name(base.name + '-source') / ('ansible_core-' + release)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    say('fetching the source distribution of ansible-core %s' % release)
    python = find_python(CORES[core].pythons) or Path(sys.executable)
    if run([python, '-m', 'pip', '--disable-pip-version-check', '--quiet', 'download', '--no-deps',
            '--no-binary', 'ansible-core', '--dest', folder.parent, 'ansible-core==' + release]):
        give_up('pip could not fetch ansible-core %s' % release)
    archive = next(folder.parent.glob('ansible*core-%s.tar.gz' % release))
    with tarfile.open(archive) as tar:
        tar.extractall(folder.parent, filter='data')
    archive.unlink()
    unpacked = folder.with_name(archive.name[:-len('.tar.gz')])
    if unpacked != folder:
        unpacked.rename(folder)
    return folder


def fetch_wheels(core: str, base: Path) -> Path:
    """Return a folder with the Python packages that targets install; they are fetched if it is not there.

    :param base: where it is kept.
    """
    folder = base.with_name(base.name + '-wheels')
    if not folder.is_dir():
        say('fetching Python packages that targets install')
        python = find_python(CORES[core].pythons) or Path(sys.executable)
        for wanted in _WANTED:
            run([python, '-m', 'pip', '--disable-pip-version-check', '--quiet', 'download', '--dest', folder, *wanted])
    return folder


def install(core: str) -> Path:
    """Return the bin folder of an environment with that ansible-core and this project."""
    python = find_python(CORES[core].pythons)
    if python is None:
        give_up('ansible-core %s needs a Python %s' % (core, ' or '.join(CORES[core].pythons)))
    return ensure_environment('targets-' + core, python, ['ansible-core==' + CORES[core].release, *REQUIREMENTS])
