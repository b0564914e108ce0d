"""How often tasks wait for their host, what the profile says of it, and that nothing else changes by it."""

import textwrap
from typing import Any

import pytest

from tests.harness.accounts import Accounts, account_files
from tests.harness.budget_play import budget_tasks, budgets, round_trips
from tests.harness.engines import CONNECTION_ONLY, MITOGEN, Engine
from tests.harness.leftovers import Leftovers
from tests.harness.profiles import costs, enable_profile
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

pytestmark = pytest.mark.xdist_group('round trips')


@pytest.mark.once
def test_actions_wait_for_their_host_as_often_as_their_budget_says(
    project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    path = enable_profile(project)
    project.add_host('login', sshd.variables(work='{{ made.path }}'))
    project.add_host('became', sshd.variables(accounts.nopasswd, work='{{ made.path }}', ansible_become=True))
    tasks = budget_tasks(project)
    accounts_before = account_files()
    run = project.play(tasks, MITOGEN, timeout=400).assert_ok()
    # Someone else on this machine has made or removed an account: home folders had to be asked for again, or a context
    # was opened anew because sudo might say something else now.
    asked_again = account_files() != accounts_before
    for host in ('login', 'became'):
        found = round_trips(path, host)
        wanted = budgets(become=host == 'became')
        if asked_again:
            found = {what: min(count, max(wanted[what], count - 2)) for what, count in found.items()}
        assert found == wanted, host
    assert 'MITOGEN PROFILE' in run.output
    leftovers.assert_none()


@pytest.mark.parametrize('engine', [MITOGEN, CONNECTION_ONLY], ids=str)
def test_profile_says_where_the_time_of_a_task_went(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    path = enable_profile(project)
    connection = None if engine is MITOGEN else 'mitogen_ssh'
    for host in ('web1', 'web2'):
        more = {} if connection is None else {'ansible_connection': connection}
        project.add_host(host, sshd.variables(accounts.plain, **more))
    run = project.play('''
        - {name: busy, command: sleep 0.5}
        - {name: looped, command: id, loop: [1, 2, 3]}
        - {name: left out, command: id, when: false}
        - {name: fails, command: 'false', ignore_errors: true}
    ''', engine, arguments=['--limit', 'web1']).assert_ok()
    found = costs(path)
    assert found['busy']['run_ms'] >= 500 and found['busy']['seconds'] >= 0.5
    assert [found[name]['round_trips'] for name in ('busy', 'looped', 'left out', 'fails')] == [1, 3, 0, 1]
    assert [found[name]['status'] for name in ('looped', 'left out', 'fails')] == ['ok', 'skipped', 'failed']
    assert 0 < found['fails']['sent'] < found['busy']['sent']
    table = run.output[run.output.index('MITOGEN PROFILE'):]
    assert table.index('busy') < table.index('all tasks')


def copy_and_tell(project: Project, sshd: Sshd, accounts: Accounts, settings: dict[str, str], **more: Any) -> Run:
    """Run a copy and a module that tells where temporary files were made."""
    project.write('library/where.py', textwrap.dedent('''
        import os
        from ansible.module_utils.basic import AnsibleModule
        module = AnsibleModule(argument_spec={})
        made = module.tmpdir
        status = os.stat(made)
        module.exit_json(changed=False, folder=made, mode=oct(status.st_mode & 0o777), uid=status.st_uid)
    '''))
    project.write('action_note.txt', '')
    project.add_host('web1', sshd.variables(accounts.nopasswd, **settings))
    return project.play('''
        - {name: copied, copy: {content: text, dest: "~/copied"}}
        - {name: told, where: }
        - {name: removed, file: {path: "~/copied", state: absent}}
    ''', MITOGEN, **more)


def test_folder_is_made_where_the_user_wants_it_and_for_him_alone(
    project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    place = accounts.nopasswd.home / 'place/below'
    run = copy_and_tell(project, sshd, accounts, {'ansible_remote_tmp': str(place)}).assert_ok()
    assert run.task('copied').result['src'].startswith(f'{place}/ansible-tmp-')
    assert oct(place.stat().st_mode & 0o777) == '0o700' and place.stat().st_uid == accounts.nopasswd.uid
    assert list(place.iterdir()) == []
    place.rmdir()
    place.parent.rmdir()
    leftovers.assert_none()


def test_folder_that_cannot_be_made_is_the_error_of_stock(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    run = copy_and_tell(project, sshd, accounts, {'ansible_remote_tmp': '/proc/none'})
    result = run.task('copied')
    assert result.status == 'unreachable'
    assert 'Failed to create temporary directory.' in result.message and '/proc/none' in result.message


def test_failed_task_leaves_no_folder_behind(
    project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - {name: copied, copy: {content: text, dest: /proc/none/x}}
    ''', MITOGEN)
    assert run.task('copied').status == 'failed' and '/proc/none' in run.task('copied').message
    leftovers.assert_none()


# The plugin loader makes modules of their own of files whose plugins are asked for by full names.
@pytest.mark.parametrize('prefix', ['', 'ansible.builtin.', 'ansible.legacy.'])
def test_a_file_that_is_not_there_is_not_looked_at_by_a_module(
    prefix: str, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - {name: absent, PREFIXcopy: {content: text, dest: "/var/tmp/{{ ansible_user }}-new"}}
        - {name: present, PREFIXcopy: {content: other, dest: "/var/tmp/{{ ansible_user }}-new"}}
        - {name: removed, file: {path: "/var/tmp/{{ ansible_user }}-new", state: absent}}
    '''.replace('PREFIX', prefix), MITOGEN, arguments=['-vvv']).assert_ok()
    assert [run.task(name).result['changed'] for name in ('absent', 'present')] == [True, True]
    absent, present = (part.partition('TASK [')[0] for part in run.output.split('TASK [')[-3:-1])
    assert ('it need not run' in absent, 'module ansible.modules.stat' in absent) == (True, False)
    assert ('it need not run' in present, 'module ansible.modules.stat' in present) == (False, True)
    leftovers.assert_none()


def test_a_file_that_is_there_after_one_that_was_not_is_looked_at(
    project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: some are there
          copy: {content: "text of {{ item }}", dest: "/var/tmp/{{ ansible_user }}-{{ item }}"}
          loop: [b, a, b, c, a, c, d]
        - {name: removed, file: {path: "/var/tmp/{{ ansible_user }}-{{ item }}", state: absent}, loop: [a, b, c, d]}
    ''', MITOGEN, arguments=['-vvv']).assert_ok()
    results = run.task('some are there').result['results']
    assert [result['changed'] for result in results] == [True, True, False, True, False, False, True]
    # The first that is there after one that was not is looked at by a module; the one after it, together with the next.
    assert run.output.count('it need not run') == 4
    assert run.output.count('it has run already') == 1
    leftovers.assert_none()


def test_hooks_that_are_switched_off_leave_each_step_as_it_was(
    project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    path = enable_profile(project)
    off = 'make-folder,remove-folder,permissions,unchanged-copy'
    copy_and_tell(project, sshd, accounts, {}, env={'MITOGEN_DISABLE_HOOKS': off}).assert_ok()
    assert costs(path)['copied']['round_trips'] >= 6
    leftovers.assert_none()


def test_action_plugin_of_the_user_gets_each_step_done_when_it_asks_for_it(
    project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.write('action_plugins/steps.py', textwrap.dedent('''
        from ansible.plugins.action import ActionBase


        class ActionModule(ActionBase):
            def run(self, tmp=None, task_vars=None):
                result = super().run(tmp, task_vars)
                folder = self._make_tmp_path()
                result['before'] = self._low_level_execute_command('ls -d %s' % folder)['rc']
                self._transfer_data(folder + '/file', 'content')
                self._fixup_perms2((folder, folder + '/file'))
                result['content'] = self._low_level_execute_command('cat %s/file' % folder)['stdout']
                self._remove_tmp_path(folder)
                result['after'] = self._low_level_execute_command('ls -d %s' % folder)['rc']
                return result
    '''))
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('- {name: steps, steps: }', MITOGEN).assert_ok()
    assert [run.task('steps').result[name] for name in ('before', 'content', 'after')] == [0, 'content', 2]
    leftovers.assert_none()
