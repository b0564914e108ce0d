"""Hooks: each is installed where it fits, left out where not, and can be switched off."""

from types import SimpleNamespace

import pytest
from ansible.executor.task_executor import TaskExecutor
from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.connection import local as stock_local
from ansible.plugins.connection import ssh as stock_ssh
from ansible.plugins.loader import connection_loader, strategy_loader

from ansible_mitogen import hooks, link
from ansible_mitogen.connection.local import LocalConnection
from ansible_mitogen.connection.ssh import SshConnection
from ansible_mitogen.connection.twins import twin_of, unfit_reasons
from ansible_mitogen.hooks.base import Hook, parameters_of
from ansible_mitogen.hooks.connection_choice import ConnectionChoice, choosing_twins
from ansible_mitogen.hooks.connection_variables import ConnectionVariables, giving_variables
from ansible_mitogen.hooks.early_start import EarlyStart
from ansible_mitogen.hooks.strategy_choice import StrategyChoice, adopting
from ansible_mitogen.strategy import MitogenStrategy
from ansible_mitogen.switch import switch_on, switch_on_if_enabled

pytestmark = pytest.mark.every_core

STRATEGIES = {'mitogen_linear': 'linear', 'mitogen': 'linear', 'mitogen_free': 'free',
              'mitogen_host_pinned': 'host_pinned'}


@pytest.fixture
def get(monkeypatch):
    """The loader's `get`, with the hook in place."""
    monkeypatch.setattr(connection_loader, 'get_with_context', connection_loader.get_with_context)
    ConnectionChoice().install(5)

    def get(name, **kwargs):
        return connection_loader.get(name, PlayContext(), **kwargs)
    return get


@pytest.mark.parametrize('name', ['ssh', 'ansible.builtin.ssh', 'ansible.legacy.ssh'])
def test_ssh_by_any_name_becomes_its_twin(get, name):
    connection = get(name, ansible_playbook_pid='1')
    assert isinstance(connection, SshConnection) and isinstance(connection, stock_ssh.Connection)
    assert connection.matches_name(['ssh']) and connection.transport == 'ssh'
    assert 'ansible_ssh_extra_args' in str(connection.option_definitions)


def test_ssh_that_is_loaded_again_by_another_name_becomes_the_same_twin(get, monkeypatch):
    first = get('ssh')
    # As when a role has plugins of its own: the loader forgets all that it has loaded.
    monkeypatch.setattr(connection_loader, '_module_cache', {})
    assert type(get('ansible.builtin.ssh')) is type(first)


def test_local_becomes_its_twin_for_tasks_only(get):
    assert isinstance(get('local', ansible_playbook_pid='1'), LocalConnection)
    assert type(get('local')) is stock_local.Connection


def test_ssh_becomes_its_twin_for_reset_too(get):
    assert isinstance(get('ssh'), SshConnection)


def test_classes_and_other_plugins_are_given_as_they_are(get, tmp_path):
    assert connection_loader.get('ssh', class_only=True) is stock_ssh.Connection
    assert connection_loader.get('no_such_connection') is None
    assert 'mitogen' not in type(get('psrp') or object()).__module__
    (tmp_path / 'mine.py').write_text(
        'from ansible.plugins.connection.ssh import Connection as Ssh, DOCUMENTATION\n'
        'class Connection(Ssh):\n    transport = "mine"\n')
    connection_loader.add_directory(str(tmp_path))
    assert not isinstance(get('mine', ansible_playbook_pid='1'), SshConnection)


def test_twin_is_one_class_which_comes_before_the_stock_one():
    twin = twin_of(stock_ssh.Connection)
    assert twin is twin_of(stock_ssh.Connection)
    assert twin.__name__ == 'Connection'
    assert twin.__mro__.index(SshConnection) < twin.__mro__.index(stock_ssh.Connection)
    assert twin_of(ConnectionBase) is None


def test_stock_class_that_is_not_what_we_know_gets_no_twin(monkeypatch):
    assert unfit_reasons() == []
    monkeypatch.setattr('ansible_mitogen.connection.twins._twins', {})
    monkeypatch.setattr(stock_ssh.Connection, '_build_command', lambda self, executable: [])
    assert unfit_reasons() == ['ansible.plugins.connection.ssh._build_command is not there, or takes other parameters']
    assert twin_of(stock_ssh.Connection) is None
    assert twin_of(stock_local.Connection) is not None
    monkeypatch.delattr(stock_ssh, '_ssh_retry')
    assert unfit_reasons() == ['ansible.plugins.connection.ssh._ssh_retry is not there']


def test_loader_that_is_not_what_we_know_is_left_alone(monkeypatch):
    hook = ConnectionChoice()
    assert hook.unfit_reason() == ''
    monkeypatch.setattr(connection_loader, 'get_with_context', lambda name, options: None)
    assert hook.unfit_reason() == (
        'ansible.plugins.loader.connection_loader.get_with_context takes the parameters name, options')


def test_failure_of_the_loader_passes_through():
    assert choosing_twins(lambda name: SimpleNamespace(object=None))('x').object is None


def test_early_start_makes_this_process_the_owner(monkeypatch):
    started = []
    monkeypatch.setattr(link, 'start', started.append)
    EarlyStart().install(17)
    assert started == [17]


@pytest.mark.parametrize('name', ['ssh', 'psrp'])
def test_persistent_connections_have_the_variables_before_their_options(get, name):
    connection, seen = get(name) or object(), []

    def stock(executor, variables, templar):
        seen.append(executor._connection._via.name() if name == 'ssh' else '')
        return ['known']
    executor = SimpleNamespace(_connection=connection)
    assert giving_variables(stock)(executor, {'mitogen_via': 'bastion'}, None) == ['known']
    assert seen == ['bastion' if name == 'ssh' else '']


def test_variables_are_given_where_ansible_keeps_them_to_itself(monkeypatch):
    hook = ConnectionVariables()
    assert hook.unfit_reason() == ''
    monkeypatch.delattr(ConnectionBase, '_resolve_option_variables', raising=False)
    monkeypatch.setattr(TaskExecutor, '_set_connection_options', lambda self, variables, templar: ['stock'])
    assert hook.unfit_reason() == ''
    hook.install(5)
    assert TaskExecutor._set_connection_options(SimpleNamespace(_connection=None), {}, None) == ['stock']
    monkeypatch.setattr(TaskExecutor, '_set_connection_options', lambda self, cvars: None)
    assert hook.unfit_reason().endswith('_set_connection_options takes the parameters self, cvars')


class Recorder(Hook):
    """A hook that notes that it was installed."""

    loss = 'nothing'

    def __init__(self, name, reason=''):
        self.name, self.reason, self.forks = name, reason, []

    def unfit_reason(self):
        return self.reason

    def install(self, forks):
        self.forks.append(forks)


@pytest.fixture
def run_install(monkeypatch):
    warnings = []
    monkeypatch.setattr(hooks.display, 'warning', warnings.append)

    def run_install(*recorders):
        monkeypatch.setattr(hooks, '_installed_by', 0)
        monkeypatch.setattr(hooks, 'HOOKS', recorders)
        hooks.install(9)
        hooks.install(9)
        return warnings
    return run_install


def test_hooks_are_installed_once(run_install):
    hook = Recorder('one')
    assert run_install(hook) == []
    assert hook.forks == [9]


def test_hooks_that_do_not_fit_are_left_out_with_one_warning(run_install):
    good, bad, worse = Recorder('good'), Recorder('bad', 'it is gone'), Recorder('worse', 'it changed')
    [warning] = run_install(good, bad, worse)
    assert 'bad (it is gone; nothing), worse (it changed; nothing)' in warning
    assert (good.forks, bad.forks, worse.forks) == ([9], [], [])


def test_new_version_is_named_in_the_same_warning(run_install, monkeypatch):
    monkeypatch.setattr(hooks, 'ansible_release', '2.99.1')
    [warning] = run_install(Recorder('good'), Recorder('bad', 'it is gone'))
    assert warning.startswith('ansible-core 2.99.1 is newer than ')
    assert 'Left out: bad (it is gone; nothing).' in warning


def test_part_of_a_hook_that_does_not_fit_is_named(run_install):
    hook = Recorder('good')
    hook.missing_parts = lambda: ['a method takes other parameters']
    [warning] = run_install(hook)
    assert 'Left out: part of good (a method takes other parameters).' in warning
    assert hook.forks == [9]


@pytest.mark.parametrize('value, installed', [('one', [[], [9]]), ('one, two', [[], []]), ('all', [[], []]),
                                              ('', [[9], [9]])])
def test_hooks_can_be_switched_off(run_install, monkeypatch, value, installed):
    monkeypatch.setenv('MITOGEN_DISABLE_HOOKS', value)
    one, two = Recorder('one'), Recorder('two')
    assert run_install(one, two) == []
    assert [one.forks, two.forks] == installed


@pytest.mark.parametrize('value, seen', [('', ['start', 'hooks']), ('zips', ['start', 'hooks']), ('start', ['hooks']),
                                         ('all', ['hooks'])])
def test_multiplexer_starts_before_all_else_unless_that_is_switched_off(monkeypatch, value, seen):
    monkeypatch.setenv('MITOGEN_DISABLE_HOOKS', value)
    done = []
    monkeypatch.setattr(link, 'start', lambda forks: done.append('start'))
    monkeypatch.setattr(hooks, 'install', lambda forks, adopt_stock: done.append('hooks'))
    switch_on(5)
    assert done == seen


def test_every_hook_says_what_it_is():
    assert len({hook.name for hook in hooks.HOOKS}) == len(hooks.HOOKS)
    for hook in hooks.HOOKS:
        assert hook.name and hook.loss and type(hook).__doc__


def test_parameters_are_named_with_their_stars():
    def func(one, *args, two, **kwargs):
        """Do nothing."""
    assert parameters_of(func) == ['one', '*args', 'two', '**kwargs']


@pytest.mark.parametrize('name', STRATEGIES)
def test_strategies_are_subclasses_of_the_stock_ones(monkeypatch, name):
    root = hooks.__file__.rpartition('/hooks/')[0]
    strategy_loader.add_directory(root + '/plugins/strategy')
    mine = strategy_loader.get_with_context(name, class_only=True).object
    stock = strategy_loader.get_with_context(STRATEGIES[name], class_only=True).object
    assert issubclass(mine, stock)
    seen = []
    monkeypatch.setattr('ansible_mitogen.strategy.switch_on', seen.append)
    monkeypatch.setattr(stock, '__init__', lambda self, tqm: seen.append(tqm))
    tqm = SimpleNamespace(_forks=7)
    mine(tqm)
    assert seen == [7, tqm]


@pytest.mark.parametrize('name', ['linear', 'free', 'host_pinned'])
def test_stock_strategies_are_adopted(monkeypatch, name):
    stock = strategy_loader.get(name, class_only=True)
    monkeypatch.setattr(stock, '__init__', lambda self, tqm: setattr(self, '_tqm', tqm))
    tqm = SimpleNamespace(_forks=7, _workers=[None, None])
    get = adopting(strategy_loader.get_with_context)
    strategy = get(name, tqm).object
    assert isinstance(strategy, MitogenStrategy) and isinstance(strategy, stock)
    assert len(tqm._workers) == 4
    assert get(name, class_only=True).object is stock


def test_other_strategies_are_not_adopted():
    class StrategyModule:
        """Someone else's."""
    strategy = StrategyModule()
    assert adopting(lambda name: SimpleNamespace(object=strategy))('theirs').object is strategy
    assert type(strategy) is StrategyModule
    assert adopting(lambda name: SimpleNamespace(object=None))('none').object is None


def test_strategies_are_adopted_only_if_the_callback_is_enabled(monkeypatch):
    installed = []
    monkeypatch.setattr('ansible_mitogen.switch.switch_on', lambda forks, **more: installed.append(more))
    for enabled in ([], ['profile_tasks'], ['mitogen.ansible.mitogen'], ['timer', 'mitogen']):
        monkeypatch.setattr('ansible.constants.CALLBACKS_ENABLED', enabled, raising=False)
        switch_on_if_enabled()
    assert installed == [{'adopt_stock': True}] * 2


@pytest.mark.parametrize('adopt', [False, True])
def test_hook_for_strategies_is_installed_for_the_callback_only(monkeypatch, adopt):
    installed = []
    monkeypatch.setattr(hooks, '_installed_by', 0)
    monkeypatch.setattr(hooks, 'HOOKS', (StrategyChoice(),))
    monkeypatch.setattr(StrategyChoice, 'install', lambda self, forks: installed.append(forks))
    hooks.install(3, adopt_stock=adopt)
    assert installed == [3] * adopt


def test_loader_of_strategies_that_is_not_what_we_know_is_left_alone(monkeypatch):
    assert StrategyChoice().unfit_reason() == ''
    monkeypatch.setattr(strategy_loader, 'get_with_context', lambda name: None)
    assert StrategyChoice().unfit_reason().endswith('get_with_context takes the parameters name')


@pytest.mark.parametrize('name, stock', [('mitogen_ssh', 'ssh'), ('mitogen_local', 'local')])
def test_connection_plugins_have_the_options_of_the_stock_ones(name, stock):
    root = hooks.__file__.rpartition('/hooks/')[0]
    connection_loader.add_directory(root + '/plugins/connection')
    mine = connection_loader.get(name, PlayContext())
    theirs = connection_loader.get(stock, PlayContext())
    assert mine.option_definitions == theirs.option_definitions
    assert mine.transport == stock
    assert isinstance(mine, type(theirs))
