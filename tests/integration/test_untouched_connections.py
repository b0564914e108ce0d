"""Connections by plugins of others: a play over them is the same under stock and under us."""

import json
import os
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd, free_port
from tests.harness.windows import PASSWORD, winrm_server

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

TASKS = """
- name: module
  command: {argv: [/bin/sh, -c, "echo $THROUGH; id -un"]}
- name: again
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
- name: after the reset
  command: {argv: [/bin/sh, -c, "echo $THROUGH; id -un"]}
- name: fails
  command: "false"
  ignore_errors: true
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
        result.status, {key: result.result[key] for key in FIELDS if key in result.result}) for result in run.results}


def assert_same(project: Project, tasks: str, **options: Any) -> Run:
    """Play tasks under both engines, compare what is seen, and return the run under stock."""
    stock, ours = (project.play(tasks, engine, timeout=300, **options) for engine in (STOCK, MITOGEN))
    assert seen(ours) == seen(stock)
    assert ours.stats == stock.stats
    assert ours.status == stock.status
    return stock


@pytest.fixture
def network(project: Project, collections_path: str) -> Project:
    """A project with the collections of network devices, and a device of its own."""
    project.configure('defaults', collections_path=f'{project.folder}/collections:{collections_path}')
    project.write(f'{BOX}/plugins/cliconf/box.py', CLICONF)
    project.write(f'{BOX}/plugins/terminal/box.py', TERMINAL)
    project.write(f'{BOX}/galaxy.yml', '{namespace: lab, name: box, version: 1.0.0}')
    return project


@pytest.mark.parametrize('name', ['network_cli', 'ansible.netcommon.network_cli'])
def test_network_cli(name: str, network: Project, sshd: Sshd, accounts: Accounts) -> None:
    network.add_host('switch', sshd.variables(
        accounts.plain, ansible_connection=name, ansible_network_os='lab.box.box',
        ansible_network_cli_ssh_type='paramiko', ansible_paramiko_look_for_keys=False))
    network.add_host('server', sshd.variables(accounts.plain))
    run = assert_same(network, """
        - name: command
          ansible.netcommon.cli_command: {command: echo said by $USER}
          when: inventory_hostname == 'switch'
        - name: again
          ansible.netcommon.cli_command: {command: expr 6 '*' 7}
          when: inventory_hostname == 'switch'
        - name: wrong command
          ansible.netcommon.cli_command: {command: no-such-command}
          when: inventory_hostname == 'switch'
          ignore_errors: true
        - name: beside it
          command: id -un
          when: inventory_hostname == 'server'
    """)
    # A shell on a terminal tells the terminal what it begins to print.
    assert run.task('command', 'switch').result['stdout'].endswith(f'said by {accounts.plain.name}')
    assert run.task('again', 'switch').result['stdout'].endswith('42')
    assert run.task('wrong command', 'switch').status == 'failed'


def test_httpapi(network: Project) -> None:
    with serving(Rest) as port:
        network.add_host('device', ansible_connection='ansible.netcommon.httpapi', ansible_host='127.0.0.1',
                         ansible_network_os='ansible.netcommon.restconf', ansible_httpapi_port=port,
                         ansible_user='me', ansible_password='secret', ansible_httpapi_use_ssl=False)
        run = assert_same(network, """
            - name: get
              ansible.netcommon.restconf_get: {path: /system}
            - name: get nothing
              ansible.netcommon.restconf_get: {path: /nothing}
              ignore_errors: true
        """)
    assert '/system' in json.dumps(run.task('get').result['response'])
    assert run.task('get nothing').status == 'failed'


def test_winrm(project: Project) -> None:
    with winrm_server() as port:
        common = {'ansible_connection': 'winrm', 'ansible_host': '127.0.0.1', 'ansible_winrm_scheme': 'http',
                  'ansible_winrm_transport': 'basic', 'ansible_user': 'me', 'ansible_port': port}
        project.add_host('windows', common, ansible_password=PASSWORD)
        project.add_host('refused', common, ansible_password='open barley')
        project.add_host('gone', common, ansible_password=PASSWORD, ansible_port=free_port())
        run = assert_same(project, """
            - name: raw
              raw: hostname
            - name: not for windows
              command: id
              ignore_errors: true
        """)
    assert run.task('raw', 'windows').result['stdout'] == 'said by a stub'
    assert 'credentials were rejected' in run.task('raw', 'refused').message
    assert run.task('raw', 'gone').status == 'unreachable'


def test_psrp_is_as_far_away_as_under_stock(project: Project) -> None:
    project.add_host('windows', ansible_connection='psrp', ansible_host='127.0.0.1', ansible_user='me',
                     ansible_password='secret', ansible_port=free_port())
    run = assert_same(project, '- {name: raw, raw: hostname}')
    assert 'pypsrp' in run.task('raw').message


def test_connection_that_is_not_there(project: Project) -> None:
    project.add_host('host', ansible_connection='nobody.has.this')
    run = assert_same(project, '- {name: ping, ping: }')
    assert 'nobody.has.this' in run.task('ping').message


def test_third_party_plugins(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    kinds = ['program', 'program-pipelining', 'server', 'server-pipelining', 'local', 'ssh']
    # In /var/tmp, which the sshd's sessions see as well.
    work = project.folder / 'work'
    work.mkdir()
    work.chmod(0o777)
    for kind in kinds:
        there = sshd.variables(accounts.nopasswd) if kind == 'ssh' else {
            'ansible_python_interpreter': '/usr/bin/python3', 'ansible_async_dir': str(work / f'jobs-{kind}')}
        project.add_host(kind, there, ansible_connection=f'somebodys_{kind}', work=str(work))

    def play(engine: Engine) -> dict[str, Any]:
        run = project.play(TASKS, engine, arguments=['-vvv', '--forks=6'], timeout=300).assert_ok()
        # Any plugin that starts a program for each command has a twin. What changes a stock plugin has none.
        assert set(re.findall(r'<(\S+)> MITOGEN: opened', run.text)) == {
            kind for kind in kinds if engine.ours and 'program' in kind}
        # Whoever writes to a file that is the same changes nothing.
        for kind in kinds:
            (work / kind).unlink()
        shutil.rmtree(work / 'fetched')
        return seen(run)
    with serving(CommandServer) as port:
        for kind in kinds:
            how = HOWS.get(kind.partition('-')[0])
            source = BENT.replace('STOCK', kind) if how is None else OWN.replace('HOW', how).replace(
                'PIPELINING', str('pipelining' in kind)).replace('PORT', str(port))
            project.write(f'connection_plugins/somebodys_{kind}.py', source.replace('somebodys', f'somebodys_{kind}'))
        stock = play(STOCK)
        assert play(MITOGEN) == stock
    for kind in kinds:
        through = kind.partition('-')[0] if kind not in ('local', 'ssh') else 'bent'
        assert stock[f'module on {kind}'][1]['stdout'].split()[0] == through
