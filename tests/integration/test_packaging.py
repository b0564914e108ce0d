"""What `pip install` gives, and that what travels to targets is written for their Pythons."""

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.harness.engines import ROOT

pytestmark = pytest.mark.once

#: Folders whose code is sent to targets.
TRAVELLING = ('mitogen', 'ansible_mitogen/target')


def test_wheel_has_both_packages_and_the_plugins(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = ('mitogen', 'ansible_mitogen', 'ansible_collections')
    sources = [path for package in packages for path in (ROOT / package).rglob('*.py')]
    wanted = {str(path.relative_to(ROOT)) for path in sources}
    assert wanted <= names
    assert 'ansible_mitogen/plugins/strategy/mitogen_linear.py' in names
    assert 'ansible_collections/mitogen/ansible/meta/runtime.yml' in names
    assert not [name for name in names if name.startswith('tests')]


def travelling_files() -> list[Path]:
    """Sources that run on targets."""
    return sorted(path for folder in TRAVELLING for path in (ROOT / folder).rglob('*.py'))


def test_what_travels_is_in_the_syntax_of_python_3_6() -> None:
    for path in travelling_files():
        ast.parse(path.read_text(), str(path), feature_version=(3, 6))


def test_what_travels_compiles_with_the_oldest_python_found() -> None:
    python = _oldest_python()
    if python is None:
        pytest.skip('no Python older than the tests\' own was found')
    code = 'import sys\nfor path in sys.argv[1:]:\n    compile(open(path, encoding="utf-8").read(), path, "exec")'
    subprocess.run([str(python), '-c', code, *map(str, travelling_files())], check=True, timeout=60)


def _oldest_python() -> Path | None:
    folders = [Path(folder) for folder in os.environ.get('PATH', '').split(os.pathsep)]
    folders += sorted(Path.home().glob('.pyenv/versions/3.*/bin'))
    for minor in range(6, sys.version_info[1]):
        for folder in folders:
            path = folder / f'python3.{minor}'
            if path.exists() and subprocess.run([str(path), '-c', ''], capture_output=True).returncode == 0:
                return path
    return None
