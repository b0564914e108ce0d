"""The command ``ansible-mitogen``, as people and programs call it."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.harness.accounts import Accounts
from tests.harness.project import Project
from tests.harness.sshd import Sshd, free_port

TASKS = '''
- hosts: all
  gather_facts: false
  tasks:
    - name: look
      stat: {path: /etc/passwd}
    - name: write
      copy: {content: text, dest: "{{ playbook_dir }}/written"}
'''


#: What is typed after the command's name, and what its last word becomes.
COMPLETED = (('do', 'doctor'), ('bench --re', '--really'), ('completion z', 'zsh'))


class Command:
    """Runs of the command in a user's project."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def prepare(self, words: Sequence[str]) -> dict[str, Any]:
        """Write inventory and configuration; returns arguments of subprocess.run."""
        project = self.project
        project.write('inventory.json', json.dumps({'all': {'hosts': project._hosts}}))
        project.write('ansible.cfg', '[defaults]\nhost_key_checking = False\n')
        return {'args': [str(project.bin_folder / 'ansible-mitogen'), *words], 'cwd': project.folder,
                'env': {**project.environment(), 'ANSIBLE_CONFIG': str(project.folder / 'ansible.cfg')}}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(**self.prepare(words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=180)

    def findings(self, *words: str) -> dict[tuple[str, str], dict[str, str]]:
        """What the doctor says, by place and check."""
        ended = self('doctor', '--json', '-i', 'inventory.json', *words)
        assert ended.returncode in (0, 1), ended.stderr
        found = {(finding['where'], finding['check']): finding for finding in json.loads(ended.stdout)}
        assert ended.returncode == int(any(finding['state'] == 'problem' for finding in found.values()))
        return found


@pytest.fixture
def command(project: Project) -> Command:
    """The command of the environment that runs the tests."""
    return Command(project)


def test_doctor_says_for_each_host_what_is_wrong_and_how_to_mend_it(
    command: Command, sshd: Sshd, accounts: Accounts
) -> None:
    add = command.project.add_host
    add('good', sshd.variables(accounts.nopasswd, ansible_host='localhost'))
    add('asks', sshd.variables(accounts.passwd), ansible_become=True)
    add('wrong', sshd.variables(accounts.passwd, ansible_become_password='wrong'))
    add('closed', sshd.variables(accounts.plain, ansible_port=free_port()))
    add('stranger', sshd.variables(accounts.plain, ansible_user='nobody-of-that-name'))
    add('nameless', sshd.variables(accounts.plain, ansible_host='no-such-host.invalid'))
    add('snakeless', sshd.variables(accounts.plain, ansible_python_interpreter='/usr/bin/no-such-python'))
    found = command.findings()
    states = {(where, check): finding['state'] for (where, check), finding in found.items() if where}
    assert states == {
        **{('good', check): 'ok' for check in ('login', 'interpreter', 'become', 'speed')},
        ('asks', 'login'): 'ok', ('asks', 'interpreter'): 'ok', ('asks', 'become'): 'problem',
        ('wrong', 'login'): 'ok', ('wrong', 'interpreter'): 'ok', ('wrong', 'become'): 'warning',
        ('snakeless', 'login'): 'ok', ('snakeless', 'interpreter'): 'problem', ('snakeless', 'become'): 'warning',
        ('closed', 'login'): 'problem', ('stranger', 'login'): 'problem',
        ('nameless', 'login'): 'problem',
    }
    for where, check, text, remedy in (
        ('asks', 'become', 'none was given', '-K'), ('wrong', 'become', 'password was refused', 'ansible_become_passw'),
        ('closed', 'login', 'nothing listens', 'ansible_port'), ('stranger', 'login', 'refused', 'ansible_user'),
        ('nameless', 'login', 'not known here', 'ansible_host'), ('good', 'interpreter', '/usr/bin/python3', ''),
        ('snakeless', 'interpreter', 'No Python', 'ansible_python_interpreter'), ('good', 'become', 'to root', ''),
    ):
        assert text in found[where, check]['text'] and remedy in found[where, check]['remedy']


@pytest.mark.once
def test_doctor_on_a_pipe_is_plain_and_on_a_terminal_shows_progress(
    command: Command, sshd: Sshd, accounts: Accounts
) -> None:
    command.project.add_host('web1', sshd.variables(accounts.nopasswd))
    words = ['doctor', '-i', 'inventory.json', 'web1']
    ended = command(*words)
    assert ended.returncode == 0, ended.stdout
    assert '\033' not in ended.stdout + ended.stderr
    assert 'This machine' in ended.stdout and 'no problems' in ended.stdout
    assert ended.stderr.splitlines() == ['Looking at this machine ...', 'Looking at web1 ...']
    shown = on_terminal(command.prepare(words))
    assert '\rLooking at web1 ... 0 s' in shown and '\033[32mok' in shown


def on_terminal(arguments: dict[str, Any]) -> str:
    """What a command shows on a terminal."""
    master, slave = pty.openpty()
    arguments['env'] = {**arguments['env'], 'TERM': 'xterm'}
    process = subprocess.Popen(**arguments, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b''
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:
        # All who could write have ended.
        pass
    os.close(master)
    assert process.wait(60) == 0
    return shown.decode()


def test_doctor_without_such_a_host_says_so(command: Command) -> None:
    found = command.findings('nobody')
    assert found['', 'inventory']['state'] == 'problem'
    assert 'nobody' in found['', 'inventory']['text'] and '-i' in found['', 'inventory']['remedy']


@pytest.mark.once
def test_bench_compares_a_playbook_without_changing_anything(command: Command) -> None:
    command.project.write('site.yml', TASKS)
    command.project.add_host('here', ansible_connection='local', ansible_python_interpreter='/usr/bin/python3')
    written = command.project.folder / 'written'
    ended = command('bench', '-i', 'inventory.json', '--runs', '1', 'site.yml')
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert 'check run' in ended.stdout and 'ratio' in ended.stdout and 'All results are the same.' in ended.stdout
    assert not written.exists()
    ended = command('bench', '--json', '-i', 'inventory.json', '--runs', '1', '--really', 'site.yml')
    report = json.loads(ended.stdout)
    assert (report['results'], report['failed'], report['check']) == (2, {'stock': 0, 'mitogen': 0}, False)
    assert min(report['seconds'].values()) > 0 and min(report['cpu'].values()) > 0
    assert written.exists()


def test_bench_of_what_is_no_playbook_shows_what_ansible_says(command: Command) -> None:
    command.project.write('site.yml', '- {hosts: all, nonsense: 1}')
    ended = command('bench', '-i', 'inventory.json', 'site.yml')
    assert ended.returncode == 2
    assert 'nonsense' in ended.stderr and 'Traceback' not in ended.stderr


@pytest.mark.parametrize('words', [[], ['--strategy']])
def test_lines_of_config_are_all_that_is_needed(
    words: list[str], installed: Path, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.bin_folder = installed
    command = Command(project)
    project.add_host('web1', sshd.variables(accounts.plain))
    lines = command('config', *words).stdout
    prepared = command.prepare(['doctor', '--json'])
    (project.folder / 'ansible.cfg').write_text(lines)
    found = {finding['check']: finding for finding in json.loads(subprocess.run(
        **prepared, capture_output=True, text=True, timeout=60).stdout)}
    assert found['switch']['state'] == 'ok' and str(project.folder / 'ansible.cfg') in found['switch']['text']
    shown = subprocess.run([installed / 'ansible', '-i', 'inventory.json', '-vvv', '-m', 'ping', 'web1'], timeout=60,
                           cwd=project.folder, env=prepared['env'] | {'ANSIBLE_HOST_KEY_CHECKING': '0'},
                           capture_output=True, text=True)
    assert 'MITOGEN: opened' in shown.stdout, shown.stdout + shown.stderr


def test_completion_completes_words_in_bash(command: Command) -> None:
    script = command('completion', 'bash').stdout
    ask = 'COMP_WORDS=(ansible-mitogen %s); COMP_CWORD=%d; _ansible_mitogen; echo "${COMPREPLY[@]}"'
    for words, expected in COMPLETED:
        ended = subprocess.run(['bash', '-c', script + ask % (words, len(words.split()))], capture_output=True,
                               text=True, timeout=20)
        assert (ended.stdout.split(), ended.stderr) == ([expected], '')


def test_completion_completes_words_in_fish(command: Command, tmp_path: Path) -> None:
    (tmp_path / 'script').write_text(command('completion', 'fish').stdout)
    # It would be a word too, if files were.
    (tmp_path / 'documents').write_text('')
    for words, expected in COMPLETED:
        ended = subprocess.run(['fish', '--no-config', '-c', f'source script; complete -C "ansible-mitogen {words}"'],
                               cwd=tmp_path, env={'HOME': str(tmp_path), 'PATH': '/usr/bin:/bin', 'TERM': 'dumb'},
                               capture_output=True, text=True, timeout=20)
        assert (ended.stdout.split(), ended.stderr) == ([expected], '')


def test_completion_completes_words_in_zsh(command: Command, tmp_path: Path) -> None:
    # As documented: a user's own file, at the end of which the script is.
    (tmp_path / '.zshrc').write_text(
        'ansible-mitogen() { print -r -- "<$*>" }\n' + command('completion', 'zsh').stdout + 'print -r -- "<ready>"\n')
    pid, terminal = pty.fork()
    if not pid:
        os.execve('/usr/bin/zsh', ['zsh', '--no-global-rcs', '-i'],
                  {'HOME': str(tmp_path), 'PATH': '/usr/bin:/bin', 'TERM': 'dumb'})
    try:
        assert read_until(terminal, b'<ready>')
        for words, expected in COMPLETED:
            os.write(terminal, f'ansible-mitogen {words}\t\n'.encode())
            wanted = ' '.join([*words.split()[:-1], expected])
            assert read_until(terminal, f'<{wanted}>'.encode())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def read_until(terminal: int, text: bytes) -> bool:
    """Read what a program shows; returns whether it shows the text in time."""
    shown = b''
    while text not in shown and select.select([terminal], [], [], 20)[0]:
        shown += os.read(terminal, 4096)
    return text in shown


def test_words_that_it_does_not_know_are_refused(command: Command) -> None:
    ended = command('doktor')
    assert ended.returncode == 2 and 'doktor' in ended.stderr and sys.executable not in ended.stderr
