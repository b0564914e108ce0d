"""Ways to hosts, other than the plain one: what a play sees of them is the same under stock and under us."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd, free_port

#: Differs, and shall: stock leaves its multiplexing clients open for a minute.
SESSIONS = 'sessions of the hosts of other batches'

#: What is compared of a result: what a task found, and how it ended.
FIELDS = ('changed', 'failed', 'unreachable', 'skipped', 'rc', 'stdout', 'ping', 'answer', 'results', 'item',
          'rebooted', '_ansible_delegated_vars', 'ansible_host', 'attempts', 'groups', 'value')

#: Modules where it is them that go another way, `raw` where it is the way alone: under stock each module takes long.
PLAYBOOK = '''
- hosts: web1,web2
  gather_facts: false
  tasks:
    - {name: delegated, command: id -un, delegate_to: web2}
    - {name: delegated to localhost, command: id -un, delegate_to: localhost}
    - {name: delegated by template, raw: id -un, delegate_to: "{{ helper }}"}
    - {name: delegated in a loop, command: id -un, delegate_to: "{{ item }}", loop: [web1, localhost]}
    - {name: delegated and became, command: id -un, delegate_to: web2, become: true}
    - {name: local action, local_action: {module: command, argv: [echo, "{{ inventory_hostname }}"]}}
    - {name: once, raw: id -un, run_once: true}
    - {name: once elsewhere, command: id -un, run_once: true, delegate_to: web2}
    - name: facts of another host
      setup: {gather_subset: ["!all", "!min", user]}
      delegate_to: web2
      delegate_facts: true
      run_once: true
    - name: see facts of another host
      debug: {msg: "{{ hostvars['web2'].ansible_facts.user_id }} {{ 'user_id' in hostvars['web1'].ansible_facts }}"}
    - {name: throttled, raw: id -un, throttle: 1}
    - name: made at run time
      add_host: {name: new, groups: [made], ansible_user: "{{ hostvars['web2'].ansible_user }}", helper: web1}
      run_once: true

- hosts: web1
  gather_facts: false
  tasks:
    - {name: another connection, command: id -un, vars: {ansible_connection: local}}
    - {name: and back, raw: id -un}
    - {name: connection by its full name, command: id -un, connection: ansible.builtin.ssh}
    - {name: third-party connection, command: id -un, vars: {ansible_connection: mine}}
    - meta: reset_connection
    - {name: after the reset, command: id -un}
    - {name: wait for the connection, wait_for_connection: {timeout: 60}}
    - {name: discovered, ping: , vars: {ansible_python_interpreter: auto}}
    - {name: discovered silently, ping: , vars: {ansible_python_interpreter: auto_silent}}
    - {name: other interpreter, command: id -un, vars: {ansible_python_interpreter: "{{ other_python }}"}}
    - {name: interpreter with spaces, ping: , vars: {ansible_python_interpreter: "{{ spaced }}"}, ignore_errors: true}
    - {name: no interpreter, ping: , vars: {ansible_python_interpreter: /no/such/python}, ignore_errors: true}
    - {name: raw without an interpreter, raw: id -un, vars: {ansible_python_interpreter: /no/such/python}}

- hosts: made
  gather_facts: false
  vars: {ansible_host: 127.0.0.1}
  tasks:
    - {name: new host, command: id -un}

- hosts: gone,web1
  gather_facts: false
  tasks:
    - {name: unreachable, command: id -un, ignore_unreachable: true}
    - {name: unreachable again, command: id -un, ignore_unreachable: true, register: answer}
    - {name: goes on, debug: {msg: "{{ answer.unreachable | default(false) }}"}}

- hosts: bare
  gather_facts: false
  tasks:
    - {name: script without python, script: say.sh hello}
    - {name: module without python, ping: , ignore_errors: true}
    - {name: install python, raw: "ln -s /usr/bin/python3 {{ ansible_python_interpreter }}"}
    - {name: module after the installation, ping: }
    - {name: facts after the installation, setup: {gather_subset: ["!all", "!min", user]}}
    - {name: and without it again, raw: "rm {{ ansible_python_interpreter }}"}

- hosts: web1
  gather_facts: false
  tasks:
    - name: reboot
      reboot:
        reboot_command: "{{ work }}/reboot"
        boot_time_command: cat {{ work }}/boot_id
        post_reboot_delay: 0
        reboot_timeout: 60
        search_paths: ["{{ work }}"]
    - {name: after the reboot, command: id -un}

- hosts: web1,web2,web3
  gather_facts: false
  serial: 1
  tasks:
    - {name: batch, raw: "echo {{ ansible_play_batch }}"}
    - name: sessions of the hosts of other batches
      raw: |
        for attempt in $(seq {{ 1 if inventory_hostname == 'web1' else attempts }}); do
          open=$(ps -o comm= -u {{ users | difference([ansible_user]) | join(',') }} | grep -c sshd)
          [ $open = 0 ] && break
          sleep 0.2
        done
        echo $open
      delegate_to: localhost
'''

#: Ends the session that it runs in, as a machine does that restarts.
REBOOT = '''\
#!/usr/bin/python3
import os, signal, sys, uuid
folder = os.path.dirname(os.path.abspath(__file__))
with open(folder + '/boot_id', 'w') as stream:
    stream.write(str(uuid.uuid4()))
pid = os.getpid()
while pid > 1:
    with open('/proc/%d/stat' % pid) as stream:
        text = stream.read()
    comm, rest = text[text.index('(') + 1:text.rindex(')')], text[text.rindex(')') + 2:].split()
    if comm == 'sshd' and os.stat('/proc/%d' % pid).st_uid == os.getuid():
        os.kill(pid, signal.SIGKILL)
        break
    pid = int(rest[1])
'''

MINE = '''
from ansible.plugins.connection.local import Connection as Local, DOCUMENTATION


class Connection(Local):
    transport = 'mine'
'''


def make_project(project: Project, sshd: Sshd, accounts: Accounts, work: Path) -> None:
    work.mkdir(exist_ok=True)
    work.chmod(0o777)
    (work / 'boot_id').write_text('first')
    (work / 'boot_id').chmod(0o666)
    (work / 'reboot').write_text(REBOOT)
    (work / 'reboot').chmod(0o755)
    spaced = work / 'a python'
    if not spaced.exists():
        spaced.symlink_to('/usr/bin/python3')
    common = {'work': str(work), 'other_python': str(work / 'py'), 'spaced': str(spaced), 'helper': 'web2',
              'users': [accounts.plain.name, accounts.nopasswd.name, accounts.other.name]}
    wrapper = work / 'py'
    wrapper.write_text('#!/bin/sh\nexec /usr/bin/python3 "$@"\n')
    wrapper.chmod(0o755)
    for name, account in (('web1', accounts.plain), ('web2', accounts.nopasswd), ('web3', accounts.other)):
        project.add_host(name, sshd.variables(account), common)
    project.add_host('gone', sshd.variables(accounts.plain, ansible_port=free_port()), common)
    project.add_host('bare', sshd.variables(
        accounts.plain, ansible_python_interpreter=str(work / 'installed-python'),
        ansible_interpreter_python_fallback=[]), common)
    # A host that is made at run time has no variables but these.
    shared = {key: value for key, value in sshd.variables().items() if key not in ('ansible_user', 'ansible_host')}
    project.write('group_vars/made.json', json.dumps(shared))
    project.write('connection_plugins/mine.py', MINE)
    project.write('say.sh', '#!/bin/sh\necho "$1 from $(id -un)"\n', 0o755)
    project.write('site.yml', PLAYBOOK)


def seen(value: Any) -> Any:
    """The part of a result that is compared."""
    if isinstance(value, Mapping):
        return {key: [seen(item) for item in value[key]] if key == 'results' else value[key]
                for key in FIELDS if key in value}
    return value


def outcome(run: Run) -> dict[str, list[Any]]:
    """All results, by task and host."""
    found: dict[str, list[Any]] = {}
    for result in run.results:
        found.setdefault(f'{result.task} on {result.host}', []).append((result.status, seen(result.result)))
        if result.action in ('debug', 'ansible.builtin.debug'):
            found[f'{result.task} on {result.host}'].append(result.message)
    return found


def test_a_play_that_goes_many_ways_ends_as_under_stock(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    def play(engine: Engine) -> dict[str, list[Any]]:
        make_project(project, sshd, accounts, project.folder / 'work')
        # Those of stock stay for a minute, so there is nothing to wait for.
        attempts = 100 if engine.ours else 1
        run = project.start_playbook('site.yml', engine, arguments=['-e', f'attempts={attempts}']).wait(300)
        assert run.status == 0, run.text
        assert 'Traceback (most recent call last)' not in run.text, run.text
        return outcome(run)

    stock, found = play(STOCK), play(MITOGEN)
    differences = {task: (stock.get(task), found.get(task)) for task in stock.keys() | found.keys()
                   if stock.get(task) != found.get(task) and not task.startswith(SESSIONS)}
    assert not differences, '\n'.join(f'{task}: {pair}' for task, pair in sorted(differences.items()))
    assert len(stock) > 45
    # In the first batch those of the play before are still open.
    for host in ('web2', 'web3'):
        [(_, left)] = found[f'{SESSIONS} on {host}']
        assert (left['rc'], left['stdout'].strip()) == (0, '0'), host
