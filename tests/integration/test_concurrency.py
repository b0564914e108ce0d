"""Tasks of many hosts that lead to one place run as many at a time as the user allows, on all CPUs."""

import os

from tests.harness.accounts import Accounts
from tests.harness.engines import Engine
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

HOSTS, FORKS = 5, 3

#: Each waits until as many as may run at a time have begun: it fails where they run one by one.
MEET = '''
- name: {name}
  shell: |
    touch {folder}/{name}-{{{{ inventory_hostname }}}}
    for attempt in $(seq 600); do
      [ $(ls {folder} | grep -c '^{name}-') -ge {forks} ] && exit 0
      sleep 0.1
    done
    exit 1
  delegate_to: "{target}"
'''

CPUS = '''
- name: cpus of {name}
  command: python3 -c 'import os; print(sorted(os.sched_getaffinity(0)))'
  {more}
'''


def test_delegated_tasks_run_as_many_at_a_time_as_there_are_forks(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.configure('defaults', forks=str(FORKS))
    shared = project.folder / 'meeting'
    shared.mkdir()
    shared.chmod(0o777)
    for number in range(HOSTS):
        project.add_host(f'web{number}', sshd.variables(accounts.plain))
    project.add_host('one', sshd.variables(accounts.nopasswd))
    run = project.play(''.join(MEET.format(name=name, folder=shared, forks=FORKS, target=target) for name, target in (
        ('remote', 'one'), ('local', 'localhost'))), engine, hosts='all:!one').assert_ok()
    assert len(run.results) == 2 * HOSTS


def test_tasks_may_use_every_cpu(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    run: Run = project.play(''.join(CPUS.format(name=name, more=more) for name, more in (
        ('login', ''), ('account', 'become: true'), ('local', 'delegate_to: localhost'),
        ('job', 'async: 60\n  poll: 1'))), engine).assert_ok()
    assert {result.result['stdout'] for result in run.results} == {str(sorted(os.sched_getaffinity(0)))}
