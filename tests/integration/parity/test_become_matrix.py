"""Every way of becoming another account, with all that can go wrong: the same as under stock Ansible."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.accounts import Accounts, doas_allowed
from tests.harness.engines import MITOGEN, STOCK
from tests.harness.sshd import Sshd
from tests.integration.parity.masks import BECOME_MASKS, CORE, MASKS
from tests.integration.parity.scenes import Outcome, Scene

pytestmark = [pytest.mark.timeout(1300), pytest.mark.xdist_group('become-matrix'), pytest.mark.ends]

#: A program which asks as ksu does, then goes on with sudo.
KSU = '''\
#!/bin/sh
user=$1
shift
[ "$1" = -e ] && shift
printf 'Kerberos password for %s@EXAMPLE.COM: ' "$user" >&2
IFS= read -r word
if [ "$word" != 'open sesame' ]; then
    echo 'ksu: Password incorrect' >&2
    exit 1
fi
exec sudo -n -H -u "$user" "$@"
'''

#: One host for each program, one here, and one that fails: the other ways differ in how the account is become, which
#: every host shows, and not in what is done as that account then.
WRITING = ('sudo-with-password', 'sudo-wrong-password', 'su-with-password', 'doas-with-password', 'local-sudo')


def become(method: str, user: str, **more: Any) -> dict[str, Any]:
    """Variables for a method."""
    return {'ansible_become_method': method, 'ansible_become_user': user,
            **{f'ansible_{name}': value for name, value in more.items()}}


def matrix(sshd: Sshd, accounts: Accounts, folder: Path) -> dict[str, dict[str, Any]]:
    """The variables of each host."""
    nopasswd, passwd, plain, other = accounts.nopasswd, accounts.passwd, accounts.plain, accounts.other
    general = 'community.general.'
    here = {'ansible_connection': 'local', 'ansible_python_interpreter': '/usr/bin/python3'}
    return {
        'sudo-to-root': {**sshd.variables(nopasswd), **become('sudo', 'root')},
        'sudo-with-password': {
            **sshd.variables(passwd), **become('ansible.builtin.sudo', other.name, become_password=passwd.password)},
        'sudo-old-variable': {**sshd.variables(passwd), **become('sudo', 'root', sudo_pass=passwd.password)},
        'sudo-wrong-password': {**sshd.variables(passwd), **become('sudo', 'root', become_password='wrong')},
        'sudo-no-password': {**sshd.variables(passwd), **become('sudo', 'root')},
        'sudo-nobody': {**sshd.variables(nopasswd), **become('sudo', 'no-such-account')},
        'su-from-root': {**sshd.variables(), **become('su', other.name)},
        'su-with-password': {**sshd.variables(plain), **become('su', other.name, become_password=other.password)},
        'su-wrong-password': {**sshd.variables(plain), **become('su', other.name, become_password='wrong')},
        'doas-to-root': {**sshd.variables(nopasswd), **become(general + 'doas', 'root')},
        'doas-with-password': {
            **sshd.variables(plain), **become(general + 'doas', other.name, become_password=plain.password),
            # doas asks on a terminal only. Stock lets a become plugin say so from ansible-core 2.19 on.
            'ansible_pipelining': CORE >= (2, 19)},
        'sudosu': {**sshd.variables(nopasswd), **become(general + 'sudosu', other.name)},
        'ksu': {
            **sshd.variables(nopasswd),
            **become(general + 'ksu', other.name, become_password='open sesame', become_exe=str(folder / 'ksu'))},
        'no-such-method': {**sshd.variables(nopasswd), **become('no.such.method', 'root')},
        'local-sudo': {**here, **become('sudo', other.name)},
        'local-su': {**here, **become('su', other.name)},
        # Variables would win over what the tasks say.
        'loop-by-ssh': sshd.variables(nopasswd),
        'loop-here': here,
    }


@pytest.fixture(scope='module')
def scene(session_folder: Path, sshd: Sshd, accounts: Accounts, collections_path: str) -> Iterator[Scene]:
    folder = session_folder / 'become'
    folder.mkdir()
    folder.chmod(0o755)
    (folder / 'ksu').write_text(KSU)
    (folder / 'ksu').chmod(0o755)
    # Else ssh tells the first host whose connection it is, which is a matter of luck, that the key is new.
    (sshd.folder / 'known_hosts').write_text(sshd.host_key_line())
    shared, jobs = folder / 'shared', folder / 'jobs'

    def prepare() -> None:
        for path in (shared, jobs):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            path.chmod(0o777)

    hosts = {}
    for name, variables in matrix(sshd, accounts, folder).items():
        hosts[name] = {
            **variables,
            'shared': str(shared),
            'writes': name in WRITING,
            'jobs': str(jobs),
            'accounts': ['root', accounts.other.name, accounts.plain.name],
            'helper': 'loop-here' if name == 'loop-by-ssh' else 'loop-by-ssh',
        }
    settings = {'defaults': {'allow_world_readable_tmpfiles': 'True', 'forks': '6', 'timeout': '60',
                             'collections_path': collections_path}}
    rules = (f'permit nopass {accounts.nopasswd.name}', f'permit {accounts.plain.name} as {accounts.other.name}')
    with doas_allowed(*rules):
        yield Scene(folder, 'become.yml', hosts, prepare, {'shared': shared}, settings)


@pytest.fixture(scope='module')
def stock(scene: Scene) -> Outcome:
    return scene.play(STOCK)


def test_stock_run_is_a_good_reference(stock: Outcome) -> None:
    became = {result.host for result in stock.run.results if result.task == 'who' and result.status == 'ok'}
    assert {host for host in stock.run.stats if host not in became} == {
        'sudo-wrong-password', 'sudo-no-password', 'sudo-nobody', 'su-wrong-password', 'no-such-method'}, stock.run.text
    assert len(became) == 13


def test_results_equal_those_of_stock(stock: Outcome, scene: Scene) -> None:
    found = scene.play(MITOGEN)
    stock.assert_same(found, (*BECOME_MASKS, *MASKS))
    assert not found.run.left
