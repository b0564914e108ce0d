"""Hosts that are reached through others: `mitogen_via`."""

from collections.abc import Iterator

import pytest

from tests.harness.accounts import Accounts
from tests.harness.containers import Container, Engine
from tests.harness.engines import MITOGEN
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.project import Project
from tests.harness.sshd import Sshd

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
