"""Small Debian systems for containers, made on this machine and kept for later runs.

No registry is asked, unless one of its images is named: with ``MITOGEN_TEST_IMAGE_BOOKWORM=NAME`` in the environment
the tests use that one, which must have Python 3, sudo and opendoas, in place of the system of that suite.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness import locks

SUITES = ('bullseye', 'bookworm', 'trixie', 'forky')

PACKAGES = ('python3', 'python3-apt', 'sudo', 'opendoas')

#: Packages that a suite has under another name.
_OTHER_NAMES = {('bullseye', 'opendoas'): 'doas'}

_MIRROR = 'deb http://deb.debian.org/debian %s main'

_OPTIONS = (
    '--variant=minbase', '--format=tar',
    # The lists of a suite in the making are valid for a week, and mirrors late.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    # What a container has no use for: a third of the size.
    *('--dpkgopt=path-exclude=/usr/share/%s/*' % name for name in ('doc', 'man', 'locale', 'info')))

#: Seconds; a slow mirror on a busy machine takes some minutes.
_BUILD_DEADLINE = 1500


def packages_of(suite: str) -> tuple[str, ...]:
    """Return what the system of a suite has besides the minimum."""
    return tuple(_OTHER_NAMES.get((suite, package), package) for package in PACKAGES)


def cache() -> Path:
    """Return the folder that outlives runs, and checkouts."""
    return Path(os.environ.get('MITOGEN_TEST_CACHE') or '/var/cache/mitogen-tests')


def named_image(suite: str) -> str:
    """Return the registry's image that the user wants for a suite, '' for none."""
    return os.environ.get('MITOGEN_TEST_IMAGE_' + suite.upper(), '')


def archive_of(suite: str) -> Path:
    """Return the tar archive of a suite's root folder, which is made if it is not there.

    :raises RuntimeError: it cannot be made.
    """
    recipe = repr((suite, packages_of(suite), _OPTIONS, _MIRROR)).encode()
    archive = cache() / ('%s-%s.tar' % (suite, hashlib.sha256(recipe).hexdigest()[:8]))
    with locks.exclusive(cache() / (suite + '.lock')):
        if not archive.exists():
            _build(suite, archive)
    return archive


def _build(suite: str, archive: Path) -> None:
    for old in (*cache().glob('.build-%s-*' % suite), *cache().glob('%s-*.tar' % suite)):
        # Of a build that was killed, or by an older recipe.
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    with tempfile.TemporaryDirectory(prefix='.build-%s-' % suite, dir=cache()) as folder:
        new = Path(folder, 'archive')
        run(['mmdebstrap', *_OPTIONS, '--include=' + ','.join(packages_of(suite)), suite, new, _MIRROR % suite])
        new.rename(archive)


def image_of(suite: str, engine: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the name of a suite's image in a container engine, which is given it if it has none.

    :param engine: how the program ``docker`` or ``podman`` is called.
    :param env: its environment.
    :raises RuntimeError: there is no such image.
    """
    name = named_image(suite)
    if name:
        if _fails([*engine, 'image', 'inspect', name], env):
            run([*engine, 'pull', name], env)
        return name
    archive = archive_of(suite)
    name = 'localhost/mitogen-test:' + archive.stem
    with locks.exclusive(cache() / 'import.lock'):
        if _fails([*engine, 'image', 'inspect', name], env):
            run([*engine, 'import', '--change', 'CMD ["/bin/bash"]', archive, name], env)
    return name


def _fails(command: Sequence[str], env: Mapping[str, str]) -> bool:
    return subprocess.run(command, env=dict(env), capture_output=True, timeout=120).returncode != 0


def run(command: Sequence[object], env: Mapping[str, str] | None = None) -> str:
    """Run a command, and return what it printed.

    :raises RuntimeError: it failed; with the end of what it said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, env=None if env is None else dict(env), stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=_BUILD_DEADLINE)
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError('%s: status %d\n%s' % (' '.join(words), done.returncode, said))
    return done.stdout
