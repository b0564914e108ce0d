"""Becoming another account: the stock plugins' own commands and prompts, and anybody's plugin."""

import json
import os
import secrets
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.accounts import MARK, Account, Accounts, while_accounts_stay
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.probes import GATE, GATE_PLUGIN, MACHINECTL, PROBE
from tests.harness.project import Project, Run, empty_project
from tests.harness.sshd import Sshd

#: Tests that look at one run.
SHARED = pytest.mark.xdist_group('looks of accounts')

#: sudo takes variables before its options as well.
WRAPPER = '''\
#!/bin/sh
exec sudo PASSED_THE_WRAPPER=yes "$@"
'''

#: The module is the one that is to become; around it a command of the shell tells as much.
BECOME = '''
- name: login
  raw: id -un
- name: become
  command: id -un
  become: true
- name: login again
  raw: id -un
'''


def assert_became(run: Run, login: str, became: str, host: str | None = None) -> None:
    names = [run.task(task, host).result['stdout'].strip() for task in ('login', 'become', 'login again')]
    assert names == [login, became, login], host


def gate_variables(project: Project, word: str | None) -> dict[str, object]:
    gate = project.write('gate', GATE, 0o755)
    project.write('become_plugins/gate.py', GATE_PLUGIN)
    return {'ansible_become_method': 'gate', 'ansible_become_exe': str(gate), 'ansible_become_password': word}


def su_variables(became: Account, word: str | None) -> dict[str, object]:
    return {'ansible_become_method': 'su', 'ansible_become_user': became.name, 'ansible_become_password': word}


@pytest.mark.every_core
def test_each_way_to_another_account(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    nopasswd, passwd, tty, plain, other = accounts
    # su asks on a terminal, so stock does without pipelining, and hands a file to another unprivileged account.
    project.configure('defaults', allow_world_readable_tmpfiles='True')
    ways: dict[str, tuple[Account | None, str, dict[str, object]]] = {
        'sudo': (nopasswd, 'root', {}),
        'sudo-password': (passwd, 'root', {'ansible_become_password': passwd.password}),
        'sudo-other': (nopasswd, other.name, {'ansible_become_user': other.name}),
        # Stock manages it without pipelining only.
        'sudo-terminal': (tty, 'root', {'ansible_pipelining': False}),
        'su': (plain, other.name, su_variables(other, other.password)),
        'su-from-root': (None, other.name, su_variables(other, None)),
        # A plugin by someone else, with a dialogue of its own.
        'gate': (nopasswd, 'root', gate_variables(project, 'open sesame')),
    }
    for host, (account, _, variables) in ways.items():
        project.add_host(host, sshd.variables(account, **variables))
    run = project.play(BECOME, engine).assert_ok()
    for host, (account, became, _) in ways.items():
        assert_became(run, account.name if account else 'root', became, host)


def test_each_refusal_is_told(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.configure('defaults', allow_world_readable_tmpfiles='True')
    refusals: dict[str, tuple[Account, str, dict[str, object]]] = {
        'sudo-wrong': (accounts.passwd, 'Incorrect sudo password', {'ansible_become_password': 'wrong'}),
        'sudo-none': (accounts.passwd, 'Missing sudo password', {}),
        'sudo-no-right': (accounts.plain, 'sudo', {}),
        'su-wrong': (accounts.plain, 'Incorrect su password', su_variables(accounts.other, 'wrong')),
        'gate-wrong': (accounts.nopasswd, 'Incorrect gate password', gate_variables(project, 'open barley')),
    }
    for host, (account, _, variables) in refusals.items():
        project.add_host(host, sshd.variables(account, **variables))
    project.add_host('good', sshd.variables(accounts.nopasswd))
    run = project.play(BECOME, engine)
    for host, (_, words, _) in refusals.items():
        assert run.statuses(host) == {'login': 'ok', 'become': 'failed'}
        assert words in run.task('become', host).message
    assert set(run.statuses('good').values()) == {'ok'}


def test_password_from_a_file_given_on_the_command_line(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    secret = project.write('secret', accounts.passwd.password, 0o600)
    project.add_host('web1', sshd.variables(accounts.passwd))
    run = project.play(BECOME, engine, arguments=['--become-password-file', str(secret)]).assert_ok()
    assert_became(run, accounts.passwd.name, 'root')


@dataclass(frozen=True)
class Looks:
    """A run where each host looks at what became of it, in its own way; and those it was made with."""

    run: Run
    accounts: Accounts
    sshd: Sshd

    def lines(self, host: str) -> list[str]:
        """What that host has seen."""
        found: list[str] = self.run.task('look', host).result['stdout_lines']
        return found


@pytest.fixture(scope='module', params=[STOCK, MITOGEN], ids=str)
def looks(request: pytest.FixtureRequest, session_folder: Path, sshd: Sshd, accounts: Accounts) -> Iterator[Looks]:
    """One run for all that differs by variables of the host."""
    nopasswd, other = accounts.nopasswd, accounts.other
    with empty_project(session_folder) as project:
        wrapper = project.write('my-sudo', WRAPPER, 0o755)
        project.add_host('environment', sshd.variables(
            nopasswd, ansible_become_user=other.name, look='echo $HOME $USER $LOGNAME $SUDO_USER; umask'))
        # -E keeps the login's variables, of which sshd sets one that sudo would drop.
        project.add_host('flags', sshd.variables(
            nopasswd, ansible_become_flags='-H -S -n -E', look='echo $SSH_CONNECTION; id -un'))
        project.add_host('executable', sshd.variables(
            nopasswd, ansible_become_exe=str(wrapper), look='echo $PASSED_THE_WRAPPER'))
        project.add_host('local', ansible_connection='local', ansible_become_user=other.name,
                         ansible_python_interpreter='/usr/bin/python3', look='id -un')
        project.add_host('turns', sshd.variables(nopasswd, names=['root', other.name, accounts.plain.name] * 2))
        # In some folder that the accounts may enter.
        yield Looks(project.play('''
            - name: look
              shell: "{{ look }}"
              args: {chdir: /}
              when: look is defined
            - name: turn
              command: id -un
              become_user: "{{ item }}"
              loop: "{{ names | default([]) }}"
        ''', engine=request.param, keywords={'become': True}).assert_ok(), accounts, sshd)


@SHARED
def test_accounts_that_take_turns(looks: Looks) -> None:
    results = looks.run.task('turn', 'turns').result['results']
    assert [result['stdout'] for result in results] == [result['item'] for result in results]
    assert len({result['stdout'] for result in results}) == 3 and len(results) == 6


@SHARED
def test_environment_of_the_account(looks: Looks) -> None:
    other = looks.accounts.other
    assert looks.lines('environment') == [
        f'{other.home} {other.name} {other.name} {looks.accounts.nopasswd.name}', '0022']


@SHARED
def test_flags_of_sudo(looks: Looks) -> None:
    connection, name = looks.lines('flags')
    assert connection.endswith(f'127.0.0.1 {looks.sshd.port}')
    assert name == 'root'


@SHARED
def test_executable_of_sudo(looks: Looks) -> None:
    assert looks.lines('executable') == ['yes']


@SHARED
def test_local_connection_with_become(looks: Looks) -> None:
    assert looks.lines('local') == [looks.accounts.other.name]


def test_sudo_that_requires_a_terminal_with_pipelining(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.tty, ansible_pipelining=True))
    assert_became(project.play(BECOME, MITOGEN).assert_ok(), accounts.tty.name, 'root')


def test_files_of_an_unprivileged_account(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    # Stock needs to hand temporary files from one unprivileged account to another.
    project.configure('defaults', allow_world_readable_tmpfiles='True')
    project.write('page.j2', 'page of {{ ansible_become_user }}')
    project.add_host('web1', sshd.variables(accounts.nopasswd, ansible_become_user=accounts.other.name))
    run = project.play('''
        - name: copy
          copy: {content: secret, dest: ~/copied, mode: "0600"}
        - name: template
          template: {src: page.j2, dest: ~/page}
        - name: fetch
          fetch: {src: ~/copied, dest: fetched, flat: true}
    ''', engine, keywords={'become': True}).assert_ok()
    copied = accounts.other.home / 'copied'
    assert run.task('copy').result['owner'] == accounts.other.name
    assert (copied.read_text(), copied.stat().st_mode & 0o777, copied.stat().st_uid) == (
        'secret', 0o600, accounts.other.uid)
    assert (accounts.other.home / 'page').read_text() == f'page of {accounts.other.name}'
    assert Path(project.folder, 'fetched').read_text() == 'secret'


#: Says something on each call, and sudo's own words.
NOISY_SUDO = '#!/bin/sh\necho noise of sudo >&2\nexec sudo "$@"\n'


def test_what_sudo_says_is_output_of_a_local_command(engine: Engine, project: Project, accounts: Accounts) -> None:
    stub = project.write('noisy-sudo', NOISY_SUDO, 0o755)
    project.add_host('here', ansible_connection='local', ansible_python_interpreter='/usr/bin/python3',
                     ansible_become_exe=str(stub), ansible_become_user=accounts.other.name)
    run = project.play('''
        - name: module
          command: id -un
          args: {chdir: /}
        - name: raw
          raw: cd /; id -un
        - name: raw again
          raw: cd /; id -un
    ''', engine, keywords={'become': True}).assert_ok()
    module, *raw = (run.task(name).result for name in ('module', 'raw', 'raw again'))
    assert (module['stdout'], module['stderr']) == (accounts.other.name, '')
    assert {(result['stdout'], result['stderr']) for result in raw} == {
        (accounts.other.name + '\n', 'noise of sudo\n')}


#: The modules are those that are under test: the ones that run in the account, and those that remove it.
REMOVAL = '''
- name: make, {number}
  raw: >-
    {path} useradd --uid {{{{ uid }}}} --no-create-home --comment "{comment}" {{{{ gone }}}}
- name: use, {number}
  command: id -un
  args: {{chdir: /}}
  become_user: "{{{{ gone }}}}"
- name: look, {number}
  raw: pgrep -u {{{{ gone }}}}
  failed_when: false
- name: use again, {number}
  command: id -un
  args: {{chdir: /}}
  become_user: "{{{{ gone }}}}"
- name: remove, {number}
  {remove}
'''


def test_an_account_that_tasks_ran_in_can_be_removed(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    gone = {way: f'mt{secrets.token_hex(3)}gone' for way in ('ssh', 'local')}
    # Far from each other: who makes an account meanwhile, of whatever number, gets the one after the highest.
    uids = secrets.SystemRandom().sample(range(30000, 50000), 2)
    project.add_host('ssh', sshd.variables(accounts.nopasswd), gone=gone['ssh'], uid=uids[0])
    project.add_host('local', ansible_connection='local', ansible_python_interpreter='/usr/bin/python3',
                     gone=gone['local'], uid=uids[1])
    path = 'PATH=$PATH:/usr/sbin'
    script = project.write('remove.sh', f'#!/bin/sh\n{path}\nuserdel $1\n', 0o755)
    removals = {
        'module': 'user: {name: "{{ gone }}", state: absent}', 'command': 'command: userdel {{ gone }}',
        'script': f'script: {script} {{{{ gone }}}}', 'raw': f'raw: {path} userdel {{{{ gone }}}}',
        'job': 'user: {name: "{{ gone }}", state: absent}\n  async: 30\n  poll: 1'}
    # On the controller, sudo and the task that asks for the job's result have different homes.
    ways = {'ssh': list(removals), 'local': [number for number in removals if number != 'job']}
    comment = f'{MARK} {os.getpid()}'
    steps = {number: REMOVAL.format(number=number, path=path, comment=comment, remove=remove)
             for number, remove in removals.items()}
    # One host after the other: the tools of the accounts lock their files.
    project.write('site.yml', ''.join(
        f'- hosts: {way}\n  gather_facts: false\n  become: true\n  tasks:\n'
        + textwrap.indent(''.join(steps[number] for number in numbers), '    ') for way, numbers in ways.items()))
    try:
        run = project.start_playbook('site.yml', engine).wait(300).assert_ok()
    finally:
        for name in gone.values():
            subprocess.run(['userdel', '--force', name], capture_output=True)
    for way, name in gone.items():
        for number in ways[way]:
            assert run.task(f'use again, {number}', way).result['stdout'] == name, (way, number)
            assert run.task(f'look, {number}', way).result['rc'] == 1, (way, number)
            assert 'userdel' not in run.task(f'remove, {number}', way).result.get('stderr', ''), (way, number)


def test_become_is_done_once_for_an_account(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    run = while_accounts_stay(lambda _: project.play('''
        - name: first
          probe:
        - name: second
          probe:
        - name: as the login account
          probe:
          become: false
    ''', MITOGEN, keywords={'become': True}).assert_ok())
    first, second, login = (run.task(name).result for name in ('first', 'second', 'as the login account'))
    assert first['parent'] == second['parent'] != login['parent']
    assert first['uid'] == 0
    assert login['uid'] == accounts.nopasswd.uid


#: Asks in its own way, then goes on with the real sudo.
ASKING_SUDO = '''\
#!/bin/sh
prompt=
options=
while :; do
    case $1 in
        -p) prompt=$2; shift 2 ;;
        -u) options="$options -u $2"; shift 2 ;;
        -S) shift ;;
        -*) options="$options $1"; shift ;;
        *) break ;;
    esac
done
for attempt in 1 2 3; do
    printf 'QUESTION' "$prompt" >&2
    IFS= read -r word
    [ "$word" = 'open sesame' ] && exec sudo -n $options "$@"
    printf '\\nSorry, this is not it.\\n' >&2
done
exit 1
'''

#: sudo-rs, and a sudo whose PAM modules ask by themselves.
QUESTIONS = {
    'sudo-rs': '[sudo: %s] Password: ',
    'german': '[sudo] Passwort für mich: %.0s',
    'japanese': 'パスワード： %.0s',
}


def test_sudo_that_asks_in_its_own_words(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    for name, question in QUESTIONS.items():
        stub = project.write(f'asking-{name}', ASKING_SUDO.replace('QUESTION', question), 0o755)
        for kind, word in (('right', 'open sesame'), ('wrong', 'open barley')):
            project.add_host(f'{kind}-{name}', sshd.variables(
                accounts.nopasswd, ansible_become_exe=str(stub), ansible_become_password=word))
    run = project.play(BECOME, MITOGEN)
    for name in QUESTIONS:
        assert_became(run, accounts.nopasswd.name, 'root', f'right-{name}')
        assert run.statuses(f'wrong-{name}') == {'login': 'ok', 'become': 'failed'}
        assert 'Incorrect sudo password' in run.task('become', f'wrong-{name}').message


def test_machinectl_which_gives_a_terminal_only_works_as_under_stock(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, collections_path: str
) -> None:
    log = project.write('argv', '', 0o666)
    program = project.write('machinectl', MACHINECTL.format(log=log), 0o755)
    project.write('library/probe.py', PROBE)
    project.configure('defaults', collections_path=collections_path)
    # Without it, stock refuses a method that needs a terminal.
    project.configure('ssh_connection', ssh_extra_args='-tt')
    project.configure('connection', pipelining='False')
    project.add_host('web1', sshd.variables(
        accounts.nopasswd, ansible_become_method='community.general.machinectl', ansible_become_exe=str(program),
        # Where a stock connection is used, it leaves no master behind.
        ansible_become_user='root', ansible_ssh_args='-o ControlMaster=no'))
    run = project.play(f'''
        - {{name: login, raw: id -un}}
        - {{name: probe, probe: , become: true}}
        - {{name: raw, raw: id -un, become: true}}
        - {{name: copy, copy: {{content: abc, dest: {project.folder}/copied}}, become: true}}
    ''', engine, arguments=['-vvv']).assert_ok()
    assert run.task('login').result['stdout'].strip() == accounts.nopasswd.name
    assert run.task('raw').result['stdout'].strip() == 'root'
    assert run.task('probe').result['uid'] == 0 and run.task('probe').result['tty']
    assert (project.folder / 'copied').read_text() == 'abc'
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    assert {tuple(call[:5]) for call in calls} == {('-q', 'shell', 'root@', '/bin/sh', '-c')}
    # Once it was tried whether a context can be had in this way.
    assert sum('MITOGEN-1' in call[5] for call in calls) == (1 if engine.ours else 0)
