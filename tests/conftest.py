"""Fixtures of the integration tests. Unit tests need none of them, and pay for none."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_release

from tests.harness import containers, galaxy
from tests.harness.accounts import Accounts, throw_away_accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.environments import build_wheel, make_environment
from tests.harness.leftovers import Leftovers
from tests.harness.project import Project, empty_project
from tests.harness.sshd import SSHD, Sshd

#: Programs that the tests drive, by the Debian package that has each.
PROGRAMS = {
    'sudo': 'sudo',
    'su': 'util-linux',
    'sshpass': 'sshpass',
    'ssh': 'openssh-client',
    'ssh-keygen': 'openssh-client',
    'useradd': 'passwd',
    'crontab': 'cron',
    'unzip': 'unzip',
    'strace': 'strace',
    'git': 'git',
    'doas': 'opendoas',
    'fish': 'fish',
    'zsh': 'zsh',
}

CORE = tuple(int(part) for part in ansible_release.split('.')[:2])

#: Tests of what there is from ansible-core 2.19 on: workers in threads, and a function that parses modules.
collect_ignore = [] if CORE >= (2, 19) else [
    'unit/test_workers.py', 'integration/test_workers.py', 'unit/test_module_imports.py',
    'unit/test_template_code.py']

INTEGRATION = Path(__file__).with_name('integration')


# Before pytest leaves out what its option -m does not want.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in the integration folder, and what stock Ansible runs there by itself; bring all in order."""
    for item in items:
        if INTEGRATION in item.path.parents:
            item.add_marker('integration')
        # That shows that a test asks for what stock does. Where the two are compared on each ansible-core, in
        # tests/integration/parity, and wherever else one test runs both, neither is a parameter.
        parameters = item.callspec.params.values() if hasattr(item, 'callspec') else ()
        if any(isinstance(value, Engine) and not value.ours for value in parameters):
            item.add_marker('once')
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """When a test's turn comes: what takes long comes early, that no process works on it when the others have ended."""
    takes_long = item.get_closest_marker('timeout'), item.get_closest_marker('xdist_group'), item.get_closest_marker(
        'integration')
    return next((turn for turn, mark in enumerate(takes_long) if mark is not None), len(takes_long))


def _missing() -> str:
    """What this machine lacks to run the integration tests; empty when it lacks nothing."""
    if sys.platform != 'linux':
        return 'Linux'
    if os.geteuid() != 0:
        return 'to be root (they make accounts)'
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    packages += [] if SSHD else ['openssh-server']
    if not Path(sys.executable).with_name('ansible-playbook').exists():
        packages.append('ansible-core beside the Python that runs pytest')
    return ', '.join(packages)


@pytest.fixture(scope='session')
def machine() -> None:
    """A machine that can run the integration tests; else they are skipped, or fail where CI is set."""
    missing = _missing()
    if missing and os.environ.get('CI'):
        pytest.fail(f'integration tests need {missing}')
    if missing:
        pytest.skip(f'integration tests need {missing}')


@pytest.fixture(scope='session')
def container_machine() -> None:
    """A machine that can run containers; else the tests are skipped, or fail where CI is set."""
    missing = containers.missing() if sys.platform == 'linux' else ['Linux']
    missing += ['to be root'] * (os.geteuid() != 0)
    if missing and os.environ.get('CI'):
        pytest.fail(f'the tests of containers need {", ".join(missing)}')
    if missing:
        pytest.skip(f'the tests of containers need {", ".join(missing)}')


@pytest.fixture(scope='session')
def docker(container_machine: None) -> Iterator[containers.Engine]:
    """Docker, with a daemon that all tests of the machine share."""
    with containers.docker() as engine:
        yield engine


@pytest.fixture(scope='session')
def podman(container_machine: None) -> containers.Engine:
    """Podman, with a store that all tests of the machine share."""
    return containers.podman()


@pytest.fixture(scope='session')
def collections_path(machine: None) -> str:
    """The folder of the collections that fit the ansible-core under test."""
    return str(galaxy.collections_path('.'.join(version('ansible-core').split('.')[:2])))


@pytest.fixture(scope='session')
def session_folder(machine: None) -> Iterator[Path]:
    """A folder with a short path which all accounts can enter."""
    # Not pytest's own: a UNIX socket's path has 108 bytes, and its folders are closed to other accounts. And not in
    # /tmp: sessions of the tests' sshd have another one.
    folder = Path(tempfile.mkdtemp(prefix='mt-', dir='/var/tmp'))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='session')
def accounts(machine: None) -> Iterator[Accounts]:
    """Throw-away accounts of this machine."""
    with throw_away_accounts() as made:
        yield made


@pytest.fixture(scope='session')
def sshd(session_folder: Path) -> Iterator[Sshd]:
    """An sshd that all tests share."""
    server = Sshd(session_folder / 'sshd')
    yield server
    server.stop()


@pytest.fixture(scope='session')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built once for all processes of the run."""
    base = tmp_path_factory.getbasetemp()
    # Each process has its own folder in one that they share.
    folder = (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'wheel'
    folder.mkdir(exist_ok=True)
    with (folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return next(folder.glob('*.whl'), None) or build_wheel(folder)


@pytest.fixture(scope='session')
def installed(wheel: Path, session_folder: Path) -> Path:
    """The bin folder of an environment with Ansible, where pip has installed the wheel."""
    return make_environment(session_folder / 'installed', wheel)


@pytest.fixture
def new_sshd(session_folder: Path) -> Iterator[Callable[[], Sshd]]:
    """Starts further sshds, for tests that kill one."""
    made: list[Sshd] = []

    def start() -> Sshd:
        folder = Path(tempfile.mkdtemp(prefix='s', dir=session_folder))
        folder.chmod(0o755)
        made.append(Sshd(folder / 'sshd'))
        return made[-1]

    yield start
    for server in made:
        server.stop()


@pytest.fixture
def project(session_folder: Path) -> Iterator[Project]:
    """An empty project of a user."""
    with empty_project(session_folder) as made:
        yield made


@pytest.fixture
def leftovers(project: Project, sshd: Sshd, accounts: Accounts) -> Leftovers:
    """The state of both sides before the test."""
    return Leftovers(project, [sshd], accounts)


@pytest.fixture(params=[STOCK, MITOGEN], ids=str)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Stock Ansible, to show what is expected of everybody, and the project."""
    return request.param
