"""The upgrade to an ansible-core that nobody here has seen: what no longer fits is left out, and plays still pass."""

import pytest
from ansible.release import __version__ as ansible_release

from ansible_mitogen.connection.twins import NEEDS
from ansible_mitogen.hooks import HOOKS
from ansible_mitogen.hooks.module_mends import ModuleMend
from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, ROOT, Engine
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

CORE = tuple(int(part) for part in ansible_release.split('.')[:2])

#: Ansible imports it before it loads the strategy.
DISGUISE = '''
import functools
import importlib
import inspect
import os

from ansible.plugins.callback import CallbackBase


def disguise(dotted):
    """Give a callable another signature, and anything else another type; it does what it did."""
    parts = dotted.split('.')
    for length in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module('.'.join(parts[:length]))
            break
        except ImportError:
            continue
    for name in parts[length:-1]:
        owner = getattr(owner, name)
    name = parts[-1]
    if not inspect.ismodule(owner) and not inspect.isclass(owner):
        owner = type(owner)
    known = getattr(owner, name)
    if inspect.isclass(known):
        owner, name, known = known, '__init__', known.__init__

    def disguised(*unknown, **parameters):
        return known(*unknown, **parameters)

    class Disguised:
        def __getattr__(self, name):
            return getattr(known, name)

    setattr(owner, name, disguised if callable(known) else Disguised())


for dotted in filter(None, os.environ['DISGUISE'].split(',')):
    disguise(dotted)

if os.environ.get('RELEASE'):
    import ansible.release
    ansible.release.__version__ = os.environ['RELEASE']


class CallbackModule(CallbackBase):
    CALLBACK_NAME = 'disguise'
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NEEDS_ENABLED = True
'''

#: What all runs do: modules and a file by ssh, and a module here.
TASKS = '''
- name: copy
  copy: {content: "text of {{ inventory_hostname }}", dest: "{{ ansible_env_home }}/upgrade"}
- name: local
  command: echo here
  delegate_to: localhost
'''

#: What is not done again for each single thing that can be unknown.
MORE_TASKS = '''
- name: module
  command: echo {{ item }}
  loop: [one, two]
- name: become
  command: id -un
  become: true
- name: skipped
  command: /bin/false
  when: false
- name: fails
  command: /bin/false
  ignore_errors: true
'''

#: The switch that is no strategy: it has a hook of its own.
CALLBACK = Engine('callback', 'linear', True, {
    'defaults': {'collections_path': str(ROOT), 'callbacks_enabled': 'record, mitogen.ansible.mitogen'}})

#: Hooks that an ansible-core before this one has no place for.
SINCE = dict.fromkeys(('threads', 'imports', 'templates', 'zips', 'keywords', 'ssh-arguments'), (2, 19))

#: The last ansible-core that wants a hook.
UNTIL = {'variables': (2, 16)}

#: All that a hook guards. A hook names it in `replaces`; what a twin needs of a stock plugin is a list of its own.
#: What is mended in a module's process is guarded there, so unit tests do it.
GUARDED = [
    hook.replaces for hook in HOOKS
    if hook.replaces and not isinstance(hook, ModuleMend)
    and SINCE.get(hook.name, CORE) <= CORE <= UNTIL.get(hook.name, CORE)
] + [f'{stock.__module__}.{stock.__name__}.{method}' for stock, methods in NEEDS.items() for method in methods]


def play(
    project: Project, sshd: Sshd, accounts: Accounts, disguised: str, release: str = '', tasks: str = TASKS
) -> Run:
    project.write('callback_plugins/disguise.py', DISGUISE)
    project.configure('connection', pipelining='True')
    project.add_host(
        'web1',
        sshd.variables(accounts.passwd, ansible_become_password=accounts.passwd.password),
        # Where stock connections are used, they leave no master behind.
        ansible_ssh_args='-o ControlMaster=no',
        ansible_env_home=str(accounts.passwd.home),
    )
    engine = CALLBACK if 'strategy_loader' in disguised else MITOGEN
    run = project.play(tasks, engine, env={'DISGUISE': disguised, 'RELEASE': release}).assert_ok()
    copied = accounts.passwd.home / 'upgrade'
    assert run.task('copy').result['owner'] == accounts.passwd.name
    assert copied.read_text() == 'text of web1'
    copied.unlink()
    assert run.task('local').result['stdout'] == 'here'
    assert not run.left
    return run


def play_more(project: Project, sshd: Sshd, accounts: Accounts, disguised: str, release: str = '') -> Run:
    run = play(project, sshd, accounts, disguised, release, TASKS + MORE_TASKS)
    assert run.task('become').result['stdout'] == 'root'
    assert [result['stdout'] for result in run.task('module').result['results']] == ['one', 'two']
    assert run.task('skipped').status == 'skipped'
    assert run.task('fails').status == 'failed'
    return run


def warnings(run: Run) -> list[str]:
    """Those that are about us, each on one line."""
    text = run.text.replace('\n', ' ')
    return [part.strip() for part in text.split('[WARNING]:')[1:] if 'mitogen' in part]


# Each alone on one ansible-core; all together on each.
@pytest.mark.once
@pytest.mark.parametrize('guarded', GUARDED)
def test_play_passes_with_one_warning_when_a_guarded_signature_is_unknown(
    guarded: str, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    [warning] = warnings(play(project, sshd, accounts, guarded))
    assert warning.startswith('mitogen does not know this version of ansible-core. Left out: ')


@pytest.mark.every_core
def test_play_passes_with_one_warning_when_nothing_fits(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    assert len(warnings(play_more(project, sshd, accounts, ','.join(GUARDED), '2.99.1'))) == 1


@pytest.mark.every_core
def test_newer_ansible_core_is_named_in_one_warning(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    [warning] = warnings(play(project, sshd, accounts, '', '2.99.1'))
    assert warning.startswith('ansible-core 2.99.1 is newer than 2.21, the newest that this mitogen was tested with')
    # An old one that says it is new seems to have threads, which do not fit it.
    assert 'Left out' not in warning or CORE < (2, 19)


@pytest.mark.every_core
def test_tested_ansible_core_gets_no_warning(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    assert warnings(play_more(project, sshd, accounts, '')) == []
