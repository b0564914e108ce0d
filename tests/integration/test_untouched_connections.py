"""Connections by plugins of others: a play over them is the same under stock and under us."""

import json
import os
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.project import Project, Run, empty_project
from tests.harness.sshd import Sshd, free_port
from tests.harness.windows import PASSWORD, winrm_server

pytestmark = [pytest.mark.xdist_group('untouched connections'), pytest.mark.once]

BOX = 'collections/ansible_collections/lab/box'

#: A network device whose command line is a shell.
CLICONF = """
import json

from ansible_collections.ansible.netcommon.plugins.plugin_utils.cliconf_base import CliconfBase

DOCUMENTATION = 'name: box'

class Cliconf(CliconfBase):
    def get_device_info(self):
        return {'network_os': 'lab.box.box'}

    def get_config(self, source='running', flags=None, format=None):
        return self.send_command('cat /dev/null')

    def edit_config(self, candidate=None, commit=True, replace=None, diff=False, comment=None):
        return [self.send_command(candidate)]

    def get(self, command=None, prompt=None, answer=None, sendonly=False, newline=True, output=None, check_all=False):
        return self.send_command(command, prompt, answer, sendonly, newline=newline)

    def get_capabilities(self):
        return json.dumps(super().get_capabilities())
"""

TERMINAL = """
import re

from ansible_collections.ansible.netcommon.plugins.plugin_utils.terminal_base import TerminalBase

DOCUMENTATION = 'name: box'

class TerminalModule(TerminalBase):
    terminal_stdout_re = [re.compile(rb'[$#] ?$')]
    terminal_stderr_re = [re.compile(rb'command not found')]
"""

#: Somebody's own connection, with nothing of ours or of stock's in it but the base.
OWN = """
import os
import re
import shutil
import socket
import subprocess

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = 'name: somebodys\\nshort_description: x\\ndescription: x\\noptions: {}'

HOW

class Connection(ConnectionBase):
    transport = 'somebodys'
    has_pipelining = PIPELINING

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        return run(cmd, in_data or b'')

    def put_file(self, in_path, out_path):
        shutil.copy(in_path, out_path)

    def fetch_file(self, in_path, out_path):
        shutil.copy(in_path, out_path)

    def close(self):
        self._connected = False
"""

#: How it runs a command: by a program, which is what connections to containers do as well; or by asking a server.
HOWS = {
    'program': """
def run(cmd, data):
    done = subprocess.run(['/bin/sh', '-c', cmd], input=data, capture_output=True,
                          env={**os.environ, 'THROUGH': 'program'})
    return done.returncode, done.stdout, done.stderr
""",
    'server': """
def run(cmd, data):
    with socket.create_connection(('127.0.0.1', PORT)) as server, server.makefile('rwb') as file:
        for part in (cmd.encode(), data):
            file.write(b'%d\\n%s' % (len(part), part))
        file.flush()
        status, out, err = (file.read(int(file.readline())) for _ in range(3))
        return int(status), out, err
""",
}

#: Somebody's own change of a stock connection.
BENT = """
from ansible.plugins.connection.STOCK import Connection as Stock, DOCUMENTATION

class Connection(Stock):
    def exec_command(self, cmd, in_data=None, sudoable=True):
        return super().exec_command(cmd.replace('/bin/sh -c ', 'THROUGH=bent /bin/sh -c ', 1), in_data, sudoable)
"""

#: Those plugins, as somebody's hosts have them.
KINDS = ('program', 'program-pipelining', 'server', 'server-pipelining', 'local', 'ssh')

#: Network devices, by both names of their connection.
SWITCHES = {'switch': 'network_cli', 'full-switch': 'ansible.netcommon.network_cli'}

#: Each kind of device gets the tasks that it understands. All in one run, for each run costs more than its tasks do.
PLAYBOOK = """
- hosts: somebodys
  gather_facts: false
  tasks:
    - name: module
      command: {argv: [/bin/sh, -c, "echo $THROUGH; id -un"]}
    - name: raw
      raw: echo $THROUGH
    - name: copy
      copy: {content: abc, dest: "{{ work }}/{{ inventory_hostname }}"}
    - name: fetch
      fetch: {src: "{{ work }}/{{ inventory_hostname }}", dest: "{{ work }}/fetched"}
    - name: async
      command: echo later
      async: 30
      poll: 1
    - name: become
      command: id -un
      become: true
    - meta: reset_connection
    - name: fails after the reset
      command: {argv: [/bin/sh, -c, "echo $THROUGH; id -un; exit 7"]}
      ignore_errors: true

- hosts: switches,beside
  gather_facts: false
  tasks:
    - name: command
      ansible.netcommon.cli_command: {command: echo said by $USER}
      when: inventory_hostname in groups.switches
    - name: again
      ansible.netcommon.cli_command: {command: expr 6 '*' 7}
      when: inventory_hostname == 'switch'
    - name: wrong command
      ansible.netcommon.cli_command: {command: no-such-command}
      when: inventory_hostname in groups.switches
      ignore_errors: true
    - name: beside it
      command: id -un
      when: inventory_hostname == 'beside'

- hosts: device
  gather_facts: false
  tasks:
    - name: get
      ansible.netcommon.restconf_get: {path: /system}
    - name: get nothing
      ansible.netcommon.restconf_get: {path: /nothing}
      ignore_errors: true

- hosts: windows,refused,gone,psrp
  gather_facts: false
  tasks:
    - name: hostname
      raw: hostname
    - name: not for windows
      command: id
      ignore_errors: true

- hosts: nobodys
  gather_facts: false
  tasks:
    - {name: ping, ping: }
"""

#: Of each result; what else there is differs from run to run.
FIELDS = ('changed', 'failed', 'unreachable', 'rc', 'stdout', 'stderr', 'msg', 'response', 'finished', 'checksum')


class CommandServer(socketserver.StreamRequestHandler):
    """Runs what it is told to."""

    def handle(self) -> None:
        """Answer one request."""
        cmd, data = (self.rfile.read(int(self.rfile.readline())) for _ in range(2))
        done = subprocess.run(['/bin/sh', '-c', cmd], input=data, capture_output=True,
                              env={**os.environ, 'THROUGH': 'server'})
        for part in (str(done.returncode).encode(), done.stdout, done.stderr):
            self.wfile.write(b'%d\n%s' % (len(part), part))


class Rest(BaseHTTPRequestHandler):
    """A device that is configured over HTTP."""

    def do_GET(self) -> None:
        text = json.dumps({'path': self.path, 'accept': self.headers['Accept']}).encode()
        self.send_response(404 if self.path.endswith('nothing') else 200)
        self.send_header('Content-Type', 'application/yang-data+json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve on a loopback port, within the block."""
    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def seen(run: Run) -> dict[str, Any]:
    """What a user sees of each task: its end, and the fields that tell what was done."""
    return {f'{result.task} on {result.host}': (
        result.status, {key: said(result.result[key]) for key in FIELDS if key in result.result})
        for result in run.results}


def said(value: Any) -> Any:
    """A field without what ssh tells of its own doings at ``-vvv`` before ansible-core 2.19: that is never the same."""
    return re.sub(r'(?m)^(?:OpenSSH_|debug\d: ).*\n', '', value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Runs:
    """The playbook's run under stock, and under the project's strategy."""

    stock: Run
    ours: Run
    accounts: Accounts

    def assert_same(self, *hosts: str) -> Run:
        """Compare what is seen of some hosts, which is something, and return the run under stock."""
        stock, ours = (
            {task: what for task, what in seen(run).items() if task.rpartition(' on ')[2] in hosts}
            for run in (self.stock, self.ours))
        assert ours == stock
        assert {task.rpartition(' on ')[2] for task in stock} == set(hosts)
        for host in hosts:
            assert self.ours.stats[host] == self.stock.stats[host], host
        return self.stock


def add_somebodys(project: Project, sshd: Sshd, accounts: Accounts, port: int) -> None:
    """Hosts of plugins that are in no collection, and those plugins."""
    # In /var/tmp, which the sshd's sessions see as well.
    work = project.folder / 'work'
    work.mkdir()
    work.chmod(0o777)
    for kind in KINDS:
        there = sshd.variables(accounts.nopasswd) if kind == 'ssh' else {
            'ansible_python_interpreter': '/usr/bin/python3', 'ansible_async_dir': str(work / f'jobs-{kind}')}
        project.add_host(kind, there, ansible_connection=f'somebodys_{kind}', work=str(work))
        how = HOWS.get(kind.partition('-')[0])
        source = BENT.replace('STOCK', kind) if how is None else OWN.replace('HOW', how).replace(
            'PIPELINING', str('pipelining' in kind)).replace('PORT', str(port))
        project.write(f'connection_plugins/somebodys_{kind}.py', source.replace('somebodys', f'somebodys_{kind}'))


def add_network(project: Project, sshd: Sshd, accounts: Accounts, collections: str, port: int) -> None:
    """Network devices, and the collection of one that is nobody else's."""
    project.configure('defaults', collections_path=f'{project.folder}/collections:{collections}')
    project.write(f'{BOX}/plugins/cliconf/box.py', CLICONF)
    project.write(f'{BOX}/plugins/terminal/box.py', TERMINAL)
    project.write(f'{BOX}/galaxy.yml', '{namespace: lab, name: box, version: 1.0.0}')
    for host, name in SWITCHES.items():
        project.add_host(host, sshd.variables(
            accounts.plain, ansible_connection=name, ansible_network_os='lab.box.box',
            ansible_network_cli_ssh_type='paramiko', ansible_paramiko_look_for_keys=False))
    project.add_host('beside', sshd.variables(accounts.plain))
    project.add_host('device', ansible_connection='ansible.netcommon.httpapi', ansible_host='127.0.0.1',
                     ansible_network_os='ansible.netcommon.restconf', ansible_httpapi_port=port,
                     ansible_user='me', ansible_password='secret', ansible_httpapi_use_ssl=False)


def add_windows(project: Project, port: int) -> None:
    """Hosts that nothing of the project has ever been made for, and one whose connection is nowhere."""
    common = {'ansible_connection': 'winrm', 'ansible_host': '127.0.0.1', 'ansible_winrm_scheme': 'http',
              'ansible_winrm_transport': 'basic', 'ansible_user': 'me', 'ansible_port': port}
    project.add_host('windows', common, ansible_password=PASSWORD)
    project.add_host('refused', common, ansible_password='open barley')
    project.add_host('gone', common, ansible_password=PASSWORD, ansible_port=free_port())
    project.add_host('psrp', ansible_connection='psrp', ansible_host='127.0.0.1', ansible_user='me',
                     ansible_password='secret', ansible_port=free_port())
    project.add_host('nobodys', ansible_connection='nobody.has.this')


@pytest.fixture(scope='module')
def runs(session_folder: Path, sshd: Sshd, accounts: Accounts, collections_path: str) -> Iterator[Runs]:
    """The one run that all tests look at, under each engine."""
    with ExitStack() as stack:
        project = stack.enter_context(empty_project(session_folder))
        add_somebodys(project, sshd, accounts, stack.enter_context(serving(CommandServer)))
        add_network(project, sshd, accounts, collections_path, stack.enter_context(serving(Rest)))
        add_windows(project, stack.enter_context(winrm_server()))
        project.write('groups.ini', '[somebodys]\n%s\n[switches]\n%s\n' % ('\n'.join(KINDS), '\n'.join(SWITCHES)))
        project.write('site.yml', PLAYBOOK)

        def play(engine: Engine) -> Run:
            run = project.start_playbook(
                'site.yml', engine, arguments=['-i', 'groups.ini', '-vvv', '--forks=6']).wait(500)
            # Whoever writes to a file that is the same changes nothing.
            for kind in KINDS:
                (project.folder / 'work' / kind).unlink(missing_ok=True)
            shutil.rmtree(project.folder / 'work' / 'fetched', ignore_errors=True)
            return run
        yield Runs(play(STOCK), play(MITOGEN), accounts)


@pytest.mark.parametrize('switch', SWITCHES)
def test_network_cli(switch: str, runs: Runs) -> None:
    run = runs.assert_same(switch, 'beside')
    # A shell on a terminal tells the terminal what it begins to print.
    assert run.task('command', switch).result['stdout'].endswith(f'said by {runs.accounts.plain.name}')
    if switch == 'switch':
        assert run.task('again', switch).result['stdout'].endswith('42')
    assert run.task('wrong command', switch).status == 'failed'
    assert run.task('beside it', 'beside').result['stdout'] == runs.accounts.plain.name


def test_httpapi(runs: Runs) -> None:
    run = runs.assert_same('device')
    assert '/system' in json.dumps(run.task('get').result['response'])
    assert run.task('get nothing').status == 'failed'


def test_winrm(runs: Runs) -> None:
    run = runs.assert_same('windows', 'refused', 'gone')
    assert run.task('hostname', 'windows').result['stdout'] == 'said by a stub'
    assert run.task('not for windows', 'windows').status == 'failed'
    assert 'credentials were rejected' in run.task('hostname', 'refused').message
    assert run.task('hostname', 'gone').status == 'unreachable'


def test_psrp_is_as_far_away_as_under_stock(runs: Runs) -> None:
    run = runs.assert_same('psrp')
    assert 'pypsrp' in run.task('hostname', 'psrp').message


def test_connection_that_is_not_there(runs: Runs) -> None:
    run = runs.assert_same('nobodys')
    assert 'nobody.has.this' in run.task('ping').message


def test_third_party_plugins(runs: Runs) -> None:
    run = runs.assert_same(*KINDS)
    for kind in KINDS:
        assert set(run.statuses(kind).values()) == {'ok', 'failed'}, kind
        assert run.task('fails after the reset', kind).result['rc'] == 7, kind
        assert run.stats[kind]['failures'] == 0, kind
        through = kind.partition('-')[0] if kind not in ('local', 'ssh') else 'bent'
        for task in ('module', 'fails after the reset'):
            assert run.task(task, kind).result['stdout'].split()[0] == through, (task, kind)


def test_any_plugin_that_starts_a_program_for_each_command_has_a_twin(runs: Runs) -> None:
    """What changes a stock plugin, or asks a server, has none."""
    def opened(run: Run) -> set[str]:
        return set(re.findall(r'<(\S+)> MITOGEN: opened', run.text)) & set(KINDS)
    assert opened(runs.ours) == {kind for kind in KINDS if 'program' in kind}
    assert opened(runs.stock) == set()


def test_run_as_a_whole_ends_as_under_stock(runs: Runs) -> None:
    assert runs.ours.status == runs.stock.status
    assert runs.ours.stats == runs.stock.stats
    for run in (runs.stock, runs.ours):
        assert 'Traceback (most recent call last)' not in run.text, run.text
