"""Connections by a program: the command is the stock plugin's own, caught and not started."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('ansible')

from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import ConnectionBase

from ansible_mitogen.connection import program
from ansible_mitogen.connection.capture import Command, PopenWatch, command_of
from ansible_mitogen.connection.marks import SharedMarks
from ansible_mitogen.connection.outcome import UseStock
from ansible_mitogen.connection.twins import twin_of


def shell(connection: Any, cmd: str, *argv: str, **options: Any) -> Any:
    done = subprocess.Popen([*argv, '/bin/sh', '-c', cmd], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)
    out, err = done.communicate()
    return done.returncode, out, err


class Plugin(ConnectionBase):
    """As collections and their users write them."""

    transport = 'somewhere.special'

    def _connect(self) -> Any:
        self.reach = subprocess.run(['echo', 'reach'], capture_output=True, text=True).stdout.strip()
        self._connected = True

    def exec_command(self, cmd: Any, in_data: Any = None, sudoable: Any = True) -> Any:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return shell(self, cmd, self.reach, '--to', self._play_context.remote_addr, env={**os.environ, 'MORE': 'yes'})

    def put_file(self, in_path: Any, out_path: Any) -> Any:
        raise NotImplementedError

    def fetch_file(self, in_path: Any, out_path: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self._connected = False


class Talker(Plugin):
    """Starts a shell, and tells it what to run: the command is not among the arguments."""

    transport = 'somewhere.talker'

    def exec_command(self, cmd: Any, in_data: Any = None, sudoable: Any = True) -> Any:
        done = subprocess.run(['/bin/sh'], input=cmd, text=True, capture_output=True)
        return done.returncode, done.stdout, done.stderr


def connect(plugin: Any) -> Any:
    context = PlayContext()
    context.remote_addr = 'there'
    twin: Any = twin_of(plugin)
    return twin(context)


@pytest.fixture(autouse=True)
def nothing_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, '_not_caught', SharedMarks())


def test_the_command_is_the_plugins_own_with_what_it_learns_when_it_connects() -> None:
    connection = connect(Plugin)
    connection._program = connection._catch(program._PROBE, program._PROBE_MARK)
    hop = connection._login_step('echo MITOGEN-1').hop
    assert hop.argv == ('reach', '--to', 'there', '/bin/sh', '-c', "/bin/sh -c 'echo MITOGEN-1'")
    assert (hop.name, hop.env) == ('special there', {'MORE': 'yes'})


def test_before_anything_is_caught_the_hop_is_only_asked_for_and_has_the_same_key() -> None:
    connection = connect(Plugin)
    asked = connection._login_step('echo MITOGEN-1').hop
    connection._program = connection._catch(program._PROBE, program._PROBE_MARK)
    assert (asked.argv, asked.key) == ((), connection._login_step('echo MITOGEN-1').hop.key)
    other = connect(Plugin)
    other._play_context.remote_user = 'somebody'
    assert other._login_step('echo MITOGEN-1').hop.key != asked.key


def test_a_plugin_whose_command_cannot_be_caught_is_left_alone_from_then_on() -> None:
    connection = connect(Talker)
    assert connection._reason_for_stock() == ''
    with pytest.raises(UseStock, match='not start a program in a way that is known'):
        connection._catch(program._PROBE, program._PROBE_MARK)
    assert connect(Talker)._reason_for_stock()
    assert connect(Talker).exec_command('echo stock')[1] == 'stock\n'


def test_what_a_forked_worker_learns_its_parent_knows() -> None:
    marks = SharedMarks()
    pid = os.fork()
    if not pid:
        marks.add('some.plugin')
        os._exit(0)
    os.waitpid(pid, 0)
    assert 'some.plugin' in marks
    assert 'other.plugin' not in marks


def test_connections_without_a_program_have_no_twin() -> None:
    for name in ('winrm', 'psrp'):
        try:
            plugin = __import__('ansible.plugins.connection.' + name, fromlist=['Connection']).Connection
        except ImportError:
            continue
        assert twin_of(plugin) is None
    assert twin_of(type('Persistent', (Plugin,), {'force_persistence': True})) is None


def test_other_commands_and_other_threads_are_not_caught() -> None:
    watch = PopenWatch()
    began, go_on = threading.Event(), threading.Event()
    results: list[str] = []

    def elsewhere() -> None:
        began.wait(20)
        results.append(subprocess.run(['echo', 'MARK'], capture_output=True, text=True).stdout)
        go_on.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()

    def run() -> None:
        results.append(subprocess.run(['echo', 'other'], capture_output=True, text=True).stdout)
        began.set()
        assert go_on.wait(20)
        subprocess.run(['false', 'MARK'])
        results.append('started')
    before = subprocess.Popen.__init__
    assert watch.capture(run, 'MARK') == Command(('false', 'MARK'))
    thread.join(20)
    assert results == ['other\n', 'MARK\n']
    assert subprocess.Popen.__init__ is before


@pytest.mark.parametrize(('given', 'expected'), [
    ({'args': ['a', b'b', Path('c')]}, Command(('a', 'b', 'c'))),
    ({'args': 'a b', 'shell': True}, Command(('/bin/sh', '-c', 'a b'))),
    ({'args': 'a b', 'shell': True, 'executable': '/bin/dash'}, Command(('/bin/dash', '-c', 'a b'))),
    ({'args': ['a', 'b'], 'executable': '/x/a', 'cwd': b'/'}, Command(('/x/a', 'b'), '/')),
    ({'args': ['a'], 'preexec_fn': print}, None),
    ({'args': ['a'], 'pass_fds': (3,)}, None),
    ({'args': ['a'], 'user': 'nobody'}, None),
])
def test_a_start_is_a_command_or_is_not_known(given: dict[str, Any], expected: Any) -> None:
    assert command_of(given) == expected


def test_an_environment_is_what_is_added_and_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('GONE', '1')
    wanted = {name: value for name, value in os.environ.items() if name != 'GONE'}
    assert command_of({'args': ['a'], 'env': {**wanted, 'NEW': '2'}}) == Command(
        ('env', '-u', 'GONE', 'a'), None, {'NEW': '2'})


#: Plugin, its options, the program, and what the stock plugin gives it before the command.
STOCK = [
    ('community.docker.docker', {'remote_addr': 'there'}, 'docker', ['exec', '-i', 'there']),
    ('containers.podman.podman', {}, 'podman', ['exec', '--interactive', 'there']),
    ('containers.podman.buildah', {}, 'buildah', ['run', 'there']),
    ('kubernetes.core.kubectl', {'kubectl_namespace': 'prod', 'kubectl_container': 'app'}, 'kubectl',
     ['-n', 'prod', 'exec', '-i', 'there', '-c', 'app', '--']),
    ('community.okd.oc', {'oc_namespace': 'prod'}, 'oc', ['-n', 'prod', 'exec', '-i', 'there', '--']),
    ('community.general.lxd', {'remote_addr': 'there', 'remote_user': 'root'}, 'lxc', ['exec', 'local:there', '--']),
    ('community.general.incus', {'remote_addr': 'there', 'remote_user': 'root'}, 'incus',
     ['--project', 'default', 'exec', 'local:there', '--']),
    ('community.general.jail', {}, 'jexec', ['there']),
    ('community.general.lxc', {'remote_addr': 'there'}, 'lxc-attach', ['--clear-env', '--name', 'there', '--']),
]

#: What a plugin asks its program before it uses it.
STUB = """\
#!/bin/sh
case "$1" in version) echo "Server version: 20.10";; -q) echo there;; mount) echo /etc;; list) echo "[]";; esac
"""


@pytest.mark.parametrize(('name', 'options', 'stub', 'expected'), STOCK, ids=[row[0] for row in STOCK])
def test_the_stock_plugins_of_collections_give_their_command(
        collections_path: str, tmp_path: Path, name: str, options: dict[str, Any], stub: str,
        expected: list[str]) -> None:
    for program_name in (stub, 'jls'):
        (tmp_path / program_name).write_text(STUB)
        (tmp_path / program_name).chmod(0o755)
    # In a process of its own: the loader of collections is set up once.
    asked = subprocess.run([sys.executable, '-c', '''
import json, sys
from ansible.plugins.loader import connection_loader, init_plugin_loader
path, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
init_plugin_loader([path])
from ansible.playbook.play_context import PlayContext
from ansible_mitogen.connection import program
from ansible_mitogen.connection.twins import twin_of
context = PlayContext()
context.remote_addr = 'there'
context.remote_user = None
connection = connection_loader.get(name, context, None)
connection.__class__ = twin_of(type(connection))
connection.set_options(var_options={}, direct=options)
connection._program = connection._catch(program._PROBE, program._PROBE_MARK)
print(json.dumps(connection._login_step('echo MITOGEN-1').hop.argv))
''', collections_path, name, json.dumps(options)], capture_output=True, text=True,
        env={**os.environ, 'PATH': '%s:%s' % (tmp_path, os.environ['PATH']), 'PYTHONWARNINGS': 'ignore'})
    assert asked.returncode == 0, asked.stderr
    argv = json.loads(asked.stdout.splitlines()[-1])
    assert os.path.basename(argv[0]) == stub
    assert argv[1:1 + len(expected)] == expected
    assert argv[-1].endswith("echo MITOGEN-1'") or argv[-1] == 'echo MITOGEN-1'
