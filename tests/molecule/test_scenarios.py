"""Molecule tests a role in Docker with this project's strategy set for everything, creation of containers included."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import containers

ROOT = Path(__file__).parents[2]

#: Each makes containers, converges, does so again without a change, verifies, and removes them.
SCENARIOS = ['default', 'plugin-driver', 'pythons']


# One after the other: the first makes the virtual environment.
pytestmark = [pytest.mark.xdist_group('molecule'), pytest.mark.timeout(1800)]


@pytest.mark.parametrize('scenario', SCENARIOS)
def test_scenario_passes(scenario: str, docker: containers.Engine) -> None:
    done = subprocess.run([sys.executable, 'scripts/molecule', scenario], cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1700)
    assert done.returncode == 0, done.stdout[-10000:]
    # The steps that are not merely skipped.
    for step in ('create', 'converge', 'idempotence', 'verify', 'destroy'):
        assert step in done.stdout
    assert not docker.run('ps', '--all', '--quiet', '--filter', 'name=mitogen-')
