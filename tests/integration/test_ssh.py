"""Reaching hosts by ssh: every option means what it means to the stock plugin."""

import os
import re
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_release

from tests.harness.accounts import Accounts
from tests.harness.engines import CONNECTION_ONLY, MITOGEN, Engine
from tests.harness.network import HangingUp, silent_server, unanswering_server
from tests.harness.probes import PROBE
from tests.harness.project import Project
from tests.harness.sshd import Sshd

CORE = tuple(int(part) for part in ansible_release.split('.')[:2])

WHO = '''
- name: who
  command: id -un
'''

#: Forwards its standard streams to a port, after a note that it was there.
PROXY = '''\
#!/usr/bin/env python3
import os, selectors, socket, sys

with open(sys.argv[1], 'a') as used:
    used.write('used\\n')
remote = socket.create_connection((sys.argv[2], int(sys.argv[3])))
ways = {0: remote.sendall, remote.fileno(): lambda data: os.write(1, data)}
selector = selectors.DefaultSelector()
for fd in ways:
    selector.register(fd, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        data = os.read(key.fd, 65536)
        if not data:
            sys.exit()
        ways[key.fd](data)
'''


def test_root_and_an_ordinary_user(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables())
    project.add_host('web2', sshd.variables(accounts.plain))
    run = project.play(WHO, engine).assert_ok()
    assert run.task('who', 'web1').result['stdout'] == 'root'
    assert run.task('who', 'web2').result['stdout'] == accounts.plain.name


def test_remote_user_and_port_from_keywords_of_the_play(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.add_host('web1', sshd.variables(ansible_user=None, ansible_port=None))
    run = project.play(WHO, engine, keywords={'remote_user': accounts.plain.name, 'port': sshd.port}).assert_ok()
    assert run.task('who').result['stdout'] == accounts.plain.name


def test_task_that_changes_the_remote_user(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.add_host('web1', sshd.variables(ansible_user=None))
    run = project.play(f'''
        - name: first
          command: id -un
          remote_user: {accounts.plain.name}
        - name: second
          command: id -un
          remote_user: {accounts.other.name}
    ''', engine).assert_ok()
    assert run.task('first').result['stdout'] == accounts.plain.name
    assert run.task('second').result['stdout'] == accounts.other.name


@pytest.mark.parametrize('variable', ['ansible_ssh_args', 'ansible_ssh_extra_args'])
def test_arguments_for_ssh(variable: str, engine: Engine, project: Project, sshd: Sshd) -> None:
    project.add_host('web1', sshd.variables(), {variable: '''-o 'SetEnv=LC_MARK="from the command line"' '''})
    run = project.play('- {name: mark, shell: "echo $LC_MARK"}', engine).assert_ok()
    assert run.task('mark').result['stdout'] == 'from the command line'


def test_common_arguments_are_templates(engine: Engine, project: Project, sshd: Sshd) -> None:
    common = sshd.client_options() + ' -o SetEnv=LC_MARK={{ mark }}'
    project.add_host('web1', sshd.variables(ansible_ssh_common_args=common, mark='one'))
    project.add_host('web2', sshd.variables(ansible_ssh_common_args=common, mark='two'))
    run = project.play('- {name: mark, shell: "echo $LC_MARK"}', engine).assert_ok()
    assert [run.task('mark', host).result['stdout'] for host in ('web1', 'web2')] == ['one', 'two']


def test_delegated_host_gets_its_own_arguments(engine: Engine, project: Project, sshd: Sshd) -> None:
    for host in ('web1', 'web2'):
        project.add_host(host, sshd.variables(ansible_ssh_extra_args=f'-o SetEnv=LC_MARK={host}'))
    run = project.play('- {name: mark, shell: "echo $LC_MARK", delegate_to: web2}', engine, hosts='web1').assert_ok()
    assert run.task('mark').result['stdout'] == 'web2'


def test_settings_in_ansible_cfg(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', ansible_host='127.0.0.1', ansible_python_interpreter='/usr/bin/python3')
    project.configure('defaults', remote_user=accounts.plain.name, remote_port=str(sshd.port),
                      private_key_file=str(sshd.key))
    project.configure('ssh_connection', ssh_common_args=sshd.client_options())
    run = project.play(WHO, engine).assert_ok()
    assert run.task('who').result['stdout'] == accounts.plain.name


def test_host_alias_of_the_ssh_configuration(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    config = project.write('ssh_config', f'''\
        Host web1
            HostName 127.0.0.1
            Port {sshd.port}
            User {accounts.plain.name}
            IdentityFile {sshd.key}
            UserKnownHostsFile /dev/null
    ''')
    project.add_host('web1', ansible_ssh_common_args=f'-F {config}', ansible_python_interpreter='/usr/bin/python3')
    run = project.play(WHO, engine).assert_ok()
    assert run.task('who').result['stdout'] == accounts.plain.name


def test_executable_of_ssh(engine: Engine, project: Project, sshd: Sshd) -> None:
    wrapper = project.write('my-ssh', f'''\
        #!/bin/sh
        echo used >> {project.folder}/used
        exec ssh "$@"
    ''', 0o755)
    project.add_host('web1', sshd.variables(ansible_ssh_executable=str(wrapper)))
    project.play(WHO, engine).assert_ok()
    assert (project.folder / 'used').read_text().startswith('used\n')


def test_proxy_command(engine: Engine, project: Project, sshd: Sshd) -> None:
    proxy = project.write('proxy', PROXY, 0o755)
    used = project.folder / 'used'
    project.add_host('web1', sshd.variables(ansible_ssh_extra_args=f'-o ProxyCommand="{proxy} {used} %h %p"'))
    project.play(WHO, engine).assert_ok()
    assert used.exists()


def test_proxy_jump(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    config = project.write('ssh_config', f'''\
        Host *
            IdentityFile {sshd.key}
            StrictHostKeyChecking no
            UserKnownHostsFile /dev/null
        Host jump
            HostName 127.0.0.1
            Port {sshd.port}
            User {accounts.other.name}
    ''')
    project.add_host('web1', sshd.variables(
        accounts.plain, ansible_ssh_common_args=f'-F {config} -o ProxyJump=jump', ansible_ssh_private_key_file=None))
    run = project.play(WHO, engine).assert_ok()
    assert run.task('who').result['stdout'] == accounts.plain.name
    assert f'Accepted publickey for {accounts.other.name}' in sshd.log.read_text()


@pytest.mark.every_core
def test_password(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(
        accounts.plain, ansible_password=accounts.plain.password, ansible_ssh_private_key_file=None))
    run = project.play(WHO, engine).assert_ok()
    assert run.task('who').result['stdout'] == accounts.plain.name


def test_password_from_a_file_given_on_the_command_line(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    secret = project.write('secret', accounts.plain.password, 0o600)
    project.add_host('web1', sshd.variables(accounts.plain, ansible_ssh_private_key_file=None))
    run = project.play(WHO, engine, arguments=['--connection-password-file', str(secret)]).assert_ok()
    assert run.task('who').result['stdout'] == accounts.plain.name


@pytest.mark.parametrize('mechanism', ['ssh_askpass', 'sshpass'])
def test_mechanism_of_the_password(
    mechanism: str, engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.add_host('web1', sshd.variables(
        accounts.plain, ansible_password=accounts.plain.password, ansible_ssh_private_key_file=None,
        ansible_ssh_password_mechanism=mechanism))
    run = project.play(WHO, engine).assert_ok()
    assert run.task('who').result['stdout'] == accounts.plain.name


@pytest.mark.skipif(CORE < (2, 19), reason='ansible-core 2.19 brought keys in variables')
def test_key_with_a_passphrase(engine: Engine, project: Project, sshd: Sshd) -> None:
    project.add_host('web1', sshd.variables(
        ansible_ssh_private_key_file=None, ansible_ssh_private_key=sshd.locked_key.read_text(),
        ansible_ssh_private_key_passphrase=sshd.passphrase))
    project.configure('connection', ssh_agent='auto')
    run = project.play(WHO, engine).assert_ok()
    assert run.task('who').result['stdout'] == 'root'


def test_unknown_host_key_is_refused(engine: Engine, project: Project, sshd: Sshd) -> None:
    known_hosts = project.folder / 'known_hosts'
    common = re.sub('UserKnownHostsFile=[^ ]*', f'UserKnownHostsFile={known_hosts}', sshd.client_options())
    project.configure('defaults', host_key_checking='True')
    project.add_host('web1', sshd.variables(ansible_ssh_common_args=common + ' -o StrictHostKeyChecking=yes'))
    run = project.play(WHO, engine)
    assert run.status == 4
    assert run.statuses('web1') == {'who': 'unreachable'}
    assert 'Host key verification failed' in run.task('who').message


def test_known_host_key_is_accepted(engine: Engine, project: Project, sshd: Sshd) -> None:
    known_hosts = project.write('known_hosts', sshd.host_key_line())
    common = re.sub('UserKnownHostsFile=[^ ]*', f'UserKnownHostsFile={known_hosts}', sshd.client_options())
    project.configure('defaults', host_key_checking='True')
    project.add_host('web1', sshd.variables(ansible_ssh_common_args=common))
    project.play(WHO, engine).assert_ok()


@pytest.mark.every_core
@pytest.mark.parametrize('retries', [0, 2])
def test_retries(retries: int, engine: Engine, project: Project, sshd: Sshd) -> None:
    server = HangingUp()
    project.add_host('web1', sshd.variables(ansible_port=server.port, ansible_ssh_retries=retries))
    run = project.play(WHO, engine)
    server.close()
    assert run.statuses('web1') == {'who': 'unreachable'}
    assert server.connections == retries + 1


@pytest.mark.parametrize('server', [silent_server, unanswering_server])
def test_timeout_of_one_second(server: object, engine: Engine, project: Project, sshd: Sshd) -> None:
    # A host that answers is measured beside it: what ansible-playbook needs by itself is not under test.
    project.add_host('web1', sshd.variables())
    base = project.play(WHO, engine).assert_ok().seconds
    with server() as port:  # type: ignore[operator]
        project.add_host('web1', sshd.variables(ansible_port=port, ansible_timeout=1))
        run = project.play(WHO, engine)
    assert run.statuses('web1') == {'who': 'unreachable'}
    # Ansible's default is ten.
    assert run.seconds < base + 9


def test_interpreter_is_discovered(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.plain, ansible_python_interpreter=None))
    run = project.play('- {name: probe, probe: }', engine).assert_ok()
    executable = run.task('probe').result['executable']
    assert os.path.realpath(executable) == os.path.realpath('/usr/bin/python3')
    assert 'discovered_interpreter_python' in run.task('probe').result['ansible_facts']


@pytest.mark.every_core
def test_interpreter_of_a_task(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    wrapper = project.write('my-python', '''\
        #!/bin/sh
        MY_PYTHON=yes exec /usr/bin/python3 "$@"
    ''', 0o755)
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play(f'''
        - name: usual
          probe:
        - name: chosen
          probe:
          vars:
            ansible_python_interpreter: {wrapper}
        - name: usual again
          probe:
    ''', engine).assert_ok()
    marks = [run.task(name).result['environ'].get('MY_PYTHON') for name in ('usual', 'chosen', 'usual again')]
    assert marks == [None, 'yes', None]


def test_noise_of_the_login_shell_is_skipped(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    profile = accounts.plain.home / '.bashrc'
    before = profile.read_text()
    profile.write_text('echo "Welcome to this machine!"; echo "Beware" >&2\n')
    try:
        project.add_host('web1', sshd.variables(accounts.plain))
        run = project.play('- {name: ping, ping: }', engine).assert_ok()
    finally:
        profile.write_text(before)
    assert run.task('ping').result['ping'] == 'pong'


def test_reset_of_the_connection_sees_a_new_group(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    run = project.play(f'''
        - name: before
          command: id -Gn
        - name: group
          user: {{name: {accounts.nopasswd.name}, groups: [users], append: true}}
          become: true
        - meta: reset_connection
        - name: after
          command: id -Gn
    ''', engine).assert_ok()
    assert 'users' not in run.task('before').result['stdout'].split()
    assert 'users' in run.task('after').result['stdout'].split()


@pytest.mark.parametrize('engine', [MITOGEN, CONNECTION_ONLY], ids=str)
def test_tasks_run_below_one_process_that_stays(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.write('library/probe.py', PROBE)
    connection = 'ssh' if engine is MITOGEN else 'mitogen_ssh'
    project.add_host('web1', sshd.variables(accounts.plain, ansible_connection=connection))
    run = project.play('''
        - name: first
          probe:
        - name: second
          probe:
    ''', engine).assert_ok()
    first, second = (run.task(name).result for name in ('first', 'second'))
    assert first['parent'] == second['parent']
    assert first['pid'] != second['pid']
    assert len([line for line in sshd.log.read_text().splitlines() if f'for {accounts.plain.name} ' in line]) >= 1


def test_one_login_for_a_whole_play(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    before = _logins(sshd.log, accounts.other.name)
    project.add_host('web1', sshd.variables(accounts.other))
    project.play('''
        - name: facts
          setup:
        - name: copy
          copy: {content: text, dest: ~/file}
        - name: shell
          shell: cat ~/file
        - name: fetch
          fetch: {src: ~/file, dest: fetched, flat: true}
        - name: raw
          raw: cat file
    ''', MITOGEN).assert_ok()
    assert _logins(sshd.log, accounts.other.name) == before + 1


def _logins(log: Path, name: str) -> int:
    return len(re.findall(rf'Accepted \w+ for {name} ', log.read_text()))
