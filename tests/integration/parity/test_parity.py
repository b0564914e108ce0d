"""The same playbook under stock Ansible and under the project: every field of every result is the same."""

import base64
import copy
import dataclasses
import hashlib
import io
import os
import pwd
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.network import web_server
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd
from tests.integration.parity.compare import Comparison
from tests.integration.parity.masks import MASKS
from tests.integration.parity.scenes import TIMEOUT, copy_playbooks
from tests.integration.parity.trees import describe

# A test may have to play the reference first.
pytestmark = pytest.mark.timeout(1300)

PAGE = 'a page\n'


@dataclass
class World:
    """What the playbook works on. Every run gets it as new, under the same paths."""

    folder: Path
    web_port: int
    owner: int
    other: str
    settings: list[Path]

    @property
    def work(self) -> Path:
        """The playbook's folder on the target."""
        return self.folder / 'work'

    @property
    def shared(self) -> Path:
        """A folder of the target in which every account may write."""
        return self.folder / 'shared'

    @property
    def fetched(self) -> Path:
        """The playbook's folder on the controller."""
        return self.folder / 'fetched'

    @property
    def user_name(self) -> str:
        """The account that the playbook makes and removes."""
        return f'mtp{self.user_id}'

    @property
    def user_id(self) -> int:
        """A uid of its own for each process that runs tests."""
        return 40000 + os.getpid() % 10000

    def renew(self) -> None:
        """Back to the start."""
        for folder in (self.work, self.shared, self.fetched):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        os.chown(self.work, self.owner, -1)
        self.shared.chmod(0o777)
        for settings in self.settings:
            shutil.rmtree(settings / 'tmp', ignore_errors=True)
        self.remove_user()

    def remove_user(self) -> None:
        """Remove what the playbook would have removed, had it come to its end."""
        if self.user_name in {entry.pw_name for entry in pwd.getpwall()}:
            subprocess.run(['userdel', '--remove', '--force', self.user_name], check=True, capture_output=True)

    def variables(self) -> dict[str, Any]:
        """Variables of the playbook."""
        return {
            'work': str(self.work),
            'shared': str(self.shared),
            'fetched': str(self.fetched),
            'web_port': self.web_port,
            'user_name': self.user_name,
            'user_id': self.user_id,
            'page_sha256': hashlib.sha256(PAGE.encode()).hexdigest(),
            'wheel': str(self.folder / 'web' / WHEEL),
            'virtualenv': str(self.folder / 'virtualenv'),
            'repository': str(self.folder / 'repository'),
            'other_account': self.other,
            'host_key': HOST_KEY,
        }


WHEEL = 'parity_sample-1.0-py3-none-any.whl'

#: Does as `python3 -m venv`, except that the pip in there is that of the tests: to install one takes longer than
#: all that the playbook does with it.
VIRTUALENV = '''\
#!/bin/sh
[ "$1" = --help ] && exit
for folder; do :; done
/usr/bin/python3 -m venv --without-pip "$folder"
ln -s {pip} "$folder"/lib/python3.*/site-packages/
cat > "$folder/bin/pip3" <<end
#!$folder/bin/python
from pip._internal.cli.main import main
raise SystemExit(main())
end
chmod +x "$folder/bin/pip3"
'''

HOST_KEY = 'ssh-ed25519 ' + base64.b64encode(b'\0\0\0\x0bssh-ed25519\0\0\0\x20' + bytes(range(32))).decode()


def make_wheel(path: Path) -> None:
    """The smallest thing that pip installs."""
    files = {
        'parity_sample.py': 'VALUE = 42\n',
        'parity_sample-1.0.dist-info/METADATA': 'Metadata-Version: 2.1\nName: parity-sample\nVersion: 1.0\n',
        'parity_sample-1.0.dist-info/WHEEL': 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    }
    record = ''.join(f'{name},,\n' for name in (*files, 'parity_sample-1.0.dist-info/RECORD'))
    with zipfile.ZipFile(path, 'w') as wheel:
        for name, text in {**files, 'parity_sample-1.0.dist-info/RECORD': record}.items():
            wheel.writestr(name, text)


def make_sources(folder: Path) -> None:
    """The web server's files, the archives and the git repository."""
    web = folder / 'web'
    web.mkdir()
    (web / 'page.txt').write_text(PAGE)
    make_wheel(web / WHEEL)
    (folder / 'virtualenv').write_text(VIRTUALENV.format(pip=Path(find_spec('pip').origin).parent))
    (folder / 'virtualenv').chmod(0o755)
    (folder / 'bytes.bin').write_bytes(bytes(range(256)) * 300)
    with tarfile.open(folder / 'archive.tar.gz', 'w:gz') as archive:
        for name, text in (('packed/a.txt', 'a\n'), ('packed/b.txt', 'b\n')):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(text), 1_600_000_000
            archive.addfile(member, io.BytesIO(text.encode()))
    with zipfile.ZipFile(folder / 'archive.zip', 'w') as zipped:
        zipped.writestr(zipfile.ZipInfo('zipped/c.txt', (2020, 1, 2, 3, 4, 6)), 'c\n')
    repository = folder / 'repository'
    git = ['git', '-c', 'user.name=Tests', '-c', 'user.email=tests@example.com', '-C', str(repository)]
    subprocess.run(['git', 'init', '-q', '-b', 'main', str(repository)], check=True)
    (repository / 'README').write_text('a repository\n')
    subprocess.run([*git, 'add', 'README'], check=True)
    subprocess.run([*git, 'commit', '-q', '-m', 'first'], check=True)


def through_sudo(sshd: Sshd, accounts: Accounts) -> dict[str, Any]:
    """Over ssh to an account that becomes root by its password."""
    return sshd.variables(accounts.passwd, as_root=True, ansible_become_password=accounts.passwd.password)


#: The ways to the target: inventory variables, from the sshd and the accounts. First the one with a test of its own:
#: pytest orders tests by the number of a parameter.
WAYS: dict[str, Callable[[Sshd, Accounts], dict[str, Any]]] = {
    'ssh-sudo': through_sudo,
    'ssh-sudo-more': through_sudo,
    'ssh-root': lambda sshd, accounts: sshd.variables(as_root=False),
    # The home that the runs have in their environment is not that of the account, where this connection looks.
    'local': lambda sshd, accounts: {
        'ansible_connection': 'local',
        'ansible_async_dir': str(sshd.folder / 'jobs'),
        'ansible_python_interpreter': '/usr/bin/python3',
        'as_root': False,
    },
}


#: Tags of the tasks that are played on a way. All are over ssh with sudo, in halves that can run side by side; on the
#: others, what the modules of the rest do on a host is the same however they came there.
PLAYED = {'ssh-sudo': 'commands,files,network,control', 'ssh-sudo-more': 'transfers,system',
          'ssh-root': 'commands,transfers', 'local': 'commands,transfers'}

#: Which ansible-cores a way is played on: the half with most to it on each, the other where all tests are run. The
#: others once: modules, jobs and transfers on this machine are in styles.yml, which is played on more than one, and
#: those as root differ from the first way's in nothing but that the login account has no need of sudo, as the tasks of
#: the login account there.
MARKS = {'ssh-sudo': [pytest.mark.every_core], 'ssh-sudo-more': [],
         'ssh-root': [pytest.mark.once], 'local': [pytest.mark.once]}


def grouped(name: str, *marks: pytest.MarkDecorator) -> ParameterSet:
    """The tests of one way belong into one process, which then plays the reference only once."""
    return pytest.param(name, marks=[pytest.mark.xdist_group(name), *marks])


@pytest.fixture(scope='module', params=[grouped(name, *MARKS[name]) for name in WAYS])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@dataclass
class Outcome:
    """A run, and the folders that it left."""

    run: Run
    target: dict[str, Any]
    fetched: dict[str, Any]


Play = Callable[[Engine], Outcome]


@pytest.fixture(scope='module')
def play(way: str, session_folder: Path, accounts: Accounts) -> Iterator[Play]:
    """Runs the playbook on a world that is as new."""
    folder = session_folder / f'parity-{way}'
    folder.mkdir()
    folder.chmod(0o755)
    make_sources(folder)
    owner = accounts.passwd.uid if WAYS[way] is through_sudo else 0

    def run(engine: Engine) -> Outcome:
        world.renew()
        # Stock hands temporary files from one unprivileged account to another, and there may be no ACLs.
        settings = {'diff': {'always': 'True'}, 'defaults': {'allow_world_readable_tmpfiles': 'True'}}
        project = Project(folder / 'project', settings)
        try:
            copy_playbooks(project)
            project.add_host('target', WAYS[way](sshd, accounts), world.variables())
            ended = project.start_playbook('site.yml', engine, arguments=['--tags', PLAYED[way]]).wait(TIMEOUT)
            return Outcome(ended, describe(world.work), describe(world.fetched))
        finally:
            project.remove()
            world.remove_user()

    # Without lists of packages, apt has read in no time what is installed.
    sshd = Sshd(folder / 'sshd', emptied=['/var/lib/apt/lists', '/var/cache/apt'], keeps_code=True)
    root_settings = sshd.private.get(str(Path('~/.ansible').expanduser()))
    settings = [account.home / '.ansible' for account in accounts] + ([root_settings] if root_settings else [])
    try:
        with web_server(folder / 'web') as port:
            world = World(folder, port, owner, accounts.other.name, settings)
            yield run
    finally:
        sshd.stop()


@pytest.fixture(scope='module')
def stock(play: Play) -> Outcome:
    """What everybody's results must be."""
    return play(STOCK)


def compare(expected: Outcome, found: Outcome, comparison: Comparison) -> None:
    differences = comparison.runs(expected.run, found.run)
    differences += comparison.trees('(target)', expected.target, found.target)
    differences += comparison.trees('(controller)', expected.fetched, found.fetched)
    assert not differences, '\n'.join(map(str, sorted(differences, key=str)))


def test_stock_run_is_a_good_reference(stock: Outcome, way: str) -> None:
    # ansible-core 2.16 shows the traceback of the module that crashes on purpose.
    assert stock.run.status == 0, stock.run.text
    assert len({result.action for result in stock.run.results}) >= (20 if WAYS[way] is through_sudo else 12)
    assert stock.run.stats['target']['unreachable'] == 0


# One way is enough to show what differs by itself, and has all kinds of it; the tasks that are skipped have none. So is
# one ansible-core: two runs of stock differ for the same reasons on each, and the oldest has all masks.
@pytest.mark.once
@pytest.mark.parametrize('way', [grouped('ssh-sudo')], indirect=True)
def test_stock_equals_itself_and_every_mask_is_of_use(play: Play, stock: Outcome) -> None:
    comparison = Comparison()
    assert not comparison.runs(stock.run, play(STOCK).run)
    # Which variables there are depends on the way.
    assert not [mask for mask in MASKS if mask not in comparison.used and '.ansible_env.' not in mask.field]


def test_results_equal_those_of_stock(play: Play, stock: Outcome) -> None:
    outcome = play(MITOGEN)
    compare(stock, outcome, Comparison())
    assert not outcome.run.left


@pytest.mark.parametrize('way', [grouped('ssh-sudo', *MARKS['ssh-sudo'])], indirect=True)
def test_a_wrong_field_is_noticed(stock: Outcome) -> None:
    wrong = copy.deepcopy(stock.run)
    index = next(index for index, result in enumerate(wrong.results) if result.task == 'command')
    result = {**wrong.results[index].result, 'stdout': 'somebody'}
    wrong.results[index] = dataclasses.replace(wrong.results[index], result=result)
    differences = Comparison().runs(stock.run, wrong)
    assert [(difference.task, difference.field) for difference in differences] == [('command', 'stdout')]
