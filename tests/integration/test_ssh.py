"""Reaching hosts by ssh: every option means what it means to the stock plugin."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_release

from tests.harness.accounts import Account, Accounts
from tests.harness.engines import MITOGEN, Engine
from tests.harness.network import HangingUp, silent_server, unanswering_server
from tests.harness.probes import PROBE
from tests.harness.project import Project, Run, Variables
from tests.harness.sshd import Sshd

CORE = tuple(int(part) for part in ansible_release.split('.')[:2])

#: Stock Ansible has a socket for each account of an address, by which a host would go another one's way.
OWN_SOCKETS = ['-e', 'ansible_control_path="%(directory)s/{{ inventory_hostname }}"']

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


def shell(engine: Engine) -> str:
    """What runs a line of the shell: a module of ours, and under stock something that starts no Python."""
    return 'shell' if engine.ours else 'raw'


def who(engine: Engine) -> str:
    """A task that says the account, and what the client gave it."""
    return f'- {{name: who, {shell(engine)}: "echo $(id -un) $LC_MARK"}}'


def said(run: Run, task: str = 'who') -> dict[str, str]:
    """What a task said, by host."""
    return {result.host: result.result['stdout'].strip() for result in run.results if result.task == task}


def test_hosts_are_reached_as_their_variables_say(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    plain, other = accounts.plain, accounts.other
    expected = {}

    def add(host: str, answer: str, *variables: Variables, **more: object) -> None:
        project.add_host(host, *variables, **more)
        expected[host] = answer

    def with_password(account: Account) -> Variables:
        return sshd.variables(account, ansible_password=account.password, ansible_ssh_private_key_file=None)

    add('root', 'root', sshd.variables())
    add('ordinary-user', plain.name, sshd.variables(plain))
    for name in ('ansible_ssh_args', 'ansible_ssh_extra_args'):
        add(name, 'root from the command line', sshd.variables(),
            {name: '''-o 'SetEnv=LC_MARK="from the command line"' '''})
    common = sshd.client_options() + ' -o SetEnv=LC_MARK={{ mark }}'
    for mark in ('one', 'two'):
        add(f'template-{mark}', f'root {mark}', sshd.variables(ansible_ssh_common_args=common, mark=mark))

    alias = project.write('alias', f'''\
        Host alias
            HostName 127.0.0.1
            Port {sshd.port}
            User {plain.name}
            IdentityFile {sshd.key}
            IdentitiesOnly yes
            UserKnownHostsFile /dev/null
    ''')
    add('alias', plain.name, ansible_ssh_common_args=f'-F {alias}', ansible_python_interpreter='/usr/bin/python3')

    wrapper = project.write('my-ssh', f'''\
        #!/bin/sh
        echo used >> {project.folder}/used-executable
        exec ssh "$@"
    ''', 0o755)
    add('executable', 'root', sshd.variables(ansible_ssh_executable=str(wrapper)))

    proxy = f'{project.write("proxy", PROXY, 0o755)} {project.folder}/used-proxy %h %p'
    add('proxy-command', 'root', sshd.variables(ansible_ssh_extra_args=f'-o ProxyCommand="{proxy}"'))

    config = project.write('jump', f'''\
        Host *
            IdentityFile {sshd.key}
            IdentitiesOnly yes
            StrictHostKeyChecking no
            UserKnownHostsFile /dev/null
        Host jump
            HostName 127.0.0.1
            Port {sshd.port}
            User {accounts.nopasswd.name}
    ''')
    logins = _logins(sshd.log, accounts.nopasswd.name)
    add('proxy-jump', plain.name, sshd.variables(
        plain, ansible_ssh_common_args=f'-F {config} -o ProxyJump=jump', ansible_ssh_private_key_file=None))

    add('askpass', plain.name, with_password(plain), ansible_ssh_password_mechanism='ssh_askpass')
    add('sshpass', other.name, with_password(other), ansible_ssh_password_mechanism='sshpass')
    if CORE >= (2, 19):
        # ansible-core 2.19 brought keys in variables.
        project.configure('connection', ssh_agent='auto')
        add('key-with-a-passphrase', 'root', sshd.variables(
            ansible_ssh_private_key_file=None, ansible_ssh_private_key=sshd.locked_key.read_text(),
            ansible_ssh_private_key_passphrase=sshd.passphrase))

    run = project.play(who(engine), engine, arguments=OWN_SOCKETS).assert_ok()
    assert said(run) == expected
    assert (project.folder / 'used-executable').read_text().startswith('used\n')
    assert (project.folder / 'used-proxy').exists()
    assert _logins(sshd.log, accounts.nopasswd.name) > logins


def test_hosts_are_reached_as_plays_and_tasks_say(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    plain, other, noisy = accounts.plain, accounts.other, accounts.tty
    project.write('library/probe.py', PROBE)
    project.add_host('keywords', sshd.variables(ansible_user=None, ansible_port=None))
    project.add_host('changing', sshd.variables(ansible_user=None))
    for host in ('delegating', 'delegate'):
        project.add_host(host, sshd.variables(ansible_ssh_extra_args=f'-o SetEnv=LC_MARK={host}'))
    project.add_host('discovered', sshd.variables(plain, ansible_python_interpreter=None))
    project.add_host('noisy', sshd.variables(noisy))
    project.add_host('regrouped', sshd.variables(accounts.nopasswd))
    project.write('site.yml', f'''\
        - hosts: keywords
          gather_facts: false
          remote_user: {plain.name}
          port: {sshd.port}
          tasks:
            {who(engine)}
        - hosts: changing
          gather_facts: false
          tasks:
            - name: first
              {shell(engine)}: id -un
              remote_user: {plain.name}
            - name: second
              {shell(engine)}: id -un
              remote_user: {other.name}
        - hosts: delegating
          gather_facts: false
          tasks:
            - name: delegated
              {shell(engine)}: echo $LC_MARK
              delegate_to: delegate
        - hosts: discovered
          gather_facts: false
          tasks:
            - name: probe
              probe:
        - hosts: noisy
          gather_facts: false
          tasks:
            - name: ping
              ping:
        - hosts: regrouped
          gather_facts: false
          tasks:
            - name: before
              {shell(engine)}: id -Gn
            - name: group
              user: {{name: {accounts.nopasswd.name}, groups: [users], append: true}}
              become: true
            - meta: reset_connection
            - name: after
              {shell(engine)}: id -Gn
    ''')
    profile = noisy.home / '.bashrc'
    before = profile.read_text()
    profile.write_text('echo "Welcome to this machine!"; echo "Beware" >&2\n')
    try:
        run = project.start_playbook('site.yml', engine).wait().assert_ok()
    finally:
        profile.write_text(before)
        # So that the account is what it was, for whatever comes next.
        subprocess.run(['gpasswd', '--delete', accounts.nopasswd.name, 'users'], check=True, capture_output=True)

    def answer(task: str, host: str) -> str:
        return str(run.task(task, host).result['stdout']).strip()

    assert answer('who', 'keywords') == plain.name
    assert [answer(task, 'changing') for task in ('first', 'second')] == [plain.name, other.name]
    assert answer('delegated', 'delegating') == 'delegate'
    probe = run.task('probe', 'discovered').result
    assert os.path.realpath(probe['executable']) == os.path.realpath('/usr/bin/python3')
    assert 'discovered_interpreter_python' in probe['ansible_facts']
    assert run.task('ping', 'noisy').result['ping'] == 'pong'
    assert ['users' in answer(task, 'regrouped').split() for task in ('before', 'after')] == [False, True]


def test_hosts_are_reached_as_ansible_cfg_says(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    known_hosts = project.write('known_hosts', sshd.host_key_line())
    project.configure('defaults', remote_user=accounts.plain.name, remote_port=str(sshd.port),
                      private_key_file=str(sshd.key), host_key_checking='True')
    project.configure('ssh_connection', ssh_common_args=_with_known_hosts(sshd, known_hosts))
    project.add_host('settings', ansible_host='127.0.0.1', ansible_python_interpreter='/usr/bin/python3')
    project.add_host('known-key', sshd.variables(ansible_ssh_common_args=None))
    project.add_host('unknown-key', sshd.variables(ansible_ssh_common_args=(
        _with_known_hosts(sshd, project.folder / 'none') + ' -o StrictHostKeyChecking=yes')))
    run = project.play(who(engine), engine, arguments=OWN_SOCKETS)
    assert run.status == 4
    assert run.task('who', 'unknown-key').status == 'unreachable'
    assert 'Host key verification failed' in run.task('who', 'unknown-key').message
    assert run.task('who', 'settings').result['stdout'].strip() == accounts.plain.name
    assert run.task('who', 'known-key').result['stdout'].strip() == 'root'


def _with_known_hosts(sshd: Sshd, path: Path) -> str:
    """Options for ssh with a list of known hosts of one's own."""
    return re.sub('UserKnownHostsFile=[^ ]*', f'UserKnownHostsFile={path}', sshd.client_options())


@pytest.mark.every_core
def test_password_and_retries_and_interpreter_of_a_task(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.add_host('password', sshd.variables(
        accounts.plain, ansible_password=accounts.plain.password, ansible_ssh_private_key_file=None))
    servers = {retries: HangingUp() for retries in (0, 2)}
    for retries, server in servers.items():
        project.add_host(f'retries-{retries}', sshd.variables(ansible_port=server.port, ansible_ssh_retries=retries))
    wrapper = project.write('my-python', '''\
        #!/bin/sh
        MY_PYTHON=yes exec /usr/bin/python3 "$@"
    ''', 0o755)
    project.write('library/probe.py', PROBE)
    run = project.play(f'''
        - name: usual
          probe:
        - name: chosen
          probe:
          vars:
            ansible_python_interpreter: {wrapper}
        - name: usual again
          probe:
    ''', engine)
    for retries, server in servers.items():
        server.close()
        assert run.statuses(f'retries-{retries}') == {'usual': 'unreachable'}
        assert server.connections == retries + 1
    probes = [run.task(name, 'password').result for name in ('usual', 'chosen', 'usual again')]
    assert [probe['uid'] for probe in probes] == [accounts.plain.uid] * 3
    assert [probe['environ'].get('MY_PYTHON') for probe in probes] == [None, 'yes', None]


def test_password_from_a_file_given_on_the_command_line(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    secret = project.write('secret', accounts.plain.password, 0o600)
    project.add_host('web1', sshd.variables(accounts.plain, ansible_ssh_private_key_file=None))
    run = project.play(who(engine), engine, arguments=['--connection-password-file', str(secret)]).assert_ok()
    assert said(run) == {'web1': accounts.plain.name}


def test_timeout_of_one_second(engine: Engine, project: Project, sshd: Sshd) -> None:
    # A host that answers is measured beside them: what ansible-playbook needs by itself is not under test.
    project.add_host('answering', sshd.variables())
    with silent_server() as silent, unanswering_server() as unanswering:
        for host, port in (('silent', silent), ('unanswering', unanswering)):
            project.add_host(host, sshd.variables(ansible_port=port, ansible_timeout=1))
        run = project.play(who(engine), engine)
    assert run.statuses('answering') == {'who': 'ok'}
    for host in ('silent', 'unanswering'):
        assert run.statuses(host) == {'who': 'unreachable'}
        # Ansible's default is ten.
        assert run.task('who', host).time < run.task('who', 'answering').time + 9, host


def test_one_login_for_a_whole_play(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    before = _logins(sshd.log, accounts.other.name)
    project.add_host('web1', sshd.variables(accounts.other))
    project.play('''
        - name: facts
          setup: {gather_subset: [min]}
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
