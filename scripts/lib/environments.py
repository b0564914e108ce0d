"""Pythons, virtual environments and Debian packages, for the scripts beside this folder.

Only the standard library: this runs before anything is installed.
"""

from __future__ import annotations  # so that an old Python comes far enough to be told that it is too old

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / '.venv'


def say(text: str) -> None:
    """Tell the user what is done next, or why not."""
    print('==> ' + text, flush=True)


def give_up(text: str) -> NoReturn:
    """End with a reason."""
    sys.exit('error: ' + text)


def require_python() -> None:
    """End where the Python that runs the script is too old."""
    if sys.version_info < (3, 11):
        give_up('Python 3.11 or later is needed, this is %d.%d' % sys.version_info[:2])


def run(command: Sequence[object], env: dict[str, str] | None = None) -> int:
    """Run a command in the project's folder; returns its status."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=env).returncode


def candidates(version: str) -> list[Path]:
    """Where a Python of that version (``3.11``) may be."""
    folders = [Path(folder) for folder in os.environ.get('PATH', '').split(os.pathsep) if folder]
    folders += [Path('/usr/local/bin'), Path('/usr/bin')]
    pyenv = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv')
    # The newest patch release first.
    installed = sorted(pyenv.glob('versions/%s.*' % version), key=lambda path: [
        int(part) for part in path.name.split('.') if part.isdigit()], reverse=True)
    folders += [path / 'bin' for path in installed]
    found = [folder / name for folder in folders for name in ('python' + version, 'python3')]
    return [path for path in found if os.access(path, os.X_OK)]


def find_python(versions: Sequence[str]) -> Path | None:
    """A Python of the first of the versions that this machine has, or None."""
    for version in versions:
        for path in candidates(version):
            # A pyenv shim is there for every version, and fails for those that are not selected.
            asked = subprocess.run(
                [str(path), '-c', 'import sys; print("%d.%d" % sys.version_info[:2]); print(sys.executable)'],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            answer = asked.stdout.split()
            if asked.returncode == 0 and len(answer) == 2 and answer[0] == version:
                return Path(answer[1])
    return None


def install_debian_packages(packages: Sequence[str], strict: bool) -> None:
    """Install what is missing, when this is root on Debian or Ubuntu; else say what is missing.

    :param strict: end when something stays missing.
    """
    missing = [package for package in packages if not is_installed(package)]
    if not missing:
        return
    if shutil.which('apt-get') and os.geteuid() == 0:
        say('installing Debian packages: ' + ' '.join(missing))
        env = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
        run(['apt-get', 'update', '-qq'], env)
        run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', *missing], env)
        missing = [package for package in packages if not is_installed(package)]
    if missing:
        text = 'Debian packages are missing; as root: apt-get install ' + ' '.join(missing)
        if strict:
            give_up(text)
        say(text)


def is_installed(package: str) -> bool:
    """Whether dpkg has the package."""
    try:
        asked = subprocess.run(['dpkg-query', '-W', '-f', '${Status}', package],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return False
    return asked.stdout.endswith(' installed')


def _fingerprint(files: Sequence[Path]) -> str:
    """Changes when one of the files does, or a file that it includes."""
    digest = hashlib.sha256()
    for path in sorted(set(files) | set(ROOT.glob('tests/requirements*.txt'))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure_environment(name: str, python: Path, requirements: Sequence[str]) -> Path:
    """Make the virtual environment `.venv/NAME`, with the project and the requirements in it, unless it is there.

    :param requirements: what pip gets: names, or ``-r`` and files.
    :returns: its bin folder.
    """
    folder = ENVIRONMENTS / name
    stamp = folder / 'stamp'
    listed = [path for path in requirements if path.endswith('.txt')]
    files = [ROOT / path for path in ('setup.cfg', 'pyproject.toml', *listed)]
    wanted = _fingerprint(files) + str(python) + ' '.join(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return folder / 'bin'
    say('making %s with %s' % (folder.relative_to(ROOT), python))
    shutil.rmtree(folder, ignore_errors=True)
    if run([python, '-m', 'venv', folder]):
        give_up('no virtual environment could be made; on Debian and Ubuntu install python3-venv')
    # Most of what is installed is never imported; what is, is compiled then.
    pip = [folder / 'bin' / 'python', '-m', 'pip', '--disable-pip-version-check', '--quiet', 'install', '--no-compile']
    if run([*pip, *requirements, '--editable', '.']):
        give_up('pip failed')
    stamp.write_text(wanted)
    return folder / 'bin'
