"""The benchmark's own virtual environments, made on first use."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paths import VENVS, BenchError

#: Seconds for one pip run: it downloads a few MB from the configured index.
PIP_TIMEOUT = 600


@dataclass(frozen=True)
class Core:
    """An ansible-core series and the controller Pythons it runs on, best first."""

    series: str
    pythons: tuple[str, ...]


CORES = {
    core.series: core
    for core in (
        Core('2.19', ('3.11', '3.12', '3.13')),
        Core('2.21', ('3.12', '3.13', '3.14')),
    )
}


def find_python(versions: tuple[str, ...]) -> str:
    """Return the first interpreter of these versions, from PATH or from pyenv.

    :raises BenchError: this machine has none of them.
    """
    for version in versions:
        if version == f'{sys.version_info[0]}.{sys.version_info[1]}':
            return sys.executable
        candidates = [shutil.which(f'python{version}')]
        candidates += sorted(
            map(str, Path.home().glob(f'.pyenv/versions/{version}.*/bin/python{version}')), reverse=True
        )
        for candidate in filter(None, candidates):
            # A pyenv shim exists for versions which are not selected, and then only prints an error.
            if subprocess.run([candidate, '-c', ''], capture_output=True, timeout=30).returncode == 0:
                return candidate
    raise BenchError(f'no Python {" or ".join(versions)} found, which this ansible-core needs')


def ensure_venv(name: str, versions: tuple[str, ...], requirements: tuple[str, ...]) -> Path:
    """Return the virtual environment `name`, made or brought up to date if it is not as required."""
    path = VENVS / name
    stamp = path / 'requirements.json'
    wanted = json.dumps(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return path
    VENVS.mkdir(exist_ok=True)
    (VENVS / '.gitignore').write_text('*\n')
    print(f'making {path.relative_to(VENVS.parent)}: {", ".join(requirements)}', file=sys.stderr)
    shutil.rmtree(path, ignore_errors=True)
    steps = (
        [find_python(versions), '-m', 'venv', str(path)],
        [str(path / 'bin' / 'pip'), 'install', '--quiet', '--disable-pip-version-check', *requirements],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, timeout=PIP_TIMEOUT)
        if done.returncode:
            raise BenchError(f'{" ".join(step)} failed:\n{done.stderr.strip()[-2000:]}')
    stamp.write_text(wanted)
    return path


def installed_version(venv: Path, distribution: str) -> str:
    """Return the version of a distribution installed in `venv`."""
    code = 'import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))'
    # Isolated: the current directory may hold what the build of this project has left.
    command = [str(venv / 'bin' / 'python'), '-I', '-c', code, distribution]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()
