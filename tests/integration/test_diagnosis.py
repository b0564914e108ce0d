"""What a user finds out with -vvv, and by mitogen_get_stack: how each task went, and nothing that is secret."""

import re
import sys

import pytest
from ansible.plugins.connection import ConnectionBase

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, PLUGINS
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd, free_port

pytestmark = pytest.mark.every_core

TASKS = f'''
- name: module
  ping:
- name: again
  ping:
- name: become
  command: id -un
  become: true
- name: unusual environment
  command: locale
  environment: {{LC_ALL: C}}
- name: second interpreter
  ping:
  vars: {{ansible_python_interpreter: {sys.executable}}}
  # Other accounts may not enter its folder.
  when: ansible_user == "root"
- name: asynchronous
  command: id -un
  async: 60
  poll: 1
- name: stack
  mitogen_get_stack:
- name: stack of the account
  mitogen_get_stack:
  become: true
- name: local stack
  mitogen_get_stack:
  delegate_to: localhost
'''


def play(project: Project, sshd: Sshd, accounts: Accounts) -> Run:
    password = accounts.passwd.password
    project.configure('defaults', action_plugins=str(PLUGINS / 'action'))
    project.add_host('web1', sshd.variables(), ansible_become_method='su', ansible_become_user=accounts.passwd.name)
    project.add_host('web2', sshd.variables(
        accounts.passwd, ansible_ssh_password=password, ansible_become_password=password,
        ansible_ssh_private_key_file=None))
    project.add_host('gone', sshd.variables(ansible_port=free_port()))
    run = project.play(TASKS, MITOGEN, arguments=['-vvvv'])
    assert run.stats['web1']['failures'] == run.stats['web2']['failures'] == 0, run.text
    assert run.stats['gone']['unreachable'] == 1
    assert password not in run.text
    return run


def test_a_run_is_explained(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    run = play(project, sshd, accounts)
    # By address, as the stock plugin does it.
    said = '\n'.join(re.findall(r'^<127\.0\.0\.1> MITOGEN: (.*)$', run.output, re.MULTILINE))

    def find(pattern: str) -> list[str]:
        found = re.findall(f'^{pattern}', said, re.MULTILINE)
        assert found, f'{pattern}\n{said}'
        return found

    # The way, what was said there, and how long each step took.
    find(r'opened ssh 127\.0\.0\.1 in \d+ ms \(total .* ms, queued .*: Python [\d.]+ at /')
    find(r'hop ssh 127\.0\.0\.1: ssh .*-T 127\.0\.0\.1 .*\[\.\.\.\]')
    find(r'hop sudo root: /bin/sh -c .*sudo')
    find(r'ssh 127\.0\.0\.1 said: (?!ssh: connect)')
    find(r'rc=0, \d+ bytes of stdout, \d+ of stderr, ran [\d.]+ ms, 1 round trips')
    # What was sent.
    sizes = find(r'module ansible\.modules\.ping: (\d+ files were sent, \d+) bytes compressed')
    assert '0 files were sent, 0' in sizes and max(int(size.rpartition(' ')[2]) for size in sizes) > 10_000
    # What was unusual.
    find('the module is run by a shell: it, or the command that starts it, has no known form')
    if hasattr(ConnectionBase, 'is_pipelining_enabled'):
        # Before ansible-core 2.19 connections are not asked, so cannot say it, and ssh says more than this.
        find('the module is run from a file on the host: it is asynchronous')
        find(r'ssh 127\.0\.0\.1 said: ssh: connect to host 127\.0\.0\.1 port \d+: Connection refused')
    find(r'it ran under .*, a second interpreter beside that of the connection, /usr/bin/python3')
    # What failed, and what was read.
    find(r'hop ssh 127\.0\.0\.1 failed \(exited\): .*Connection refused')

    def stack(task: str, host: str) -> list[str]:
        return [hop['name'] for hop in run.task(task, host).result['result']]

    assert stack('stack', 'web2') == ['ssh 127.0.0.1']
    assert stack('stack of the account', 'web1') == ['ssh 127.0.0.1', f'su {accounts.passwd.name}']
    assert stack('stack of the account', 'web2') == ['ssh 127.0.0.1', 'sudo root']
    assert stack('local stack', 'web2') == ['local']
    hop = run.task('stack', 'web1').result['result'][0]
    assert hop['command'][0] == 'ssh' and hop['command'][-1].endswith("'[...]'")
    assert run.task('stack of the account', 'web2').message == 'ssh 127.0.0.1 -> sudo root'
