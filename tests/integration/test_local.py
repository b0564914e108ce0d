"""The connection `local`: the controller itself, in a process that stays."""

import os

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import CONNECTION_ONLY, MITOGEN, Engine
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.project import Project
from tests.harness.sshd import Sshd

HERE = {'ansible_connection': 'local', 'ansible_python_interpreter': '/usr/bin/python3'}


def test_module_runs_as_the_user_in_the_same_folder_and_environment(
    engine: Engine, project: Project, accounts: Accounts
) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('here', HERE, ansible_become_user=accounts.other.name)
    project.write('site.yml', f'''\
        - hosts: here
          gather_facts: false
          tasks:
            - name: probe
              probe:
            - name: copy of another account
              copy: {{content: text, dest: {accounts.other.home}/by-local, mode: "0600"}}
              become: true
            - name: read
              slurp: {{src: {accounts.other.home}/by-local}}
        - hosts: localhost
          gather_facts: false
          tasks:
            - name: implicit localhost
              command: id -un
    ''')
    run = project.start_playbook('site.yml', engine, env={'MARK_OF_THE_USER': 'yes'}).wait().assert_ok()
    probe = run.task('probe').result
    assert probe['uid'] == os.getuid()
    assert os.path.realpath(probe['cwd']) == os.path.realpath(project.folder)
    assert probe['environ']['MARK_OF_THE_USER'] == 'yes'
    assert probe['environ']['HOME'] == str(project.home)
    assert probe['tty'] is False
    assert run.task('copy of another account').result['owner'] == accounts.other.name
    assert run.task('read').result['content'] == 'dGV4dA=='
    assert run.task('implicit localhost', 'localhost').result['stdout'] == 'root'
    # The other engine must write it again.
    (accounts.other.home / 'by-local').unlink()


@pytest.mark.every_core
def test_delegated_to_localhost(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: delegated
          command: id -un
          delegate_to: localhost
        - name: local action
          local_action: command id -un
        - name: there
          command: id -un
    ''', engine).assert_ok()
    names = [run.task(name).result['stdout'] for name in ('delegated', 'local action', 'there')]
    assert names == ['root', 'root', accounts.plain.name]


@pytest.mark.parametrize('engine', [MITOGEN, CONNECTION_ONLY], ids=str)
def test_tasks_run_below_one_process_that_stays(engine: Engine, project: Project, leftovers: Leftovers) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('here', HERE, ansible_connection='local' if engine is MITOGEN else 'mitogen_local')
    run = project.play('''
        - name: first
          probe:
        - name: second
          probe:
    ''', engine).assert_ok()
    assert run.task('first').result['parent'] == run.task('second').result['parent']
    assert not run.left
    leftovers.assert_none()


def test_tasks_of_many_local_hosts_run_at_once(engine: Engine, project: Project) -> None:
    numbers = range(5 if engine.ours else 3)
    for number in numbers:
        project.add_host(f'here{number}', HERE)
    run = project.play('- {name: slow, command: sleep 4}', engine, arguments=['--forks=5']).assert_ok()
    begins = [run.task('slow', f'here{number}').result['start'] for number in numbers]
    ends = [run.task('slow', f'here{number}').result['end'] for number in numbers]
    assert max(begins) < min(ends)
