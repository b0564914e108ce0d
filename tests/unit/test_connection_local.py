"""The persistent local connection: modules and other accounts go to the multiplexer, the rest to the stock class."""

import re
import shlex

import pytest
from ansible import context as cli_context
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import local as stock_local
from ansible.plugins.loader import become_loader, connection_loader, init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.utils.context_objects import CLIArgs

from ansible_mitogen import link
from ansible_mitogen.connection.local import LocalConnection
from ansible_mitogen.connection.twins import twin_of
from ansible_mitogen.mux.api import ContextLost, HopFailed
from tests.unit.test_ansiballz import call as ansiballz_call
from tests.unit.test_connection_ssh import FakeMux

pytestmark = pytest.mark.every_core

MODULE = '/bin/sh -c /usr/bin/python3'


@pytest.fixture
def mux(monkeypatch):
    fake = FakeMux()
    monkeypatch.setattr(link, 'client', lambda forks: fake)
    monkeypatch.setattr(cli_context, 'CLIARGS', CLIArgs({'forks': 5}))
    return fake


@pytest.fixture
def connect(mux, tmp_path):
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()

    def connect(become='', **become_options):
        play_context = PlayContext()
        play_context.remote_addr = 'localhost'
        connection = connection_loader.get('local', play_context, ansible_playbook_pid='1')
        connection.__class__ = twin_of(stock_local.Connection)
        connection.set_options()
        connection._shell.set_options()
        connection._shell.executable = '/bin/sh'
        connection.cwd = str(tmp_path)
        if become:
            plugin = become_loader.get(become)
            plugin.set_options(direct=become_options)
            connection.set_become_plugin(plugin)
        return connection
    return connect


def build(connection, command):
    return '/bin/sh -c ' + shlex.quote(connection.become.build_become_command(command, connection._shell))


def test_module_runs_in_a_warm_process_in_the_directory_of_the_play(connect, mux, tmp_path):
    connection = connect()
    assert isinstance(connection, LocalConnection) and connection.transport == 'local'
    assert connection.exec_command(MODULE, in_data=ansiballz_call()) == (0, b'{"changed": false}', b'')
    [hop] = mux.hops
    assert (hop.name, hop.argv[:2]) == ('local', ('/bin/sh', '-c'))
    assert mux.made('module')[0][0].cwd == str(tmp_path)


def test_plain_commands_and_files_are_left_to_the_stock_class(connect, mux, tmp_path):
    connection = connect()
    assert connection.exec_command('/bin/sh -c pwd') == (0, str(tmp_path).encode() + b'\n', b'')
    (tmp_path / 'a').write_text('content')
    connection.put_file('a', 'b')
    connection.fetch_file('b', 'c')
    assert (tmp_path / 'c').read_text() == 'content'
    assert mux.asked == []


def test_other_account_is_one_hop(connect, mux, tmp_path):
    connection = connect('sudo', become_user='app')
    connection.exec_command(build(connection, '/usr/bin/python3'), in_data=ansiballz_call())
    [hop] = mux.hops
    assert (hop.name, hop.cwd) == ('sudo app', str(tmp_path))
    assert len(mux.made('module')) == 1


def test_commands_of_another_account_are_left_to_the_stock_class(connect, mux):
    connection = connect('sudo', become_exe='echo noise >&2; sh -c \'eval "$5"\' sh', become_flags='')
    command = connection.become.build_become_command('echo out', connection._shell)
    status, output, noise = connection.exec_command('/bin/sh -c ' + shlex.quote(command))
    # Before ansible-core 2.19 the action takes away the line that says that the account is reached.
    assert (status, re.sub(rb'^BECOME-SUCCESS-\w+\n', b'', output), noise) == (0, b'out\n', b'noise\n')
    assert mux.asked == []


def test_user_is_the_one_who_runs_ansible(connect):
    connection = connect()
    connection.exec_command(MODULE, in_data=ansiballz_call())
    assert connection._play_context.remote_user == connection.default_user
    assert connection.connected


def test_refusals_are_in_the_words_of_the_stock_class(connect, mux):
    connection = connect('sudo')
    command = build(connection, '/usr/bin/python3')
    mux.fails = [('open', HopFailed(0, 'exited', 'sudo ended', b'sudo: a password is required\n', 1))]
    with pytest.raises(AnsibleError, match='^Premature end of stream waiting for become success.\n'):
        connection.exec_command(command, in_data=ansiballz_call())
    mux.fails = [('open', HopFailed(0, 'timeout', 'no answer', b'[sudo] code: ', None))]
    with pytest.raises(AnsibleConnectionFailure, match='^Timed out waiting for become success.\n'):
        connection.exec_command(command, in_data=ansiballz_call())


def test_python_that_cannot_start_is_left_to_the_stock_class(connect, mux):
    mux.fails = [('open', HopFailed(0, 'no_python', 'no Python', b'', 127))]
    assert connect().exec_command('/bin/sh -c cat', in_data=ansiballz_call())[0] == 0


def test_process_that_dies_in_mid_task_makes_localhost_unreachable(connect, mux):
    mux.fails = [('module', ContextLost('it was killed'))]
    with pytest.raises(AnsibleConnectionFailure, match='it was killed'):
        connect().exec_command(MODULE, in_data=ansiballz_call())
