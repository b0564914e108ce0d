"""Hosts that are reached through others: `mitogen_via`."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.accounts import Accounts
from tests.harness.containers import Container, Engine
from tests.harness.engines import MITOGEN
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.project import Project
from tests.harness.sshd import Sshd
from tests.harness.wire import code_in

pytestmark = pytest.mark.xdist_group('containers')

TASKS = '''
- {name: probe, probe: , register: report}
- {name: parent, command: "cat /proc/{{ report.parent }}/cmdline"}
- {name: copy, copy: {content: abc, dest: "/tmp/{{ inventory_hostname }}"}}
- {name: remove, file: {path: /tmp/behind, state: absent}, when: inventory_hostname == 'behind'}
- {name: raw, raw: id -un}
- {name: reset, meta: reset_connection}
- {name: after the reset, ping: }
'''


#: Stands in for ssh on the host that is gone through: nobody gets on before all have arrived.
RENDEZVOUS = '''\
#!/bin/sh
: > "{folder}/$$"
tries=0
while [ $(ls "{folder}" | wc -l) -lt {count} ]; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || {{ echo "the others did not arrive" >&2; exit 1; }}
    sleep 0.1
done
exec ssh "$@"
'''

#: Stands in for ssh, and keeps what is sent through it.
RECORDER = '''\
#!/usr/bin/python3
import os, select, subprocess, sys

with open("{folder}/%d" % os.getpid(), "wb", 0) as record:
    ssh = subprocess.Popen(["ssh", *sys.argv[1:]], stdin=subprocess.PIPE, bufsize=0)
    # What it is given does not block.
    while select.select([0], [], []) and (chunk := os.read(0, 65536)):
        record.write(chunk)
        ssh.stdin.write(chunk)
    ssh.stdin.close()
sys.exit(ssh.wait())
'''


@pytest.fixture(scope='module')
def container(docker: Engine) -> Iterator[Container]:
    with docker.container(docker.image(), '--init') as made:
        made.add_account('guest')
        yield made


def test_hosts_behind_others(project: Project, sshd: Sshd, accounts: Accounts, container: Container,
                             leftovers: Leftovers) -> None:
    project.write('library/probe.py', PROBE)
    # The program runs on the host that is gone through: it finds the daemon, or a key, by what is there.
    inside = {'ansible_connection': 'docker', 'ansible_host': container.name,
              'ansible_python_interpreter': '/usr/bin/python3',
              'ansible_docker_extra_args': ' '.join('-H ' + value for value in container.engine.settings.values())}
    project.add_host('bastion', sshd.variables(accounts.nopasswd), ansible_become=True)
    project.add_host('behind', sshd.variables(accounts.plain), mitogen_via="{{ 'bas' + 'tion' }}")
    project.add_host('gate', sshd.variables(accounts.passwd), mitogen_via='bastion', ansible_become=True,
                     ansible_become_password=accounts.passwd.password)
    project.add_host('in1', inside, mitogen_via='bastion')
    project.add_host('in2', inside, mitogen_via='gate', ansible_user='guest')
    logins = sshd.log.read_text().count('Accepted publickey for %s ' % accounts.nopasswd.name)
    run = project.play(TASKS, MITOGEN, hosts='behind,in1,in2', arguments=['-vvv'], timeout=300).assert_ok()
    for host, account in (('behind', accounts.plain.name), ('in1', 'root'), ('in2', 'guest')):
        assert 'MITOGEN-1' in run.task('parent', host).result['stdout']
        assert run.task('raw', host).result['stdout'].strip() == account
        assert run.task('after the reset', host).status == 'ok'
    # For all of them, and after the reset as well.
    assert sshd.log.read_text().count('Accepted publickey for %s ' % accounts.nopasswd.name) == logins + 1
    assert container.run('cat', '/tmp/in1', '/tmp/in2') == 'abcabc'
    assert not run.left
    leftovers.assert_none()


def test_a_way_that_is_none_is_told(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('closed', sshd.variables(accounts.plain, ansible_port=1))
    project.add_host('a', sshd.variables(accounts.plain), mitogen_via='b')
    project.add_host('b', sshd.variables(accounts.plain), mitogen_via='a')
    project.add_host('lost', sshd.variables(accounts.plain), mitogen_via='nowhere')
    project.add_host('behind', sshd.variables(accounts.plain), mitogen_via='closed')
    run = project.play('- {name: ping, ping: }', MITOGEN, hosts='a,lost,behind')
    assert run.task('ping', 'behind').status == 'unreachable'
    assert 'on the way through closed: ssh 127.0.0.1' in run.task('ping', 'behind').message
    assert 'Connection refused' in run.task('ping', 'behind').message
    assert 'mitogen_via names the host nowhere, which is not in the inventory' in run.task('ping', 'lost').message
    assert 'leads in a circle: a through b through a' in run.task('ping', 'a').message


def stand_in(project: Project, name: str, script: str, **values: object) -> tuple[str, Path]:
    """A program in the place of ssh, and the folder that it writes to."""
    folder = project.folder / (name + '.d')
    folder.mkdir()
    folder.chmod(0o777)
    return str(project.write(name, script.format(folder=folder, **values), 0o755)), folder


@pytest.mark.once
def test_hosts_behind_one_are_reached_side_by_side(
        project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers) -> None:
    behind = [accounts.plain, accounts.passwd, accounts.other]
    program, _ = stand_in(project, 'rendezvous', RENDEZVOUS, count=len(behind))
    project.add_host('bastion', sshd.variables(accounts.nopasswd), ansible_become=True)
    for account in behind:
        project.add_host(account.name, sshd.variables(account), mitogen_via='bastion', ansible_ssh_executable=program)
    names = [account.name for account in behind]
    run = project.play('- {name: who, command: id -un}', MITOGEN, hosts=','.join(names)).assert_ok()
    assert [run.task('who', name).result['stdout'] for name in names] == names
    leftovers.assert_none()


@pytest.mark.once
def test_code_crosses_each_link_once_for_all_hosts_behind_it(
        project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers) -> None:
    first, first_folder = stand_in(project, 'first', RECORDER)
    second, second_folder = stand_in(project, 'second', RECORDER)
    project.add_host('bastion', sshd.variables(accounts.nopasswd), ansible_ssh_executable=first, ansible_become=True)
    project.add_host('gate', sshd.variables(accounts.passwd), ansible_ssh_executable=second, mitogen_via='bastion',
                     ansible_become=True, ansible_become_password=accounts.passwd.password)
    names = []
    for account in (accounts.plain, accounts.tty, accounts.other):
        names.append(account.name)
        project.add_host(account.name, sshd.variables(account), mitogen_via='gate')
    run = project.play('''
        - {name: ping, ping: }
        - {name: copy, copy: {content: abc, dest: "~/copied"}}
        - {name: remove, file: {path: "~/copied", state: absent}}
        - {name: facts, setup: {gather_subset: "!all"}}
    ''', MITOGEN, hosts=','.join(names)).assert_ok()
    assert all(run.task('copy', name).result['changed'] for name in names)
    for folder in (first_folder, second_folder):
        (record,) = folder.iterdir()
        code = Counter(code_in(record.read_bytes()))
        assert code['ansible/module_utils/basic.py'] == code['ansible_mitogen.target.files'] == 1
        assert {name: count for name, count in code.items() if count > 1} == {}
    leftovers.assert_none()
