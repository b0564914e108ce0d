"""The persistent ssh connection, with a multiplexer that only writes down what it is asked for."""

import os
import shlex
from types import SimpleNamespace

import pytest
from ansible import constants as C
from ansible import context as cli_context
from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.connection import ssh as stock_ssh
from ansible.plugins.loader import become_loader, connection_loader, init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.utils.context_objects import CLIArgs

from ansible_mitogen import link
from ansible_mitogen.connection import contexts
from ansible_mitogen.connection.marks import SharedMarks
from ansible_mitogen.connection.outcome import TransportFailed
from ansible_mitogen.connection.ssh import SshConnection
from ansible_mitogen.connection.twins import twin_of
from ansible_mitogen.mux.api import Completed, ContextInfo, ContextLost, HopFailed, MuxGone, TransferFailed
from tests.unit.test_ansiballz import call as ansiballz_call

#: Whether a connection is told all variables of its host, and not only its own: since ansible-core 2.17.
TELLS_VARIABLES = hasattr(ConnectionBase, '_resolve_option_variables')

pytestmark = pytest.mark.every_core

PYTHON = '/usr/bin/python3'
MODULE = "/bin/sh -c '%s'" % PYTHON


class FakeMux:
    """Stands in for the client; `fails` are raised, in order, by whatever is asked for next."""

    def __init__(self):
        self.asked = []
        self.fails = []
        self.says = b''
        self.typed = []
        self.fresh = True
        self.open_before = None

    def _record(self, what, *details):
        self.asked.append((what, *details))
        if self.fails and self.fails[0][0] == what:
            raise self.fails.pop(0)[1]

    @property
    def hops(self):
        return [details for what, *details in self.asked if what == 'open'][-1][0]

    def made(self, what):
        return [details for kind, *details in self.asked if kind == what]

    def known(self, hops):
        return self.open_before

    def forget(self, context):
        self.open_before = None

    def open(self, hops, dialogue):
        if self.says:
            self.typed.append(dialogue(0, self.says))
        self._record('open', hops)
        return ContextInfo(3, (3, 11, 2), PYTHON, 'python3', self.fresh, {'total': 1.0}, 'x')

    def open_ahead(self, hops, dialogue):
        self._record('ahead', hops)

    def run_module(self, context, call, before=None, either=None):
        self._record('module', call)
        return Completed(0, b'{"changed": false}', b'', 1.0, 1)

    def run_command(self, context, argv, stdin=b'', tty=False, env=None, cwd=None, before=None):
        self._record('command', argv, stdin, tty, cwd)
        return Completed(3, b'out', b'err', 1.0, 1)

    def stage(self, context, steps, wait=True):
        self._record('stage', steps, wait)

    def home_of(self, context, name):
        self._record('home', name)
        return '/home/' + name, 1

    def put_file(self, context, source, target, mode=None):
        self._record('put', source, target, mode)

    def fetch_file(self, context, source, target):
        self._record('fetch', source, target)

    def close_context(self, context):
        self._record('close', context.context_id)


@pytest.fixture
def mux(monkeypatch):
    fake = FakeMux()
    monkeypatch.setattr(link, 'client', lambda forks: fake)
    monkeypatch.setattr(cli_context, 'CLIARGS', CLIArgs({'forks': 5}))
    monkeypatch.setattr(contexts, '_opened_ahead', SharedMarks())
    return fake


@pytest.fixture
def stock(monkeypatch):
    """What is left to the stock class, instead of running ssh."""
    # Before it is altered: a class that is not what we know gets no twin.
    twin_of(stock_ssh.Connection)
    calls = []

    def recorder(name):
        def method(self, *args, **kwargs):
            calls.append((name, args, kwargs, self._without_master))
            return 0, b'stock', b''
        return method
    for name in ('exec_command', 'put_file', 'fetch_file', 'reset'):
        monkeypatch.setattr(stock_ssh.Connection, name, recorder(name))
    monkeypatch.setattr('time.sleep', lambda seconds: calls.append(('sleep', seconds)))
    return calls


@pytest.fixture
def connect(mux):
    """Make a connection as a task would, with these variables."""
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()

    def connect(become='', become_options=None, **variables):
        play_context = PlayContext()
        play_context.remote_addr = 'web1'
        connection = connection_loader.get('ssh', play_context, ansible_playbook_pid='1')
        connection.__class__ = twin_of(stock_ssh.Connection)
        variables = {'inventory_hostname': 'web1', **{'ansible_' + name: value for name, value in variables.items()}}
        templar = SimpleNamespace(template=lambda value: value)
        if TELLS_VARIABLES:
            options = connection._resolve_option_variables(variables, templar)
        else:
            # As the hook does.
            connection.take_variables(variables, templar)
            known = C.config.get_plugin_vars('connection', 'ssh')
            options = {'_extras': {}, **{name: value for name, value in variables.items() if name in known}}
        connection.set_options(task_keys={}, var_options=options)
        connection._shell.set_options()
        connection._shell.executable = '/bin/sh'
        if become:
            plugin = become_loader.get(become)
            plugin.set_options(direct=become_options or {})
            connection.set_become_plugin(plugin)
        return connection
    return connect


def build(connection, command):
    """Do what `ActionBase` does to a command under become."""
    return '/bin/sh -c ' + shlex.quote(connection.become.build_become_command(command, connection._shell))


def test_name_options_and_type_are_those_of_stock(connect):
    connection = connect(ssh_host='10.0.0.1')
    assert isinstance(connection, SshConnection)
    assert (connection.transport, connection._load_name, connection.plugin_type) == ('ssh', 'ssh', 'connection')
    assert connection.ansible_name == 'ansible.builtin.ssh'
    assert connection.get_option('host') == '10.0.0.1'


def test_command_runs_in_the_login_shell_of_the_host(connect, mux):
    assert connect().exec_command('/bin/sh -c id', sudoable=False) == (3, b'out', b'err')
    assert mux.made('command') == [[['', '-c', '/bin/sh -c id'], b'', False, None]]


def test_command_gets_a_terminal_where_stock_gives_one(connect, mux):
    connect().exec_command('/bin/sh -c id')
    connect().exec_command('/bin/sh -c cat', in_data=b'x')
    connect(ssh_use_tty=False).exec_command('/bin/sh -c id')
    assert [tty for _, _, tty, _ in mux.made('command')] == [True, False, False]


def test_module_is_sent_as_a_module(connect, mux):
    rc, stdout, stderr = connect().exec_command(MODULE, in_data=ansiballz_call())
    assert (rc, stdout, stderr) == (0, b'{"changed": false}', b'')
    [[call]] = mux.made('module')
    assert (call.module_fqn, call.interpreter, call.cwd) == ('ansible.modules.ping', '', None)


def test_interpreter_other_than_the_contexts_own_is_named(connect, mux):
    connect().exec_command('/bin/sh -c /opt/venv/bin/python', in_data=ansiballz_call())
    assert mux.made('module')[0][0].interpreter == '/opt/venv/bin/python'


def test_module_whose_interpreter_cannot_start_is_run_by_the_shell(connect, mux):
    mux.fails = [('module', HopFailed(0, 'exited', 'no such file'))]
    program = ansiballz_call()
    assert connect().exec_command('/bin/sh -c /nope', in_data=program)[0] == 3
    assert mux.made('command') == [[['', '-c', '/bin/sh -c /nope'], program, False, None]]


def test_hop_is_the_command_of_the_stock_builder(connect, mux, monkeypatch):
    connection = connect(ssh_args='-C -o ControlMaster=auto -o ControlPersist=60s', port=2222, user='deploy', timeout=3,
                         ssh_common_args='-o ProxyJump=gate')
    connection.exec_command('id')
    [hop] = mux.hops
    assert hop.argv[:3] == ('ssh', '-o', 'ControlMaster=no')
    assert hop.argv[-3:-1] == ('-T', 'web1')
    assert hop.argv[-1].startswith("/bin/sh -c '") and 'exec' in hop.argv[-1]
    expected = [part.decode() for part in connection._build_command(b'ssh', 'ssh')]
    assert hop.argv[3:-3] == tuple(expected[1:])
    for wanted in ('Port=2222', 'User="deploy"', 'ProxyJump=gate', 'PasswordAuthentication=no'):
        assert wanted in hop.argv
    assert (hop.name, hop.needs_tty, hop.may_prompt) == ('ssh web1', False, False)


def test_hop_is_the_same_for_every_interpreter(connect, mux):
    connect().exec_command('id')
    first = mux.hops[0]
    connect(python_interpreter='/opt/venv/bin/python').exec_command('id')
    assert mux.hops[0].key == first.key
    assert mux.hops[0].argv != first.argv
    connect(port=99).exec_command('id')
    assert mux.hops[0].key != first.key


@pytest.mark.parametrize('value, first', [('/opt/x/python', '"/opt/x/python"'), ('auto_silent', '"python3.'),
                                          ("/opt/it's/python", '"python3.')])
def test_configured_interpreter_is_tried_first(connect, mux, value, first):
    connect(python_interpreter=value).exec_command('id')
    assert 'set -- ' + first in mux.hops[0].argv[-1]


def test_template_that_cannot_be_resolved_does_not_prevent_commands(connect, mux):
    connect(python_interpreter='{{ nope }}').exec_command('id')
    assert 'set -- ' in mux.hops[0].argv[-1]


def test_password_is_typed_where_asked_for_and_stays_out_of_the_command(connect, mux):
    mux.says = b"deploy@web1's password: "
    connection = connect(password='s3cret', user='deploy')
    connection.exec_command('id')
    [hop] = mux.hops
    assert mux.typed == [b's3cret\n']
    assert hop.needs_tty and hop.may_prompt
    assert 'PasswordAuthentication=no' not in hop.argv
    assert 'sshpass' not in hop.argv and hop.argv[0] == 'ssh'
    assert 's3cret' not in ' '.join(hop.argv) + hop.key
    assert connection.sshpass_pipe is None


@pytest.mark.parametrize('said, typed', [
    (b'Warning: your password is old\r\n', None),
    (b'(deploy@web1) Password: ', b's3cret\n'),
    (b"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", b'no\n'),
    (b"Enter passphrase for key '/home/x/.ssh/id': ", b'\n'),
    (b'Verification code: ', None),
])
def test_questions_of_ssh(connect, mux, said, typed):
    mux.says = said
    connect(password='s3cret').exec_command('id')
    assert mux.typed == [typed]


def test_question_is_configured_by_the_stock_option(connect, mux):
    mux.says = b"Enter passphrase for key '/home/x/.ssh/id': "
    connect(password='s3cret', sshpass_prompt='passphrase for key').exec_command('id')
    assert mux.typed == [b's3cret\n']


def failed(output, status=255, kind='exited', hop=0):
    return 'open', HopFailed(hop, kind, 'it failed', output, status)


def test_host_that_cannot_be_reached_is_unreachable_in_sshs_words(connect, mux):
    mux.fails = [failed(b'ssh: connect to host web1 port 22: Connection refused\r\n')]
    with pytest.raises(AnsibleConnectionFailure) as caught:
        connect().exec_command('id')
    assert str(caught.value) == ('Failed to connect to the host via ssh: '
                                 'ssh: connect to host web1 port 22: Connection refused')


def test_retries_and_pauses_are_those_of_stock(connect, mux, stock):
    refused = failed(b'refused')
    mux.fails = [refused, refused, refused]
    assert connect(ssh_retries=3).exec_command('id')[0] == 3
    assert stock == [('sleep', 0), ('sleep', 1), ('sleep', 3)]
    mux.fails = [refused, refused]
    with pytest.raises(AnsibleConnectionFailure):
        connect(ssh_retries=1).exec_command('id')


def test_wrong_password_is_reported_as_by_stock(connect, mux):
    mux.says = b"password: "
    connection = connect(password='wrong', ssh_password_mechanism='sshpass')
    dialogue = connection._password_dialogue()
    assert dialogue.answer(b"x's password: ") == b'wrong\n'

    def ask_again(hops, answer):
        answer(0, b"no such identity\r\n\rx's password: ")
        answer(0, b"\nPermission denied, please try again.\r\n\rx's password: ")
    mux.open = ask_again
    with pytest.raises(AnsibleAuthenticationFailure) as caught:
        connection.exec_command('id')
    assert str(caught.value).endswith(
        'Invalid/incorrect password: no such identity\r\nPermission denied, please try again.')


def test_what_ssh_said_is_told_without_its_questions(connect):
    dialogue = connect(password='wrong')._password_dialogue()
    dialogue.answer(b"a banner\r\n\rx@web1's password: ")
    said = b"a banner\r\n\rx@web1's password: \nx@web1: Permission denied (publickey,password).\r\n"
    with pytest.raises(TransportFailed) as caught:
        dialogue.explain(HopFailed(0, 'exited', 'ssh ended', said, 255))
    assert caught.value.output == b'a banner\r\nx@web1: Permission denied (publickey,password).\r\n'


def test_unknown_host_key_with_a_password_is_explained_as_by_stock(connect, mux):
    mux.fails = [failed(b'Host key verification failed.\r\n')]
    with pytest.raises(AnsibleError, match='Using a SSH password instead of a key is not possible because Host Key'):
        connect(password='x').exec_command('id')


def test_host_without_python_is_left_to_stock(connect, mux, stock):
    mux.fails = [failed(b'MITOGEN-0 no Python found\n', 127, 'no_python')]
    connection = connect(ssh_retries=3)
    assert connection.exec_command('/bin/sh -c id', sudoable=False) == (0, b'stock', b'')
    assert stock == [('exec_command', ('/bin/sh -c id',), {'in_data': None, 'sudoable': False}, False)]
    mux.fails = [failed(b'', 127, 'no_python')]
    assert connection.put_file(__file__, '/tmp/x') == (0, b'stock', b'')
    mux.fails = [failed(b'', 127, 'no_python')]
    assert connection.fetch_file('/tmp/x', '/tmp/y') == (0, b'stock', b'')


def test_login_shell_that_refuses_commands_is_left_to_stock(connect, mux, stock):
    mux.fails = [failed(b'This account is currently not available.\n', 1)]
    connect().exec_command('id')
    assert stock[0][0] == 'exec_command'


def test_windows_host_is_left_to_stock_untouched(connect, mux, stock):
    connection = connect()
    connection._shell._IS_WINDOWS = True
    connection.exec_command('id')
    connection.put_file('/a', '/b')
    connection.fetch_file('/a', '/b')
    connection.reset()
    assert [name for name, *_ in stock] == ['exec_command', 'put_file', 'fetch_file', 'reset']
    assert mux.asked == []


def test_module_under_sudo_runs_in_the_accounts_context(connect, mux):
    connection = connect('sudo', {'become_user': 'app'})
    connection.exec_command(build(connection, PYTHON), in_data=ansiballz_call())
    login, account = mux.hops
    assert login.name == 'ssh web1'
    assert account.name == 'sudo app' and account.argv[:2] == ('/bin/sh', '-c')
    assert account.argv[2].startswith('sudo -H -S -n  -u app /bin/sh -c ')
    assert (account.needs_tty, account.may_prompt) == (False, True)
    assert mux.made('module')[0][0].interpreter == ''


def test_command_under_sudo_runs_in_the_shell_that_become_would_start(connect, mux):
    connection = connect('sudo', {'become_user': 'app'})
    connection.exec_command(build(connection, 'echo $HOME'))
    assert mux.made('command') == [[['/bin/sh', '-c', 'echo $HOME'], b'', True, None]]


def test_command_that_is_not_for_the_account_runs_in_the_login_account(connect, mux):
    connection = connect('sudo')
    connection.exec_command('/bin/sh -c id', sudoable=False)
    assert len(mux.hops) == 1


def test_wrong_become_password_is_a_failure_and_no_unreachable_host(connect, mux):
    connection = connect('sudo', {'become_pass': 'wrong'})
    command = build(connection, 'id')

    def ask_twice(hops, answer):
        prompt = connection.become.prompt.encode()
        assert answer(1, prompt) == b'wrong\n'
        answer(1, b'\nSorry, try again.\n' + prompt)
    mux.open = ask_twice
    with pytest.raises(AnsibleError) as caught:
        connection.exec_command(command)
    assert str(caught.value) == 'Incorrect sudo password'
    assert not isinstance(caught.value, AnsibleConnectionFailure)


def test_sudo_that_wants_a_terminal_gets_one(connect, mux):
    mux.fails = [failed(b'sudo: sorry, you must have a tty to run sudo\n', 1, hop=1)]
    connection = connect('sudo')
    connection.exec_command(build(connection, 'id'))
    assert [hops[1].needs_tty for [hops] in mux.made('open')] == [False, True]


def test_become_that_fails_for_another_reason_is_shown_by_stock_which_leaves_no_master(connect, mux, stock):
    mux.fails = [failed(b'sudo: unknown user app\n', 1, hop=1)]
    connection = connect('sudo', {'become_user': 'app'})
    command = build(connection, 'id')
    state = connection.become.success, connection.become.prompt
    connection.exec_command(command)
    assert stock == [('exec_command', (command,), {'in_data': None, 'sudoable': True}, True)]
    connection._without_master = True
    assert connection._build_command('ssh', 'ssh', 'web1')[:3] == [b'ssh', b'-o', b'ControlMaster=no']
    assert (connection.become.success, connection.become.prompt) == state


def test_become_that_does_not_answer_is_a_timeout_as_in_stock(connect, mux):
    mux.fails = [failed(b'[custom] code?', None, 'timeout', hop=1)]
    connection = connect('sudo')
    with pytest.raises(AnsibleConnectionFailure, match=r'^Timeout \(\d+s\) waiting for privilege escalation prompt: '):
        connection.exec_command(build(connection, 'id'))


def test_context_that_was_lost_before_anything_ran_is_opened_again(connect, mux):
    mux.fails = [('command', ContextLost('gone', started=False))]
    assert connect().exec_command('id')[0] == 3
    assert len(mux.made('open')) == 2


def test_context_that_was_open_before_is_used_and_opened_again_only_if_it_is_closed(connect, mux):
    mux.open_before = ContextInfo(2, (3, 11, 2), PYTHON, 'python3', False, {}, 'x')
    assert connect().exec_command('/bin/sh -c id', sudoable=False)[0] == 3
    assert [what for what, *_ in mux.asked] == ['command']
    mux.fails = [('command', ContextLost('the connection is closed', started=False))]
    assert connect().exec_command('/bin/sh -c id', sudoable=False)[0] == 3
    assert [what for what, *_ in mux.asked] == ['command', 'command', 'open', 'command']


def test_context_lost_in_mid_task_makes_the_host_unreachable(connect, mux):
    mux.fails = [('command', ContextLost('Connection to web1 closed by remote host.'))]
    with pytest.raises(AnsibleConnectionFailure) as caught:
        connect().exec_command('id')
    assert str(caught.value) == 'Failed to connect to the host via ssh: Connection to web1 closed by remote host.'


def test_lost_multiplexer_is_one_clear_error_and_the_next_task_starts_another(connect, mux, monkeypatch):
    forgotten = []
    monkeypatch.setattr(link, 'forget', lambda: forgotten.append(True))
    mux.fails = [('command', MuxGone('the multiplexer went away'))]
    with pytest.raises(AnsibleError, match='ended unexpectedly: the multiplexer went away'):
        connect().exec_command('id')
    assert forgotten == [True]


def test_multiplexer_that_went_away_between_tasks_is_started_again(connect, mux, monkeypatch):
    forgotten = []
    monkeypatch.setattr(link, 'forget', lambda: forgotten.append(True))
    gone = 'open', MuxGone('nobody listens')
    mux.fails = [gone]
    assert connect().exec_command('id')[0] == 3
    mux.fails = [gone, gone]
    with pytest.raises(AnsibleError, match='ended unexpectedly: nobody listens'):
        connect().exec_command('id')
    assert forgotten == [True] * 3


def test_file_is_put_with_its_mode_in_the_login_account(connect, mux, tmp_path):
    source = tmp_path / 'file'
    source.write_text('x')
    os.chmod(source, 0o4750)
    connection = connect('sudo')
    assert connection.put_file(str(source), '/tmp/there') == (0, b'', b'')
    assert mux.made('put') == [[str(source), '/tmp/there', 0o750]]
    assert len(mux.hops) == 1


def test_file_that_is_not_there_is_not_put(connect):
    with pytest.raises(AnsibleFileNotFound, match='file or module does not exist: /nope/nothing'):
        connect().put_file('/nope/nothing', '/tmp/there')


def test_transfer_that_fails_is_reported_as_by_stock(connect, mux):
    mux.fails = [('fetch', TransferFailed('No such file or directory', 2))]
    with pytest.raises(AnsibleError, match='failed to transfer file to /a /b:') as caught:
        connect().fetch_file('/a', '/b')
    assert 'No such file or directory' in str(caught.value)


def test_reset_closes_the_context_but_opens_none_for_it(connect, mux, stock):
    connection = connect()
    connection.exec_command('id')
    key = mux.hops[0].key
    connection.reset()
    assert mux.hops[0].key == key and 'ssh' not in mux.hops[0].argv
    assert mux.made('close') == [[3]]
    mux.fails = [failed(b'', 1)]
    connection.reset()
    assert mux.made('close') == [[3]]
    assert [name for name, *_ in stock] == ['reset', 'reset']


def test_pipelining_is_on_whatever_is_configured_and_however_become_works(connect, monkeypatch):
    for become in ('', 'sudo', 'su'):
        connection = connect(become, pipelining=False)
        assert connection.is_pipelining_enabled()
        assert not connection.is_pipelining_enabled(wrap_async=True)
    monkeypatch.setattr('ansible.constants.DEFAULT_KEEP_REMOTE_FILES', True)
    assert not connect().is_pipelining_enabled()


@pytest.mark.skipif(not hasattr(ConnectionBase, 'is_pipelining_enabled'), reason='Ansible asks for an option')
def test_the_login_of_a_new_host_is_opened_while_its_first_module_is_built(connect, mux):
    for become in ('sudo', ''):
        connection = connect(become)
        for _ in range(2):
            connection.is_pipelining_enabled()
    connection.exec_command(MODULE, in_data=ansiballz_call())
    [[hops]] = mux.made('ahead')
    assert [hop.key for hop in hops] == [hop.key for hop in mux.hops]


@pytest.mark.skipif(not hasattr(ConnectionBase, 'is_pipelining_enabled'), reason='Ansible asks for an option')
def test_what_prevents_the_login_ahead_is_told_when_it_is_wanted(connect, mux, monkeypatch):
    mux.fails = [('ahead', MuxGone('gone'))]
    connect().is_pipelining_enabled()
    monkeypatch.setattr(contexts, '_opened_ahead', SharedMarks())

    def fail(self, bootstrap):
        raise AnsibleError('no such key')
    monkeypatch.setattr(SshConnection, '_login_step', fail)
    connection = connect()
    assert connection.is_pipelining_enabled()
    with pytest.raises(AnsibleError, match='no such key'):
        connection.exec_command('id')


@pytest.mark.skipif(not hasattr(ConnectionBase, 'is_pipelining_enabled'), reason='Ansible asks for an option')
def test_no_login_is_opened_ahead_that_would_not_be_used(connect, mux, stock):
    mux.open_before = ContextInfo(3, (3, 11, 2), PYTHON, 'python3', False, {}, 'x')
    connect().is_pipelining_enabled()
    mux.open_before = None
    windows = connect()
    windows._shell._IS_WINDOWS = True
    windows.is_pipelining_enabled()
    far = connect()
    far.take_variables({'mitogen_via': 'gate'}, None)
    assert far._goes_through()
    far.is_pipelining_enabled()
    assert mux.asked == []


def test_terminal_that_the_user_asks_for_excludes_pipelining(connect, mux):
    connection = connect(ssh_args='-tt')
    # Before ansible-core 2.19 the stock class did not ask for it.
    requested = hasattr(stock_ssh.Connection, '_is_tty_requested')
    assert connection.is_pipelining_enabled() is not requested
    connection.exec_command('/bin/sh -c id', sudoable=False)
    assert mux.hops[0].argv[-3] == '-T'
    assert mux.made('command')[0][2] is requested


def test_become_that_needs_a_terminal_is_accepted(connect):
    assert connect().has_tty
