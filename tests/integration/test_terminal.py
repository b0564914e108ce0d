"""What people type at ansible-playbook: the same questions and the same effects as under stock Ansible."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pexpect

from tests.harness.accounts import Accounts
from tests.harness.engines import Engine
from tests.harness.project import Project
from tests.harness.sshd import Sshd

#: Seconds until the next question, on a busy machine.
PATIENCE = 120


def converse(project: Project, engine: Engine, arguments: Sequence[str], dialogue: Sequence[tuple[str, str]]) -> str:
    """Run ansible-playbook on a terminal, answer its questions in order, and return all that it printed.

    :param dialogue: pairs of what is waited for, a regular expression, and what is typed then.
    """
    environment, command = project.prepare(['ansible-playbook', *arguments], engine)
    # A terminal without colours, and with room for whole lines.
    child = pexpect.spawn(
        command[0], command[1:], cwd=str(project.folder), env={**environment, 'ANSIBLE_NOCOLOR': '1'},
        encoding='utf-8', timeout=PATIENCE, dimensions=(50, 500))
    printed = ''
    try:
        for question, answer in dialogue:
            child.expect(question)
            printed += child.before + child.after
            child.sendline(answer)
        child.expect(pexpect.EOF)
        return printed + child.before
    finally:
        child.close(force=True)


def task_results(printed: str) -> list[str]:
    """Headers of tasks and results of hosts, in order."""
    return re.findall(r'(?m)^(?:TASK \[.*?\]|(?:ok|changed|skipping|fatal): \[\w+\])', printed.replace('\r', ''))


def test_become_password_and_steps(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.passwd))
    project.write('site.yml', '''\
        - hosts: all
          gather_facts: false
          become: true
          tasks:
            - {name: before the start, command: id -un}
            - {name: first, command: id -un}
            - {name: second, command: id -un}
            - {name: third, command: id -un}
            - {name: fourth, command: id -un}
    ''')
    printed = converse(project, engine, ['site.yml', '-K', '--step', '--start-at-task', 'first'], [
        ('BECOME password.*: ', accounts.passwd.password),
        (r'Perform task: .*first.*\(c\)ontinue: ', 'y'),
        (r'Perform task: .*second.*\(c\)ontinue: ', 'n'),
        (r'Perform task: .*third.*\(c\)ontinue: ', 'c'),
    ])
    ran = [line for name in ('first', 'third', 'fourth') for line in (f'TASK [{name}]', 'changed: [web1]')]
    assert task_results(printed) == ran, printed
    assert accounts.passwd.password not in printed


def test_questions_of_a_play(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    project.write('site.yml', '''\
        - hosts: all
          gather_facts: false
          vars_prompt:
            - {name: visible, prompt: What is seen, private: false}
            - {name: hidden, prompt: What is not seen, private: true, confirm: true}
          tasks:
            - name: before
              command: echo {{ visible }} {{ hidden | length }}
              register: before
            - name: pause
              pause: {prompt: Go on}
              register: paused
            - name: wrong
              command: "false"
              debugger: on_failed
            - name: after
              debug: {msg: "{{ before.stdout }}, {{ paused.user_input }}, and {{ inventory_hostname }}"}
    ''')
    printed = converse(project, engine, ['site.yml'], [
        ('What is seen: ', 'ü'),
        ('What is not seen: ', 'veiled words'),
        ('confirm What is not seen: ', 'veiled words'),
        (r'Go on:', 'typed'),
        (r'\[web1\] TASK: wrong \(debug\)> ', "p task.args['_raw_params']"),
        (r"'false'.*\[web1\] TASK: wrong \(debug\)> ", "task.args['_raw_params'] = 'true'"),
        (r'\[web1\] TASK: wrong \(debug\)> ', 'redo'),
    ])
    assert 'ü 12, typed, and web1' in printed, printed
    assert 'veiled words' not in printed
    assert printed.count('changed: [web1]') == 2


def test_pause_ends_by_itself(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - {name: before, command: id -un}
        - {name: pause, pause: {seconds: 1}}
        - {name: after, command: id -un}
    ''', engine).assert_ok()
    assert run.task('pause').result['delta'] >= 1
    assert run.task('after').result['stdout'] == accounts.plain.name


def console(project: Project, engine: Engine, lines: Sequence[str]) -> str:
    """Type lines at ansible-console, and return what it printed."""
    environment, command = project.prepare(['ansible-console', 'all'], engine)
    child = pexpect.spawn(
        command[0], command[1:], cwd=str(project.folder),
        env={**environment, 'ANSIBLE_NOCOLOR': '1', 'ANSIBLE_STRATEGY': engine.strategy},
        encoding='utf-8', timeout=PATIENCE, dimensions=(50, 500))
    printed = ''
    try:
        for line in [*lines, 'exit']:
            child.expect(r'@all \(\d+\)\[f:\d+\][$#] ')
            printed += child.before
            child.sendline(line)
        child.expect(pexpect.EOF)
        return printed + child.before
    finally:
        child.close(force=True)


def test_console(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    printed = console(project, engine, ['ping', 'command id -un', 'become yes', 'command id -un', '!echo $HOME'])
    assert '"ping": "pong"' in printed, printed
    assert re.findall(r'rc=0 >>\s+(\S+)', printed) == [accounts.nopasswd.name, 'root', '/root'], printed


def test_pull(engine: Engine, project: Project) -> None:
    project.add_host('localhost', ansible_connection='local', ansible_python_interpreter='/usr/bin/python3')
    repository = project.folder / 'repository'
    project.write('repository/local.yml', '''\
        - hosts: localhost
          connection: local
          gather_facts: false
          tasks: [{name: pulled, command: echo pulled}]
    ''')
    git = ['git', '-c', 'user.name=Tests', '-c', 'user.email=tests@example.com', '-C', str(repository)]
    subprocess.run([*git, 'init', '-q', '-b', 'main'], check=True)
    subprocess.run([*git, 'add', '.'], check=True)
    subprocess.run([*git, 'commit', '-q', '-m', 'first'], check=True)
    environment, command = project.prepare(
        ['ansible-pull', '-U', f'file://{repository}', '-C', 'main', '-d', str(project.folder / 'checkout'),
         'local.yml'], engine)
    done = subprocess.run(
        command, cwd=project.folder, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE,
        env={**environment, 'ANSIBLE_STRATEGY': engine.strategy})
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'TASK [pulled]' in done.stdout
    assert Path(project.folder, 'checkout', 'local.yml').exists()


def test_runner_with_a_private_data_folder(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.add_host('web1', sshd.variables(accounts.passwd))
    environment, _ = project.prepare([], engine)
    project.write('private/project/play.yml', '''\
        - hosts: all
          gather_facts: false
          tasks:
            - {name: login, command: id -un}
            - {name: root, command: id -un, become: true}
            - {name: facts, setup: {gather_subset: ["!all", "!min", user]}}
            - {name: fails, command: "false", ignore_errors: true}
    ''')
    project.write('private/inventory/hosts.json', (project.folder / 'inventory.json').read_text())
    project.write('private/env/passwords', json.dumps({'^BECOME password.*': accounts.passwd.password}))
    project.write('private/env/cmdline', '--ask-become-pass')
    project.write('private/env/envvars', json.dumps({'ANSIBLE_CONFIG': environment['ANSIBLE_CONFIG']}))
    done = subprocess.run(
        [str(Path(sys.executable).with_name('ansible-runner')), 'run', 'private', '-p', 'play.yml', '--ident', 'x'],
        cwd=project.folder, env=environment, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    artifacts = project.folder / 'private' / 'artifacts' / 'x'
    assert done.returncode == 0, done.stdout + done.stderr
    assert ((artifacts / 'status').read_text(), (artifacts / 'rc').read_text()) == ('successful', '0')
    events = [json.loads(path.read_text()) for path in (artifacts / 'job_events').glob('*.json')]
    events.sort(key=lambda event: event['counter'])
    seen = [(event['event'], event['event_data'].get('task')) for event in events if 'runner_on' in event['event']]
    assert seen == [pair for task, end in (('login', 'ok'), ('root', 'ok'), ('facts', 'ok'), ('fails', 'failed'))
                    for pair in ((f'runner_on_{word}', task) for word in ('start', end))]
    names = [event['event_data']['res'].get('stdout') for event in events if event['event'] == 'runner_on_ok']
    assert names[:2] == [accounts.passwd.name, 'root']
