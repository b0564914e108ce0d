"""The strategies: each in the order of its stock twin, over connections of ours; and none at all."""

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import CONNECTION_ONLY, PLUGINS, STOCK, Engine, ours
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

LOCKSTEP = ['linear', 'mitogen_linear', 'mitogen']
FREE = ['free', 'mitogen_free']
PINNED = ['host_pinned', 'mitogen_host_pinned']

PACE = '''
- name: first
  command: "sleep {{ 3 if inventory_hostname == 'slow' else 0 }}"
- name: second
  command: id -un
'''


def engine_of(strategy: str) -> Engine:
    """A strategy of ours by its name, or one of ansible-core's."""
    if strategy.startswith('mitogen'):
        return ours(strategy)
    return Engine(strategy, strategy, False, STOCK.settings)


def add_hosts(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    """One slow host and two fast ones."""
    for name in ('slow', 'fast1', 'fast2'):
        project.add_host(name, sshd.variables(accounts.plain))


def times(run: Run, task: str) -> dict[str, float]:
    """When each host ended a task."""
    return {result.host: result.time for result in run.results if result.task == task}


@pytest.mark.parametrize('strategy', LOCKSTEP)
def test_lockstep_waits_for_the_slowest_host(
    strategy: str, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    add_hosts(project, sshd, accounts)
    run = project.play(PACE, engine_of(strategy)).assert_ok()
    assert max(times(run, 'first').values()) < min(times(run, 'second').values())


@pytest.mark.every_core
@pytest.mark.parametrize('strategy', FREE + PINNED)
def test_fast_host_does_not_wait(strategy: str, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    add_hosts(project, sshd, accounts)
    run = project.play(PACE.replace('3 if', '6 if'), engine_of(strategy)).assert_ok()
    first, second = times(run, 'first'), times(run, 'second')
    assert max(second['fast1'], second['fast2']) < first['slow']
    for host in ('slow', 'fast1', 'fast2'):
        assert run.statuses(host) == {'first': 'ok', 'second': 'ok'}
        assert run.task('second', host).result['stdout'] == accounts.plain.name


@pytest.mark.parametrize('strategy', PINNED)
def test_pinned_host_is_finished_before_the_next_begins(
    strategy: str, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    add_hosts(project, sshd, accounts)
    run = project.play(PACE, engine_of(strategy), arguments=['--forks=1']).assert_ok()
    hosts = [result.host for result in run.results]
    assert [hosts[index] == hosts[index + 1] for index in (0, 2, 4)] == [True, True, True]


@pytest.mark.parametrize('strategy', ['mitogen_linear', 'mitogen', 'mitogen_free', 'mitogen_host_pinned'])
def test_modules_run_below_one_process_and_nothing_is_left(
    strategy: str, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.write('library/probe.py', PROBE)
    add_hosts(project, sshd, accounts)
    run = project.play('''
        - name: first
          probe:
        - name: second
          probe:
    ''', engine_of(strategy)).assert_ok()
    for host in ('slow', 'fast1', 'fast2'):
        assert run.task('first', host).result['parent'] == run.task('second', host).result['parent']
    assert not run.left
    leftovers.assert_none()


def test_strategy_as_a_keyword_of_the_play(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.plain))
    project.configure('defaults', strategy_plugins=str(PLUGINS / 'strategy'))
    tasks = '[{name: first, probe: }, {name: second, probe: }]'
    run = project.play(tasks, STOCK, keywords={'strategy': 'mitogen_free'}, grace=3).assert_ok()
    assert run.task('first').result['parent'] == run.task('second').result['parent']
    assert not [command for _pid, command in run.left if '[mux]' not in command]


@pytest.mark.every_core
@pytest.mark.parametrize('level', ['variable', 'keyword', 'setting'])
def test_connection_without_a_strategy(
    level: str, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.write('library/probe.py', PROBE)
    keywords = {'connection': 'mitogen_ssh'} if level == 'keyword' else {}
    if level == 'setting':
        project.configure('defaults', transport='mitogen_ssh')
    project.add_host('web1', sshd.variables(
        accounts.nopasswd, ansible_connection='mitogen_ssh' if level == 'variable' else None))
    run = project.play('''
        - name: first
          probe:
        - name: second
          probe:
        - name: root
          command: id -un
          become: true
        - name: copy
          copy: {content: text, dest: ~/copied}
    ''', CONNECTION_ONLY, keywords=keywords).assert_ok()
    assert run.task('first').result['parent'] == run.task('second').result['parent']
    assert run.task('root').result['stdout'] == 'root'
    assert not run.left
    (accounts.nopasswd.home / 'copied').unlink()
    leftovers.assert_none()


# Not the free ones: they refuse `add_host`, as stock does.
@pytest.mark.every_core
@pytest.mark.parametrize('strategy', LOCKSTEP)
def test_plays_in_a_row_and_batches(strategy: str, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    add_hosts(project, sshd, accounts)
    project.write('plays.yml', '''\
        - hosts: all
          gather_facts: false
          serial: 1
          tasks:
            - name: one by one
              command: id -un
        - hosts: fast1
          gather_facts: true
          become: false
          tasks:
            - name: grouped
              group_by: {key: "system_{{ ansible_facts['system'] }}"}
            - name: added
              add_host: {name: slow, groups: [added]}
        - hosts: added:system_Linux
          gather_facts: false
          tasks:
            - name: last
              command: id -un
    ''')
    run = project.start_playbook('plays.yml', engine_of(strategy)).wait().assert_ok()
    assert {result.host for result in run.results if result.task == 'one by one'} == {'slow', 'fast1', 'fast2'}
    assert {result.host for result in run.results if result.task == 'last'} == {'slow', 'fast1'}
