"""A real sshd on a loopback port, with keys of its own."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.harness.accounts import Account
from tests.harness.kept_code import customize
from tests.harness.processes import Process, Warded, wait_until

SSHD = shutil.which('sshd', path='/usr/sbin:/usr/local/sbin:/sbin') or ''

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
# The tests open many connections at once; what the limits of sshd do to us is not under test.
MaxStartups 1000
MaxSessions 200
MaxAuthTries 20
AcceptEnv LANG LC_*
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
Subsystem sftp internal-sftp
# Not the first level: so bash leaves out root's own start-up file, which is the machine's and may do anything.
Match User root
    SetEnv SHLVL=1
"""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def generate_key(path: Path, passphrase: str = '') -> Path:
    """Make a key pair; the public half is beside it, with `.pub`."""
    subprocess.run(
        ['ssh-keygen', '-q', '-t', 'ed25519', '-N', passphrase, '-C', 'throw-away', '-f', str(path)], check=True
    )
    return path


def _copy_folder(source: str, folder: Path) -> None:
    """Copy all that is in a folder of the machine, with owners and permissions.

    Another test's account may come or go meanwhile, and with it files of a moment, such as locks.
    """
    archive = ['tar', '--create', '--ignore-failed-read', '--warning=none', '--directory', source, '.']
    with subprocess.Popen(archive, stdout=subprocess.PIPE) as packing:
        subprocess.run(['tar', '--extract', '--preserve-permissions', '--directory', str(folder)],
                       stdin=packing.stdout, check=True)
    # 1 says that a file has changed.
    assert packing.returncode in (0, 1), packing.returncode


class Sshd:
    """An sshd in the foreground, under a warden.

    :param folder: for keys, configuration and log; readable by every account.
    :param emptied: more folders that its sessions have of their own, empty, where the machine allows that.
    :param copied: and those that are as the machine's at first.
    :param keeps_code: their Python compiles the modules of stock Ansible once.
    """

    def __init__(
        self, folder: Path, emptied: Sequence[str] = (), copied: Sequence[str] = (), keeps_code: bool = False
    ) -> None:
        self.folder = folder
        folder.mkdir(mode=0o755)
        self.key = generate_key(folder / 'key')
        self.passphrase = 'a "pass" phrase'
        self.locked_key = generate_key(folder / 'locked_key', self.passphrase)
        self.unknown_key = generate_key(folder / 'unknown_key')
        generate_key(folder / 'host_key')
        keys = folder / 'authorized_keys'
        keys.write_text(''.join(path.with_suffix('.pub').read_text() for path in (self.key, self.locked_key)))
        keys.chmod(0o644)
        self.port = free_port()
        self.log = folder / 'log'
        self._config = folder / 'sshd_config'
        self._config.write_text(CONFIG.format(port=self.port, folder=folder))
        # sshd separates privileges into this folder, which a machine that never booted its own sshd lacks.
        os.makedirs('/run/sshd', mode=0o755, exist_ok=True)
        self.private = self._make_private_folders(emptied, copied)
        if keeps_code:
            self.private.update(customize(folder))
        self._warded = self._start()
        if not self._warded.is_private:
            self.private.clear()

    def _make_private_folders(self, emptied: Sequence[str], copied: Sequence[str]) -> dict[str, Path]:
        """Folders that this sshd's sessions have instead of those that all programs of the machine share."""
        root_settings = Path(pwd.getpwuid(0).pw_dir, '.ansible')
        root_settings.mkdir(mode=0o700, exist_ok=True)
        private = {}
        modes = {'/tmp': 0o1777, '/dev/shm': 0o1777, str(root_settings): 0o700, **dict.fromkeys(emptied, 0o755)}
        for shared, mode in modes.items():
            folder = self.folder / ('private' + shared.replace('/', '-'))
            folder.mkdir()
            folder.chmod(mode)
            private[shared] = folder
        for shared in copied:
            folder = self.folder / ('private' + shared.replace('/', '-'))
            folder.mkdir()
            _copy_folder(shared, folder)
            private[shared] = folder
        return private

    def _start(self) -> Warded:
        warded = Warded(
            [SSHD, '-D', '-e', '-f', str(self._config)],
            env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C.UTF-8'},
            cwd=self.folder,
            output=self.log,
            private=self.private,
        )
        wait_until(self._answers, 10, f'an sshd on port {self.port}: {self.log.read_text()}')
        return warded

    def _answers(self) -> bool:
        with socket.socket() as client:
            client.settimeout(1)
            try:
                client.connect(('127.0.0.1', self.port))
                return client.recv(4) == b'SSH-'
            except OSError:
                return False

    def variables(self, account: Account | None = None, **more: Any) -> dict[str, Any]:
        """Inventory variables that reach this sshd as `account` (None: root) with its key."""
        return {
            'ansible_connection': 'ssh',
            'ansible_host': '127.0.0.1',
            'ansible_port': self.port,
            'ansible_user': account.name if account else 'root',
            'ansible_ssh_private_key_file': str(self.key),
            'ansible_ssh_common_args': self.client_options(),
            'ansible_python_interpreter': '/usr/bin/python3',
            **more,
        }

    def client_options(self) -> str:
        """Options for ssh that keep the user's own files out of it."""
        return f'-F /dev/null -o IdentitiesOnly=yes -o UserKnownHostsFile={self.folder}/known_hosts'

    def host_key_line(self) -> str:
        """The line of a known_hosts file for this server."""
        kind, key = (self.folder / 'host_key.pub').read_text().split()[:2]
        return f'[127.0.0.1]:{self.port} {kind} {key}\n'

    def sessions(self) -> list[Process]:
        """All processes on the target's side, below the listener."""
        return [process for process in self._warded.tree() if process.pid != self._warded.pid]

    def pid(self) -> int:
        """The listener."""
        return self._warded.pid

    def stop(self) -> None:
        """End the listener and all that runs below it, as a machine that loses its power."""
        self._warded.kill()
