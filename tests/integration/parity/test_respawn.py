"""Modules that start again under the system's Python, for its libraries: the same as under stock Ansible."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK
from tests.harness.pythons import find_python
from tests.harness.sshd import Sshd
from tests.integration.parity.masks import MASKS, RESPAWN_MASKS
from tests.integration.parity.scenes import Outcome, Scene

pytestmark = [pytest.mark.timeout(1300), pytest.mark.xdist_group('respawn'), pytest.mark.ends]

SYSTEM = '/usr/bin/python3'

#: Versions that every supported ansible-core takes for a target.
SECOND = ('3.12', '3.13', '3.10', '3.9')

#: What cannot succeed: the interpreter lacks the libraries, and the rest is wrong on purpose.
FAILING = {
    'second': {'interpreter'},
    'virtual': {'interpreter', 'apt with more than one', 'apt_repository that is wrong', 'dnf has no such package'},
}

#: Only later versions of ansible-core start this module again.
MAY_FAIL = {'deb822_repository', 'deb822_repository removed'}

DNF = '''\
[main]
reposdir={0}/repos
cachedir={0}/cache
persistdir={0}/lib
logdir={0}
module_platform_id=platform:el9
'''


def second_python() -> str:
    """A Python of this machine that the system's libraries were not built for."""
    found = [path for path in map(find_python, SECOND) if path and not path.startswith('/usr/bin/')]
    return found[0] if found else sys.executable


@pytest.fixture(scope='module')
def scene(session_folder: Path, accounts: Accounts) -> Iterator[Scene]:
    folder = session_folder / 'respawn'
    folder.mkdir()
    folder.chmod(0o755)
    virtual = folder / 'venv'
    subprocess.run([SYSTEM, '-m', 'venv', '--without-pip', str(virtual)], check=True)
    rpm, repository = folder / 'rpm', folder / 'repository'

    def prepare() -> None:
        # Who needs it first is told that it is made.
        settings = Path('~/.ansible').expanduser()
        (server.private.get(str(settings), settings) / 'tmp').mkdir(mode=0o700, exist_ok=True)
        for made in (rpm, repository):
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
        (repository / 'Packages').touch()
        (rpm / 'dnf.conf').write_text(DNF.format(rpm))

    # Without lists of packages, apt has read in no time what is installed.
    server = Sshd(folder / 'sshd', emptied=['/etc/apt/sources.list.d', '/var/lib/apt/lists', '/var/cache/apt'],
                  keeps_code=True)
    hosts = {
        name: server.variables(ansible_python_interpreter=interpreter, rpm=str(rpm),
                               local_repository=str(repository), other_account=accounts.other.name)
        for name, interpreter in (('virtual', str(virtual / 'bin' / 'python')), ('second', second_python()))
    }
    try:
        yield Scene(folder, 'respawn.yml', hosts, prepare)
    finally:
        server.stop()
        for written in Path('/etc/apt/sources.list.d').glob('parity-*'):
            # On a machine where the sshd cannot have folders of its own.
            written.unlink()


@pytest.fixture(scope='module')
def stock(scene: Scene) -> Outcome:
    return scene.play(STOCK)


def test_stock_run_is_a_good_reference(stock: Outcome) -> None:
    for host, failing in FAILING.items():
        statuses = stock.run.statuses(host)
        assert len(statuses) == 17
        assert {task for task, status in statuses.items() if status == 'failed'} - MAY_FAIL == failing
    assert len({result.task for result in stock.run.results if result.status == 'skipped'}) == 9


def test_results_equal_those_of_stock(stock: Outcome, scene: Scene) -> None:
    found = scene.play(MITOGEN)
    stock.assert_same(found, (*RESPAWN_MASKS, *MASKS))
    assert not found.run.left
