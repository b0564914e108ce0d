"""Bad input: the status that stock gives, one clear sentence, and the other hosts go on."""

import json
import os
import re
import signal
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.leftovers import Leftovers
from tests.harness.processes import wait_until
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd, free_port

TASKS = '''
- name: first
  command: id -un
- name: second
  command: id -un
  become: true
  ignore_errors: "{{ ignored | default(false) }}"
- name: third
  command: id -un
'''

GOOD = {'first': 'ok', 'second': 'ok', 'third': 'ok'}

#: Longer than a line or two is no sentence any more.
LONGEST = 400


def assert_good_host_went_on(run: Run) -> None:
    assert run.statuses('good') == GOOD
    assert run.stats['good']['ok'] == len(GOOD)


def assert_one_sentence(message: str) -> None:
    """What a user is told is one line, and no traceback."""
    text = message.strip()
    assert text
    assert '\n' not in text, text
    assert len(text) <= LONGEST, text
    assert 'Traceback' not in text, text


#: What can be wrong with a host, by a name for it: status of its first task, words of the explanation, variables.
CASES = {
    'unknown-host': ('unreachable', 'no-such-host.invalid', lambda sshd, accounts: sshd.variables(
        accounts.nopasswd, ansible_host='no-such-host.invalid')),
    'refused-port': ('unreachable', 'refused', lambda sshd, accounts: sshd.variables(
        accounts.nopasswd, ansible_port=free_port())),
    'wrong-password': ('unreachable', 'denied|ncorrect password|Invalid', lambda sshd, accounts: sshd.variables(
        accounts.nopasswd, ansible_ssh_private_key_file=None, ansible_password='wrong')),
    'wrong-key': ('unreachable', 'Permission denied', lambda sshd, accounts: sshd.variables(
        accounts.nopasswd, ansible_ssh_private_key_file=str(sshd.unknown_key))),
    'unknown-account': ('unreachable', 'Permission denied', lambda sshd, accounts: sshd.variables(
        ansible_user='nosuchuser')),
    'missing-interpreter': ('failed', '/no/such/python', lambda sshd, accounts: sshd.variables(
        accounts.nopasswd, ansible_python_interpreter='/no/such/python')),
    'argument-that-ssh-does-not-know': ('unreachable', '', lambda sshd, accounts: sshd.variables(
        accounts.nopasswd, ansible_ssh_extra_args='-o NoSuchOption=yes')),
    'executable-that-is-missing': ('failed', '/no/such/ssh', lambda sshd, accounts: sshd.variables(
        accounts.nopasswd, ansible_ssh_executable='/no/such/ssh')),
}

#: Hosts where only becoming is refused, by a name for it: more variables.
REFUSED: dict[str, dict[str, Any]] = {
    'wrong-become-password': {'ansible_become_password': 'wrong'},
    'no-become-password': {},
    'refusal-that-is-ignored': {'ansible_become_password': 'wrong', 'ignored': True},
}


@pytest.mark.parametrize('status', ['unreachable', 'failed'])
def test_hosts_that_cannot_be_used(
    status: str, engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    cases = {name: case for name, case in CASES.items() if case[0] == status}
    project.add_host('good', sshd.variables(accounts.nopasswd))
    for name, (_, _, variables) in cases.items():
        project.add_host(name, variables(sshd, accounts))
    refused = REFUSED if status == 'failed' else {}
    for name, more in refused.items():
        project.add_host(name, sshd.variables(accounts.passwd), more)
    run = project.play(TASKS, engine)
    assert_good_host_went_on(run)
    assert run.status == {'unreachable': 4, 'failed': 2}[status]
    for name, (_, words, _) in cases.items():
        assert run.statuses(name) == {'first': status}, name
        if engine.ours:
            first = run.task('first', name)
            assert_one_sentence(first.message)
            assert re.search(words, json.dumps(first.result)), first.result
    for name, more in refused.items():
        after = {'third': 'ok'} if 'ignored' in more else {}
        assert run.statuses(name) == {'first': 'ok', 'second': 'failed', **after}, name
        if engine.ours:
            assert_one_sentence(run.task('second', name).message)
    if engine.ours:
        assert not run.left
        leftovers.assert_none()


def test_host_that_goes_away_half_way_through(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers,
    new_sshd: Callable[[], Sshd],
) -> None:
    doomed = new_sshd()
    gate = project.folder / 'gate'
    project.add_host('good', sshd.variables(accounts.nopasswd))
    project.add_host('bad', doomed.variables(accounts.nopasswd, ansible_timeout=3))
    running = project.start_play(f'''
        - name: first
          command: id -un
        - name: wait
          wait_for: {{path: {gate}, timeout: 60, sleep: 1}}
          delegate_to: localhost
          run_once: true
          vars: {{ansible_connection: local, ansible_python_interpreter: /usr/bin/python3}}
        - name: second
          command: id -un
          become: true
        - name: third
          command: id -un
    ''', engine)
    wait_until(lambda: len([result for result in running.results() if result.task == 'first']) == 2, 60, 'first task')
    doomed.stop()
    gate.touch()
    run = running.wait()
    statuses = run.statuses('good')
    statuses.pop('wait', None)
    assert statuses == GOOD
    assert run.task('second', 'bad').status == 'unreachable'
    assert ('third', 'bad') not in {(result.task, result.host) for result in run.results}
    assert run.stats['bad']['unreachable'] == 1
    if engine.ours:
        assert_one_sentence(run.task('second', 'bad').message)
        assert not run.left
        leftovers.assert_none()


def test_host_that_goes_away_during_a_task(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers,
    new_sshd: Callable[[], Sshd],
) -> None:
    doomed = new_sshd()
    project.add_host('good', sshd.variables(accounts.nopasswd))
    project.add_host('bad', doomed.variables(accounts.nopasswd, ansible_timeout=3))
    running = project.start_play('''
        - name: first
          command: "sleep {{ 50 if inventory_hostname == 'bad' else 0 }}"
        - name: second
          command: id -un
          become: true
        - name: third
          command: id -un
    ''', engine)
    wait_until(lambda: any('sleep 50' in process.command for process in doomed.sessions()), 60, 'the task')
    doomed.stop()
    run = running.wait()
    assert_good_host_went_on(run)
    assert run.statuses('bad') == {'first': 'unreachable'}
    if engine.ours:
        assert_one_sentence(run.task('first', 'bad').message)
        assert not run.left
        leftovers.assert_none()


#: Modules that do not do what a module does: source, and what a user must find in the result.
MODULES = {
    'garbage': ('''
        print('this is no JSON at all')
        ''', None),
    'nothing': ('''
        pass
        ''', None),
    'segfault': ('''
        import os
        os.kill(os.getpid(), 11)
        ''', None),
    'killed': ('''
        import os
        os.kill(os.getpid(), 9)
        ''', None),
    'exception': ('''
        raise ValueError('that went wrong')
        ''', 'that went wrong'),
    'exit status': ('''
        import sys
        sys.stderr.write('no more\\n')
        sys.exit(7)
        ''', 'no more'),
    'syntax error': ('''
        def def
        ''', 'invalid syntax'),
    'import of nothing': ('''
        import there_is_no_such_module
        ''', 'there_is_no_such_module'),
    'half a result': ('''
        print('{"changed": true, "list": [1, 2')
        ''', 'changed'),
}

#: One that ends well, but for what it prints around its result.
NOISY = '''\
from ansible.module_utils.basic import AnsibleModule

print('before the result')
module = AnsibleModule({})
try:
    module.exit_json(changed=True, answer=42)
finally:
    print('after the result')
'''


def test_modules_that_end_badly(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    tasks = ''
    for number, (source, _) in enumerate(MODULES.values()):
        # The import makes it a module of the new style, which is what runs in the warm process.
        project.write(f'library/bad{number}.py', 'from ansible.module_utils.basic import AnsibleModule\n'
                      + textwrap.dedent(source))
        tasks += f'- {{name: bad{number}, bad{number}: , ignore_errors: true}}\n'
    project.write('library/noisy.py', NOISY)
    tasks += '- {name: noisy, noisy: }\n- {name: last, bad0: }\n- {name: never, ping: }\n'
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    runs = []
    for engine in (STOCK, MITOGEN):
        runs.append(project.play(tasks, engine))
        if engine is STOCK:
            # What stock leaves, such as the sockets of its ssh clients, is not under test.
            leftovers = Leftovers(project, [sshd], accounts)
    for run in runs:
        assert run.status == 2
        assert run.statuses('web1') == {
            **{f'bad{number}': 'failed' for number in range(len(MODULES))}, 'noisy': 'ok', 'last': 'failed'}
        assert run.task('noisy').result['answer'] == 42
        assert 'after the result' in run.text
    for number, (_, words) in enumerate(MODULES.values()):
        assert_same_failure(*(run.task(f'bad{number}').result for run in runs), words)
    assert not runs[1].left
    leftovers.assert_none()


def assert_same_failure(stock: dict[str, Any], ours: dict[str, Any], words: str | None) -> None:
    """The results of a module that ended badly are the same, with these words in them."""
    # The shell of stock reports a signal in words of its own, and paths lead into its temporary files.
    changing = {'exception', 'module_stderr', 'module_stdout'}
    assert {key: value for key, value in ours.items() if key not in changing} == {
        key: value for key, value in stock.items() if key not in changing}
    assert ours.keys() == stock.keys()
    outputs = [result.get('module_stdout', '').replace('\r', '') for result in (ours, stock)]
    # A traceback names files, which lie in temporary folders with stock.
    if 'Traceback' not in outputs[1]:
        assert outputs[0] == outputs[1]
    if words:
        assert words in json.dumps(ours)


def test_interrupted_run(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    for number in range(3):
        project.add_host(f'web{number}', sshd.variables(accounts.nopasswd))
    running = project.start_play('- {name: long, command: sleep 55, become: true}', engine, arguments=['--forks=3'])
    # Three sleeps, each below a module.
    wait_until(lambda: [process.command for process in sshd.sessions()].count('sleep 55') == 3, 60, 'three tasks')
    running.warded.interrupt()
    run = running.wait(30)
    assert 'User interrupted execution' in run.text
    assert run.status == 99
    if engine.ours:
        assert 'Traceback' not in run.text
        assert not run.left
        leftovers.assert_none()
        project.play(TASKS, engine).assert_ok()
    else:
        for process in sshd.sessions():
            if process.command == 'sleep 55':
                os.kill(process.pid, signal.SIGKILL)


def test_timeout_of_a_task(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('good', sshd.variables(accounts.nopasswd))
    project.add_host('bad', sshd.variables(accounts.nopasswd))
    # Stock Ansible leaves its one behind.
    sleep = 'sleep 45' if engine.ours else 'sleep 40'
    run = project.play(f'''
        - name: slow
          command: "{{{{ '{sleep}' if inventory_hostname == 'bad' else 'sleep 0' }}}}"
          timeout: 8
    ''' + TASKS.replace('\n', '\n        '), engine)
    assert run.seconds < 35
    assert run.task('slow', 'bad').status == 'failed'
    # The second is what ansible-core said before 2.19.
    assert re.search(r'Timed out after 8 second|in the expected time frame \(8\)', json.dumps(
        run.task('slow', 'bad').result))
    assert run.statuses('good') == {'slow': 'ok', **GOOD}
    if engine.ours:
        # The task that was given up is killed on the target.
        wait_until(lambda: not any(sleep in process.command for process in sshd.sessions()), 20, 'its end')
