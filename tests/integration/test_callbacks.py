"""What callbacks make of a run: the same as under stock Ansible, and nothing secret anywhere."""

import json
import re
import threading
from xml.etree import ElementTree

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import STOCK, Engine, ours
from tests.harness.processes import process_table
from tests.harness.project import Project
from tests.harness.sshd import Sshd

PLAY = '''
- {name: first, command: id -un}
- {name: wrong, command: "false", ignore_errors: true}
- {name: left out, command: id -un, when: false}
- {name: items, command: "echo {{ item }}", loop: [a, b]}
'''

STRATEGIES = [
    Engine('free', 'free', False, STOCK.settings), ours('mitogen_free'),
    Engine('host_pinned', 'host_pinned', False, STOCK.settings), ours('mitogen_host_pinned'),
]


@pytest.fixture
def posix(project: Project, collections_path: str) -> None:
    """The collection that most callbacks are in."""
    project.configure('defaults', collections_path=collections_path)


def add_hosts(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    for name in ('web1', 'web2'):
        project.add_host(name, sshd.variables(accounts.plain))


def test_json_and_junit(
    posix: None, engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    add_hosts(project, sshd, accounts)
    project.configure('defaults', stdout_callback='ansible.posix.json', callbacks_enabled='junit, record')
    folder = project.folder / 'junit'
    run = project.play(PLAY, engine, env={'JUNIT_OUTPUT_DIR': str(folder)})
    assert run.status == 0, run.text
    report = json.loads(run.output)
    tasks = report['plays'][0]['tasks']
    assert [task['task']['name'] for task in tasks] == ['first', 'wrong', 'left out', 'items']
    for host in ('web1', 'web2'):
        results = [task['hosts'][host] for task in tasks]
        assert results[0]['stdout'] == accounts.plain.name
        assert (results[1]['failed'], results[2]['skipped']) == (True, True)
        assert [item['stdout'] for item in results[3]['results']] == ['a', 'b']
        assert report['stats'][host]['ok'] == 3
    suites = ElementTree.parse(next(folder.glob('*.xml'))).getroot()
    cases = sorted((str(case.get('name')), [child.tag for child in case if child.tag != 'system-out'])
                   for case in suites.iter('testcase'))
    assert cases == sorted(
        (f'[{host}] play: {name}', tags)
        for host in ('web1', 'web2')
        for name, tags in (('first', []), ('wrong', []), ('left out', ['skipped']), ('items', []))
    ) or {tuple(tags) for _name, tags in cases} == {(), ('skipped',)}, cases
    assert len(cases) == 8


def test_profile_tasks(posix: None, engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    add_hosts(project, sshd, accounts)
    project.configure('defaults', callbacks_enabled='ansible.posix.profile_tasks, record')
    run = project.play('- {name: slow, command: sleep 2}\n- {name: fast, command: "true"}\n', engine).assert_ok()
    times = {name: float(seconds) for name, seconds in re.findall(r'(?m)^(\w+) -+ ([\d.]+)s$', run.output)}
    assert times.keys() == {'slow', 'fast'}, run.output
    assert times['slow'] > 2


@pytest.mark.parametrize('strategy', STRATEGIES, ids=str)
def test_results_are_printed_below_their_task(
    strategy: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    for name in ('slow', 'fast1', 'fast2'):
        project.add_host(name, sshd.variables(accounts.plain))
    run = project.play('''
        - name: first
          command: sh -c 'sleep {{ 2 if inventory_hostname == 'slow' else 0 }}; echo of-first'
        - name: second
          command: echo of-second
        - name: third
          shell: 'echo of-third; test {{ inventory_hostname }} != fast2'
          ignore_errors: true
    ''', strategy, arguments=['-v']).assert_ok()
    headed = []
    for line in run.output.splitlines():
        if line.startswith('TASK ['):
            task = line[len('TASK ['):line.index(']')]
        found = re.match(r'(?:changed|fatal): \[(\w+)\].*"stdout": "of-(\w+)"', line)
        if found:
            assert found[2] == task, run.output
            headed.append(found.groups())
    assert sorted(headed) == [(host, task) for host in ('fast1', 'fast2', 'slow')
                              for task in ('first', 'second', 'third')]
    for host in ('slow', 'fast1', 'fast2'):
        assert [task for name, task in headed if name == host] == ['first', 'second', 'third']


#: Takes a secret, and stays long enough to be looked at.
KEEPS_SECRETS = '''
import time

from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(argument_spec={'secret': {'type': 'str', 'no_log': True}, 'plain': {'type': 'str'}})
time.sleep(1)
module.exit_json(changed=False, echoed=module.params['secret'], length=len(module.params['plain']))
'''

SECRETS = ('one-thing-hidden', 'another-thing-hidden', 'a-third-thing-hidden')


def test_nothing_secret_is_shown(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    hidden, censored, looped = SECRETS
    secrets = (*SECRETS, accounts.passwd.password)
    project.write('library/keeps.py', KEEPS_SECRETS)
    # In variables: with an error, Ansible shows lines of the playbook.
    project.add_host('web1', sshd.variables(
        accounts.passwd, ansible_become_password=accounts.passwd.password, hidden=hidden, censored=censored,
        looped=looped))
    log = project.folder / 'mux.log'
    running = project.start_play('''
        - name: hidden argument
          keeps: {secret: "{{ hidden }}", plain: text}
        - name: hidden result
          keeps: {secret: x, plain: "{{ censored }}"}
          no_log: true
          become: true
        - name: hidden items
          keeps: {secret: x, plain: "{{ item }}"}
          no_log: true
          loop: ["{{ looped }}"]
        - name: hidden file
          copy: {content: "{{ looped }}", dest: ~/hidden}
          no_log: true
        - name: hidden failure
          keeps: {secret: "{{ hidden }}", wrong: "{{ censored }}"}
          no_log: true
          ignore_errors: true
        - name: all processes
          shell: cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '
          become: true
    ''', engine, arguments=['-vvvv'],
        env={'MITOGEN_MUX_LOG': str(log), 'ANSIBLE_LOG_PATH': str(project.folder / 'log')})
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            seen.update(process.command for process in process_table().values())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run = running.wait()
    finally:
        over.set()
        watcher.join()
    assert run.status == 0, run.text
    assert 'sshd' in run.task('all processes').result['stdout']
    shown = {'output': run.text, 'processes': '\n'.join(seen), 'log': (project.folder / 'log').read_text(),
             'processes on the host': str(run.task('all processes').result['stdout'])}
    if engine.ours:
        shown['log of the mux'] = log.read_text()
    found = [(place, secret) for place, text in shown.items() for secret in secrets if secret in text]
    assert not found
    assert 'VALUE_SPECIFIED_IN_NO_LOG_PARAMETER' in run.output
    (accounts.passwd.home / 'hidden').unlink()


#: Leaves to the end of the process what it should have done before.
LAZY = '''
from ansible.plugins.callback import CallbackBase


class Last:
    def __init__(self, path):
        self.path, self.itself, self.open = path, self, open

    def __del__(self):
        with self.open(self.path, 'w') as file:
            file.write('freed')


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = 'lazy'
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook):
        self.file = open('lazy.%(kind)s', 'w')
        self.itself = self
        %(last)s

    def v2_runner_on_ok(self, result):
        self.file.write(result._host.name)
'''


@pytest.mark.parametrize('kind, last', [('file', ''), ('object', "self.last = Last('lazy.last'); self.file.flush()")])
def test_what_a_callback_does_when_it_is_freed_is_done(
    kind: str, last: str, engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    add_hosts(project, sshd, accounts)
    project.write('callback_plugins/lazy.py', LAZY % {'kind': kind, 'last': last})
    project.configure('defaults', callbacks_enabled='lazy, record')
    project.play('- {command: id -un}', engine).assert_ok()
    assert sorted((project.folder / f'lazy.{kind}').read_text().split('web')) == ['', '1', '2']
    assert not last or (project.folder / 'lazy.last').read_text() == 'freed'
