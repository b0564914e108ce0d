"""The strategies: each in the order of its stock twin, over connections of ours; and none at all."""

import json
import textwrap

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import CONNECTION_ONLY, PLUGINS, STOCK, Engine, ours
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

# The stock ones show that the tests ask for the right thing.
LOCKSTEP = [pytest.param('linear', marks=pytest.mark.once), 'mitogen_linear', 'mitogen']
FREE = [pytest.param('free', marks=pytest.mark.once), 'mitogen_free']
PINNED = [pytest.param('host_pinned', marks=pytest.mark.once), 'mitogen_host_pinned']

#: Tasks of which the first takes one host longer.
PACE = '''
- name: first
  {shell}: "sleep {{{{ {seconds} if inventory_hostname == 'slow' else 0 }}}}"
- name: second
  {shell}: id -un
'''

#: More tasks, for a look at the processes that modules run below.
PROBES = '''
- name: third
  probe:
- name: fourth
  probe:
'''


def engine_of(strategy: str) -> Engine:
    """A strategy of ours by its name, or one of ansible-core's."""
    if strategy.startswith('mitogen'):
        return ours(strategy)
    return Engine(strategy, strategy, False, STOCK.settings)


def pace(strategy: str, seconds: int) -> str:
    """Tasks of which the first takes one host longer. Under a stock strategy they start no Python."""
    return PACE.format(shell='shell' if strategy.startswith('mitogen') else 'raw', seconds=seconds)


def add_hosts(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    """One slow host and two fast ones."""
    for name in ('slow', 'fast1', 'fast2'):
        project.add_host(name, sshd.variables(accounts.plain))


def times(run: Run, task: str) -> dict[str, float]:
    """When each host ended a task."""
    return {result.host: result.time for result in run.results if result.task == task}


def assert_modules_ran_below_one_process(run: Run, host: str, *tasks: str) -> None:
    """The modules of a host were forked from one process, which stays."""
    results = [run.task(task, host).result for task in tasks]
    assert len({result['parent'] for result in results}) == 1, host
    assert len({result['pid'] for result in results}) == len(tasks), host


@pytest.mark.every_core
@pytest.mark.parametrize('strategy', FREE + PINNED)
def test_fast_host_does_not_wait(
    strategy: str, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.write('library/probe.py', PROBE)
    add_hosts(project, sshd, accounts)
    engine = engine_of(strategy)
    run = project.play(pace(strategy, 6) + (PROBES if engine.ours else ''), engine).assert_ok()
    first, second = times(run, 'first'), times(run, 'second')
    assert max(second['fast1'], second['fast2']) < first['slow']
    for host in ('slow', 'fast1', 'fast2'):
        assert set(run.statuses(host).values()) == {'ok'}
        assert run.task('second', host).result['stdout'].strip() == accounts.plain.name
        if engine.ours:
            assert_modules_ran_below_one_process(run, host, 'third', 'fourth')
    if engine.ours:
        assert not run.left
        leftovers.assert_none()


@pytest.mark.parametrize('strategy', PINNED)
def test_pinned_host_is_finished_before_the_next_begins(
    strategy: str, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    add_hosts(project, sshd, accounts)
    run = project.play(pace(strategy, 3), engine_of(strategy), arguments=['--forks=1']).assert_ok()
    hosts = [result.host for result in run.results]
    assert [hosts[index] == hosts[index + 1] for index in (0, 2, 4)] == [True, True, True]


def test_strategy_as_a_keyword_of_the_play(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.plain))
    project.configure('defaults', strategy_plugins=str(PLUGINS / 'strategy'))
    tasks = '[{name: first, probe: }, {name: second, probe: }]'
    run = project.play(tasks, STOCK, keywords={'strategy': 'mitogen_free'}, grace=3).assert_ok()
    assert run.task('first').result['parent'] == run.task('second').result['parent']
    assert not [command for _pid, command in run.left if '[mux]' not in command]


@pytest.mark.every_core
@pytest.mark.parametrize('levels', [['variable', 'keyword'], ['setting']], ids=' and '.join)
def test_connection_without_a_strategy(
    levels: list[str], project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.write('library/probe.py', PROBE)
    if levels == ['setting']:
        project.configure('defaults', transport='mitogen_ssh')
    plays = []
    for level in levels:
        project.add_host(level, sshd.variables(
            accounts.nopasswd, ansible_connection='mitogen_ssh' if level == 'variable' else None))
        plays.append({
            'hosts': level, 'gather_facts': False, **({'connection': 'mitogen_ssh'} if level == 'keyword' else {}),
            'tasks': [
                {'name': 'first', 'probe': {}},
                {'name': 'second', 'probe': {}},
                {'name': 'root', 'command': 'id -un', 'become': True},
                {'name': 'copy', 'copy': {'content': 'text', 'dest': f'~/copied-by-{level}'}},
            ]})
    project.write('site.yml', json.dumps(plays))
    run = project.start_playbook('site.yml', CONNECTION_ONLY).wait().assert_ok()
    for level in levels:
        assert_modules_ran_below_one_process(run, level, 'first', 'second')
        assert run.task('root', level).result['stdout'] == 'root'
        (accounts.nopasswd.home / f'copied-by-{level}').unlink()
    assert not run.left
    leftovers.assert_none()


# Not the free ones: they refuse `add_host`, as stock does.
@pytest.mark.every_core
@pytest.mark.parametrize('strategy', LOCKSTEP)
def test_lockstep_and_plays_in_a_row_and_batches(
    strategy: str, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.write('library/probe.py', PROBE)
    add_hosts(project, sshd, accounts)
    engine = engine_of(strategy)
    tasks = pace(strategy, 3) + (PROBES if engine.ours else '')
    who = 'command' if engine.ours else 'raw'
    project.write('plays.yml', f'''\
        - hosts: all
          gather_facts: false
          tasks:
{textwrap.indent(tasks, ' ' * 12)}
        - hosts: all
          gather_facts: false
          serial: 1
          tasks:
            - name: one by one
              {who}: id -un
        - hosts: fast1
          gather_facts: true
          gather_subset: [min]
          become: false
          tasks:
            - name: grouped
              group_by: {{key: "system_{{{{ ansible_facts['system'] }}}}"}}
            - name: added
              add_host: {{name: slow, groups: [added]}}
        - hosts: added:system_Linux
          gather_facts: false
          tasks:
            - name: last
              {who}: id -un
    ''')
    run = project.start_playbook('plays.yml', engine).wait().assert_ok()
    assert max(times(run, 'first').values()) < min(times(run, 'second').values())
    assert times(run, 'one by one').keys() == {'slow', 'fast1', 'fast2'}
    assert times(run, 'last').keys() == {'slow', 'fast1'}
    if engine.ours:
        for host in ('slow', 'fast1', 'fast2'):
            assert_modules_ran_below_one_process(run, host, 'third', 'fourth')
        assert not run.left
        leftovers.assert_none()
