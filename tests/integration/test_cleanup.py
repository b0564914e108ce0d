"""However a run ends, nothing of it is left on either side."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import CONNECTION_ONLY, MITOGEN, Engine
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.processes import Process, wait_until
from tests.harness.project import Project, Running
from tests.harness.sshd import Sshd

#: A task that is under way when something is killed; the number tells it from the tests' other ones.
LONG = '- {name: long, command: sleep 58}'

ONE_OF_EACH = '''
- name: facts
  setup:
    gather_subset: [min]
- name: command
  command: id -un
- name: copy
  copy: {content: text, dest: "{{ work }}/copied"}
- name: template
  template: {src: page.j2, dest: "{{ work }}/page"}
- name: fetch
  fetch: {src: "{{ work }}/copied", dest: "{{ inventory_hostname }}-fetched", flat: true}
- name: script
  script: hello.sh
- name: async
  command: id -un
  async: 20
  poll: 1
- name: as root
  command: id -un
  become: true
- name: copy as root
  copy: {content: text, dest: "{{ work }}/root"}
  become: true
'''


def prepare(project: Project) -> None:
    """Files that the playbook wants."""
    project.write('page.j2', 'page')
    project.write('hello.sh', '#!/bin/sh\necho hello\n', 0o755)
    project.write('library/probe.py', PROBE)


@pytest.fixture
def work(accounts: Accounts) -> Path:
    """A folder of the target where the playbook may write."""
    folder = accounts.nopasswd.home / 'work'
    folder.mkdir(exist_ok=True)
    os.chown(folder, accounts.nopasswd.uid, -1)
    return folder


@pytest.mark.parametrize('engine', [MITOGEN, CONNECTION_ONLY], ids=str)
def test_ordinary_run_leaves_nothing(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, work: Path
) -> None:
    prepare(project)
    for connection in ('ssh', 'local'):
        name = connection if engine is MITOGEN else f'mitogen_{connection}'
        folder = work / connection
        folder.mkdir()
        os.chown(folder, accounts.nopasswd.uid, -1)
        # Jobs go to a folder of ours: the home in the run's environment is not that of the account, where `local`
        # looks.
        project.add_host(connection, sshd.variables(accounts.nopasswd), work=str(folder), ansible_connection=name,
                         ansible_async_dir=str(folder / 'jobs'))
    leftovers = Leftovers(project, [sshd], accounts)
    run = project.play(ONE_OF_EACH, engine).assert_ok()
    # Ansible's own watcher of an asynchronous job looks every five seconds whether the job has ended.
    assert not [command for _, command in run.left if 'async_wrapper' not in command]
    shutil.rmtree(work)
    leftovers.assert_none()


def start_long_task(project: Project, sshd: Sshd, task: str = LONG, count: int = 1) -> Running:
    """Start a play, and come back when its long task is under way."""
    running = project.start_play(task, MITOGEN)
    try:
        wait_until(lambda: len(sleepers(sshd)) == count, 30, 'the long task')
    except AssertionError:
        running.warded.interrupt()
        raise AssertionError(running.wait(20).text) from None
    return running


def sleepers(sshd: Sshd) -> list[Process]:
    """The commands of the long tasks; not the orphans that a failed test may have left."""
    sessions = sshd.sessions()
    living = {process.pid for process in sessions}
    return [process for process in sessions if process.command == 'sleep 58' and process.parent in living]


def line_of(sshd: Sshd, sleeper: Process) -> list[Process]:
    """A long task's module, the zygote and the agent."""
    # Only what is below the sshd: whoever is to be killed must not be found anywhere else.
    table = {process.pid: process for process in sshd.sessions()}
    module = table[sleeper.parent]
    zygote = table[module.parent]
    return [module, zygote, table[zygote.parent]]


def test_killed_ansible_playbook(project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    project.add_host('web2', sshd.variables(accounts.nopasswd, ansible_become=True))
    running = start_long_task(project, sshd, count=2)
    os.kill(running.warded.pid, signal.SIGKILL)
    run = running.wait()
    assert run.status == -signal.SIGKILL
    # Workers that were forked, as stock does, find out about the death of their parent by themselves.
    assert not run.left
    leftovers.assert_none()
    project.play('- {name: again, command: id -un}', MITOGEN).assert_ok()


def mux_of(running: Running) -> Process:
    """The multiplexer of a run."""
    found = [process for process in running.tree() if 'ansible_mitogen.mux' in process.command]
    assert len(found) == 1, found
    return found[0]


def test_killed_mux(project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    running = start_long_task(project, sshd)
    os.kill(mux_of(running).pid, signal.SIGKILL)
    run = running.wait(30)
    assert run.task('long').status == 'unreachable'
    assert '\n' not in run.task('long').message.strip()
    assert not run.left
    leftovers.assert_none()
    project.play('- {name: again, command: id -un}', MITOGEN).assert_ok()


@pytest.mark.parametrize(('index', 'status'), [(0, 'failed'), (1, 'unreachable'), (2, 'unreachable')],
                         ids=['module', 'zygote', 'agent'])
def test_killed_on_the_target(
    index: int, status: str, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    for host, become in (('login', False), ('become', True)):
        project.add_host(host, sshd.variables(accounts.nopasswd, ansible_become=become), long='sleep 58')
        project.add_host(f'beside-{host}', sshd.variables(accounts.nopasswd, ansible_become=become), long='id -un')
    running = start_long_task(project, sshd, '''
        - name: long
          command: "{{ long }}"
          ignore_errors: true
          ignore_unreachable: true
        - name: after
          command: id -un
    ''', count=2)
    found = sleepers(sshd)
    for process in [line_of(sshd, sleeper)[index] for sleeper in found]:
        # It may have ended with the one before: an account's context ends with that of the login.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    run = running.wait(40)
    for host in ('login', 'become'):
        assert run.task('long', host).status == status, host
        assert '\n' not in run.task('long', host).message.strip(), host
        # The connection is made anew for the next task.
        assert run.task('after', host).status == 'ok', host
        assert run.statuses(f'beside-{host}') == {'long': 'ok', 'after': 'ok'}, host
    assert not run.left
    if index == 0:
        # What a module has started outlives it, as with stock.
        for sleeper in found:
            os.kill(sleeper.pid, signal.SIGKILL)
    leftovers.assert_none()


def test_killed_ssh_client(project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    running = start_long_task(project, sshd)
    for process in running.tree():
        if Path(process.command.split(' ')[0]).name == 'ssh':
            os.kill(process.pid, signal.SIGKILL)
    run = running.wait(30)
    assert run.task('long').status == 'unreachable'
    assert not run.left
    leftovers.assert_none()


def test_terminated_ansible_playbook(
    project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    running = start_long_task(project, sshd)
    os.kill(running.warded.pid, signal.SIGTERM)
    run = running.wait(30)
    assert not run.left
    leftovers.assert_none()


def test_process_that_a_task_leaves_behind_lives_on(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    run = project.play('- {name: daemon, shell: "setsid sleep 47 > /dev/null 2>&1 &"}', MITOGEN).assert_ok()
    assert run.seconds < 20
    left = [process for process in sshd.sessions() if process.command == 'sleep 47']
    assert len(left) == 1
    os.kill(left[0].pid, signal.SIGKILL)


def test_process_that_keeps_the_output_open_does_not_delay_the_task(
    project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    # Stock waits until the child has ended.
    project.write('library/leaves.py', '''\
        import subprocess
        from ansible.module_utils.basic import AnsibleModule

        module = AnsibleModule({})
        child = subprocess.Popen(['sleep', '46'], start_new_session=True)
        module.exit_json(changed=True, child=child.pid)
    ''')
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    run = project.play('- {name: leaves, leaves: }', MITOGEN).assert_ok()
    assert run.seconds < 20
    os.kill(run.task('leaves').result['child'], signal.SIGKILL)


#: System calls that make a file or a folder, or give it a name.
CREATING = 'openat,open,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat,rename,renameat,renameat2'


def test_nothing_is_written_on_the_target(
    project: Project, sshd: Sshd, accounts: Accounts, session_folder: Path
) -> None:
    project.write('library/probe.py', PROBE)
    project.write('module_utils/mine.py', 'ANSWER = 42\n')
    project.write('library/helped.py', '''\
        from ansible.module_utils.basic import AnsibleModule
        from ansible.module_utils.mine import ANSWER

        AnsibleModule({}).exit_json(answer=ANSWER)
    ''')
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    trace = project.folder / 'trace'
    command = ['strace', '-f', '-qq', '-y', '-e', f'trace={CREATING}', '-o', str(trace), '-p', str(sshd.pid())]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        wait_until(lambda: f'TracerPid:\t{tracer.pid}' in Path(f'/proc/{sshd.pid()}/status').read_text(), 10, 'strace')
        run = project.play('''
            - name: probe
              probe:
            - name: helped
              helped:
            - name: command
              command: id -un
            - name: facts
              setup: {gather_subset: [min]}
            - name: stat
              stat: {path: /etc/passwd}
            - name: become
              command: id -un
              become: true
        ''', MITOGEN).assert_ok()
        tracer.terminate()
    assert run.task('helped').result['answer'] == 42
    created = created_files(trace.read_text(errors='replace'))
    assert not created, '\n'.join(created)


#: Written by logins, by sudo, by the kernel's interfaces, and by whichever Python starts first after a target that
#: keeps code (tests/harness/kept_code.py) has had another sitecustomize.py; not by us.
OF_THE_SYSTEM = re.compile(
    r'^(/dev/|/proc/|/sys/|/run/|/var/run/|/var/log/|/var/lib/sudo|/var/lib/lastlog|/etc/|/var/tmp/mt-\w+/sshd/|'
    r'/usr/lib/python3[.\w]*/__pycache__/sitecustomize\.)')


def created_files(trace: str) -> list[str]:
    """Lines of a trace that made something in the file system."""
    lines = []
    for line in trace.splitlines():
        call = re.search(r'\b(\w+)\((.*)', line)
        if not call or ' = -1 ' in line or 'resumed>' in line:
            continue
        name, arguments = call.groups()
        if name in ('open', 'openat') and not re.search('O_CREAT|O_WRONLY|O_RDWR|O_TMPFILE', arguments):
            continue
        if 'memfd:' in arguments or 'O_TMPFILE' in arguments:
            continue
        paths = re.findall('"([^"]*)"', arguments)
        if paths and not OF_THE_SYSTEM.match(paths[-1]):
            lines.append(line)
    return lines
