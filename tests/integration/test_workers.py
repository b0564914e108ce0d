"""Tasks in threads: plugins that know nothing of threads, and what needs a process of its own."""

import textwrap
from pathlib import Path

import pytest

from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.project import Project, Run

HOSTS = ['web1', 'web2', 'web3', 'web4']

#: The process in which the task runs.
PID = "{{ lookup('pipe', 'echo $PPID') }}"

#: Fails if two threads are in it at the same time. `NAME()` is to be put around what does so.
GUARD = '''
import time

_inside = []

def alone():
    _inside.append(1)
    time.sleep(0.02)
    count = len(_inside)
    _inside.pop()
    if count != 1:
        raise RuntimeError('called by two threads at once')
'''

FILTERS = GUARD + '''
calls = 0

def enter(value):
    alone()
    return value

def spoil(value):
    value.append('spoilt')
    return len(value)

def count(value):
    global calls
    calls += 1
    return calls

def die(value):
    raise SystemExit(3)

def shout(value):
    print('shouted ' + value)
    return value

class FilterModule:
    def filters(self):
        return {'enter': enter, 'spoil': spoil, 'count_calls': count, 'die': die, 'shout': shout}
'''

LOOKUP = '''
from ansible.plugins.lookup import LookupBase

calls = 0

class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        global calls
        calls += 1
        return [calls]
'''

ACTION = '''
import os
from ansible.plugins.action import ActionBase

calls = 0

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        global calls
        calls += 1
        os.chdir('/')
        task_vars['stolen'] = task_vars['hostvars']['web1']['inventory_hostname']
        return {'calls': calls, 'pid': os.getpid()}
'''

VARS = GUARD + '''
DOCUMENTATION = """
name: slow
short_description: a vars plugin
description: Not made for threads.
"""
from ansible.plugins.vars import BaseVarsPlugin

class VarsModule(BaseVarsPlugin):
    REQUIRES_ENABLED = False

    def get_vars(self, loader, path, entities):
        alone()
        return {'from_plugin': 'yes'}
'''

CALLBACK = GUARD + '''
DOCUMENTATION = """
name: spoiler
type: notification
short_description: a callback plugin
description: Not made for threads, and writes into what it gets.
"""
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'spoiler'

    def v2_runner_on_start(self, host, task):
        alone()

    def v2_runner_on_ok(self, result):
        alone()
        result.task.args['spoilt'] = 'by the callback'
        result.task.vars['own'].append('spoilt')
'''

INVENTORY = '''
import os
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = """
name: made
short_description: an inventory plugin
description: Says in which process it runs.
"""

class InventoryModule(BaseInventoryPlugin):
    NAME = 'made'

    def verify_file(self, path):
        return path.endswith('made.yml')

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        inventory.add_host('made')
        inventory.set_variable('made', 'ansible_connection', 'local')
        inventory.set_variable('made', 'inventory_pid', os.getpid())
'''


@pytest.fixture
def local(project: Project) -> Project:
    """Hosts which all are this machine."""
    for name in HOSTS:
        project.add_host(name, ansible_connection='local', ansible_python_interpreter='/usr/bin/python3',
                         items=['a', 'b'])
    project.configure('defaults', forks='8')
    return project


def values(run: Run, task: str, field: str = 'msg') -> list[object]:
    """A field of the results of a task."""
    found = [result.result[field] for result in run.results if result.task == task]
    assert found, run.text
    return found


def test_tasks_share_the_process_of_the_play(local: Project) -> None:
    run = local.play(f'[{{name: here, debug: {{msg: "{PID}"}}}}, {{name: again, debug: {{msg: "{PID}"}}}}]', MITOGEN)
    assert len({*values(run.assert_ok(), 'here'), *values(run, 'again')}) == 1


def test_filters_and_vars_plugins_of_others_run_one_at_a_time(local: Project, engine: Engine) -> None:
    local.write('filter_plugins/mine.py', FILTERS)
    local.write('vars_plugins/slow.py', VARS)
    run = local.play('''
        - name: filter
          debug: {msg: "{{ [inventory_hostname, inventory_hostname | enter] | unique | length }}"}
        - name: vars
          debug: {msg: "{{ groups['all'] | map('extract', hostvars) | map(attribute='from_plugin') | list }}"}
    ''', engine).assert_ok()
    assert values(run, 'filter') == [1] * len(HOSTS) or values(run, 'filter') == ['1'] * len(HOSTS)
    assert values(run, 'vars') == [['yes'] * len(HOSTS)] * len(HOSTS)


def test_action_and_lookup_plugins_of_others_start_from_nothing_in_each_task(local: Project, engine: Engine) -> None:
    local.write('action_plugins/mine.py', ACTION)
    local.write('library/mine.py', '#!/usr/bin/python\n')
    local.write('lookup_plugins/mine.py', LOOKUP)
    run = local.play('''
        - name: action
          mine:
        - name: action again
          mine:
        - name: left alone
          debug: {msg: "{{ stolen | default('nothing') }}"}
        - name: lookup
          debug: {msg: "{{ lookup('mine') }}"}
        - name: with
          debug: {msg: "{{ item }}"}
          with_mine: [x]
    ''', engine, arguments=['-vvv']).assert_ok()
    assert values(run, 'action', 'calls') == values(run, 'action again', 'calls') == [1] * len(HOSTS)
    assert len({*values(run, 'action', 'pid'), *values(run, 'action again', 'pid')}) == 2 * len(HOSTS)
    assert values(run, 'left alone') == ['nothing'] * len(HOSTS)
    assert values(run, 'lookup') == [1] * len(HOSTS)
    assert [item[0]['msg'] for item in values(run, 'with', 'results')] == [1] * len(HOSTS)  # type: ignore[index]
    if engine is MITOGEN:
        assert 'process of its own: its action plugin is not one of ansible-core: ' in run.output
        assert 'process of its own: the lookup plugin mine is not one of ansible-core' in run.output


def test_listed_plugins_run_in_threads(local: Project) -> None:
    local.write('action_plugins/mine.py', ACTION.replace("os.chdir('/')", 'pass'))
    local.write('library/mine.py', '#!/usr/bin/python\n')
    local.write('lookup_plugins/other.py', LOOKUP)
    run = local.play(f'''
        - name: action
          mine:
        - name: lookup
          debug: {{msg: "{{{{ lookup('other') }}}}"}}
        - name: here
          debug: {{msg: "{PID}"}}
    ''', MITOGEN, env={'MITOGEN_THREAD_SAFE_PLUGINS': 'mine, other'}).assert_ok()
    assert set(map(str, values(run, 'action', 'pid'))) == set(map(str, values(run, 'here')))
    assert sorted(map(str, values(run, 'lookup'))) == ['1', '2', '3', '4']


def test_callbacks_are_called_one_at_a_time_and_spoil_nothing(local: Project, engine: Engine) -> None:
    local.write('callback_plugins/spoiler.py', CALLBACK)
    local.configure('defaults', callbacks_enabled='record,spoiler')
    tasks = ''.join(f'''
        - name: task {number}
          debug: {{msg: "{{{{ own }}}}"}}
          vars: {{own: [whole]}}
    ''' for number in range(3))
    run = local.play(tasks, engine, keywords={'strategy': 'free'} if engine is STOCK else {}).assert_ok()
    for number in range(3):
        assert values(run, f'task {number}') == [['whole']] * len(HOSTS)


def test_inventory_plugins_run_in_the_main_process(local: Project, engine: Engine) -> None:
    local.write('inventory_plugins/made.py', INVENTORY)
    local.write('made.yml', 'plugin: made\n')
    local.configure('defaults', inventory_plugins='inventory_plugins')
    local.configure('inventory', enable_plugins='made, yaml, ini')
    run = local.play(f'[{{name: here, debug: {{msg: "{PID}"}}}}]', engine, hosts='made',
                     arguments=['-i', 'made.yml', '-e', 'shown=1']).assert_ok()
    assert len(values(run, 'here')) == 1


STATE = '''
- name: facts
  setup: {gather_subset: ["!all", "!min"]}
- name: spoil
  debug: {msg: "{{ items | spoil }} {{ hostvars['web1']['items'] | spoil }} {{ items.append(1) }}"}
- name: whole
  debug: {msg: "{{ items }} {{ hostvars['web1']['items'] }}"}
- name: loop
  debug: {msg: "{{ entry }} {{ number }}"}
  loop: "{{ [inventory_hostname] * 2 }}"
  loop_control: {loop_var: entry, index_var: number, label: "{{ entry }}!", pause: "{{ 0.01 }}"}
- name: leftovers
  debug: {msg: "{{ entry | default('none') }} {{ ansible_loop_var | default('none') }} {{ r is defined }}"}
# What only needs a result starts no Python.
- name: registered
  raw: echo {{ inventory_hostname }} {{ item }}
  loop: [1, 2]
  register: r
  until: r.rc == 0
  delay: 0
- name: delegated
  command: echo {{ inventory_hostname }}
  delegate_to: "{{ groups['all'][-1] }}"
- name: once
  set_fact: {chosen: "{{ inventory_hostname }}"}
  run_once: true
- name: each
  set_fact: {mine: {name: "{{ inventory_hostname }}"}}
- name: all
  debug: {msg: "{{ groups['all'] | map('extract', hostvars, 'mine') | list }} {{ chosen }}"}
- name: hidden
  raw: echo secret
  no_log: true
- name: environment
  command: printenv MINE
  environment: {MINE: "{{ inventory_hostname }}"}
- name: group
  group_by: {key: "g_{{ inventory_hostname }}"}
- name: members
  debug: {msg: "{{ groups['g_' ~ inventory_hostname] }}"}
- name: failing
  raw: /bin/false
  ignore_errors: true
- name: undefined
  debug: {msg: "{{ nothing_of_that_name }}"}
  ignore_errors: true
'''

#: What differs from run to run.
VOLATILE = frozenset(['start', 'end', 'delta', 'ansible_facts', 'exception', 'invocation', 'deprecations', 'warnings'])


def stable(value: object) -> object:
    """A result without what differs from run to run."""
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if key not in VOLATILE}
    return [stable(item) for item in value] if isinstance(value, list) else value


def test_state_is_what_it_is_with_processes(local: Project) -> None:
    local.write('filter_plugins/mine.py', FILTERS)
    outcomes = []
    for engine in (STOCK, MITOGEN):
        run = local.play(STATE, engine).assert_ok()
        outcomes.append({(result.task, result.host): (result.status, stable(result.result)) for result in run.results})
    assert outcomes[0] == outcomes[1]


def test_task_that_prints_is_reported(local: Project, engine: Engine) -> None:
    local.write('filter_plugins/mine.py', FILTERS)
    run = local.play('[{name: loud, debug: {msg: "{{ inventory_hostname | shout }}"}}]', engine, hosts='web2')
    run.assert_ok()
    assert 'errantly sent data directly to stdout' in run.text
    assert 'shouted web2' in run.text


def test_task_that_ends_its_worker_ends_the_play(local: Project, engine: Engine) -> None:
    local.write('filter_plugins/mine.py', FILTERS)
    run = local.play('[{name: deadly, debug: {msg: "{{ 1 | die }}"}}, {name: next, debug: }]', engine)
    assert run.status
    assert 'A worker was found in a dead state' in run.text
    assert not [result for result in run.results if result.task == 'next']


MUST_FORK = f'''
- name: timeout
  command: sleep 30
  timeout: 1
  ignore_errors: true
- name: pause
  pause: {{seconds: 1}}
- name: by variable
  debug: {{msg: "{PID}"}}
  vars: {{mitogen_workers: fork}}
- name: here
  debug: {{msg: "{PID}"}}
'''


def test_what_needs_a_process_gets_one(local: Project) -> None:
    run = local.play(MUST_FORK, MITOGEN, arguments=['-vvv']).assert_ok()
    assert {result.status for result in run.results if result.task == 'timeout'} == {'failed'}
    assert len(set(values(run, 'by variable'))) == len(HOSTS)
    assert len(set(values(run, 'here'))) == 1
    for reason in ('it has a timeout', 'pause waits for the user', 'mitogen_workers is fork'):
        assert f'the task runs in a process of its own: {reason}' in run.output


def test_environment_variable_forks_everything(local: Project) -> None:
    run = local.play(f'[{{name: here, debug: {{msg: "{PID}"}}}}]', MITOGEN, arguments=['-vvv'],
                     env={'MITOGEN_WORKERS': 'fork'}).assert_ok()
    assert len(set(values(run, 'here'))) == len(HOSTS)
    assert 'tasks run in forked processes: MITOGEN_WORKERS is fork' in run.output


def test_hook_that_is_switched_off_leaves_the_fork(local: Project) -> None:
    run = local.play(f'[{{name: here, debug: {{msg: "{PID}"}}}}]', MITOGEN,
                     env={'MITOGEN_DISABLE_HOOKS': 'threads'}).assert_ok()
    assert len(set(values(run, 'here'))) == len(HOSTS)


OTHER_CONNECTION = '''
from ansible.plugins.connection.local import DOCUMENTATION, Connection as Local

class Connection(Local):
    transport = 'other'
'''


def test_connection_of_others_is_used_in_a_process(local: Project) -> None:
    local.write('connection_plugins/other.py', OTHER_CONNECTION)
    local.add_host('far', ansible_connection='other', ansible_python_interpreter='/usr/bin/python3')
    run = local.play(f'''
        - name: direct
          debug: {{msg: "{PID}"}}
        - name: delegated
          command: echo done
          delegate_to: far
        - name: looping
          command: echo {{{{ item }}}}
          delegate_to: "{{{{ item }}}}"
          loop: [web1, far]
    ''', MITOGEN, arguments=['-vvv']).assert_ok()
    pids = {result.host: result.result['msg'] for result in run.results if result.task == 'direct'}
    assert len({pids[name] for name in HOSTS}) == 1
    assert pids['far'] != pids['web1']
    assert 'process of its own: its connection, other, is not persistent' in run.output
    assert {result.status for result in run.results} == {'ok'}


def test_processes_are_forked_while_threads_are_busy(local: Project) -> None:
    local.write('filter_plugins/mine.py', FILTERS)
    for name in HOSTS:
        local.add_host(f'{name}-forked', ansible_connection='local', ansible_python_interpreter='/usr/bin/python3',
                       mitogen_workers='fork', items=['a'])
    tasks = ''.join(textwrap.indent(textwrap.dedent(f'''
        - name: template {number}
          debug: {{msg: "{{{{ groups['all'] | map('extract', hostvars, 'items') | list | to_json }}}}"}}
        - name: command {number}
          command: echo {number}
    '''), '        ') for number in range(6))
    run = local.play(tasks, Engine('free', 'mitogen_free', True, MITOGEN.settings), arguments=['-vvv']).assert_ok()
    assert len(run.results) == 12 * 2 * len(HOSTS)


def test_modules_of_tasks_to_come_are_built_while_a_task_waits(local: Project, tmp_path: Path) -> None:
    def play(engine: Engine) -> set[str]:
        run = local.play(f'''
            - name: waits
              command: sleep 2
            - name: built
              debug: {{msg: "{{{{ query('pipe', 'ls {tmp_path}/ansible-local-*/ansiballz_cache')[0].split() }}}}"}}
            - name: skipped
              stat: {{path: /}}
              when: false
            - name: debug does not run a module
              debug:
            - name: wants it
              lineinfile: {{path: /etc/hostname, regexp: nothing, state: absent}}
        ''', engine, hosts='web1', env={'ANSIBLE_LOCAL_TEMP': str(tmp_path)}).assert_ok()
        # Nothing of it is there at the end, whoever has built it.
        assert not list(tmp_path.glob('ansible-local-*'))
        return {name.split('-')[0] for name in run.task('built').result['msg'] if not name.endswith('.lock')}
    assert play(STOCK) == {'ansible.modules.command'}
    assert play(MITOGEN) == {'ansible.modules.command', 'ansible.modules.stat', 'ansible.modules.lineinfile'}
