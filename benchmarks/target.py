"""The managed machine: a throw-away sshd of this machine, with throw-away accounts and keys."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from benchmarks.engines import Settings
from benchmarks.paths import BenchError
from benchmarks.processes import (
    adopt_orphans,
    command_line,
    descendants,
    end_descendants,
    end_with_parent,
    reaped_cpu,
    wait_until_alone,
)

#: The account that engines log in to: an ordinary one that may use sudo without a password.
LOGIN = 'ansible-bench'

#: The account that the role creates; it is removed before every run.
APPLICATION = 'ansible-bench-app'

#: Two more than the largest scenario has hosts would do; sshd's own default of 10 would drop connections at random.
MAX_STARTUPS = 1000

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile .ssh/authorized_keys
AllowUsers {login}
AuthenticationMethods publickey
UsePAM no
UseDNS no
PrintMotd no
MaxStartups {startups}
MaxSessions 100
Subsystem sftp internal-sftp
"""

SSH_CONFIG = """\
Host web*
    HostName 127.0.0.1
    Port {port}
    User {login}
    IdentityFile {folder}/user_key
    IdentitiesOnly yes
    HostKeyAlias bench-target
    UserKnownHostsFile {folder}/known_hosts
"""


#: A Docker image is set not to keep what apt has read of its lists, and the machine may be made of one. A host does: so
#: a task that asks apt takes its time for the task.
APT_CONFIG = """\
Dir::Cache::pkgcache "{folder}/pkgcache.bin";
Dir::Cache::srcpkgcache "{folder}/srcpkgcache.bin";
"""


def missing_requirements() -> list[str]:
    """Return what this machine lacks to be a target, one phrase each."""
    missing = []
    if os.geteuid() != 0:
        missing.append('root, to create the throw-away account and start sshd')
    for program, package in (('sshd', 'openssh-server'), ('ssh', 'openssh-client'), ('sudo', 'sudo')):
        if not shutil.which(program, path=f'{os.environ["PATH"]}:/usr/sbin'):
            missing.append(f'{program} (package {package})')
    return missing


class Target:
    """The accounts, the sshd and the files by which engines reach it; a context manager that removes all of it."""

    #: The name of Ansible's connection plugin, which engines may know by another name.
    connection = 'ssh'

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.work = Path('/var/tmp') / LOGIN
        self._sshd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> 'Target':
        try:
            self._remove_traces()
            self._make_keys()
            self._make_account()
            self._keep_apt_cache()
            self._start_sshd()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop sshd and remove the accounts."""
        if self._sshd is not None:
            end_descendants(self._sshd.pid)
            self._sshd.terminate()
            self._sshd.wait(10)
            self._sshd = None
        self._remove_traces()
        shutil.rmtree(self.work, ignore_errors=True)

    def settings(self, home: Path, port: int) -> Settings:
        """Return lines of ansible.cfg by which ``web1``, ``web2``, … are the target, reached at `port`.

        With what a user who cares about speed sets for stock Ansible. ssh's own configuration is written into `home`.
        """
        path = home / 'ssh_config'
        path.write_text(SSH_CONFIG.format(port=port, login=LOGIN, folder=self.folder))
        return {'defaults': {'pipelining': 'True'}, 'ssh_connection': {
            'ssh_args': f'-F {path} -C -o ControlMaster=auto -o ControlPersist=60s', 'pipelining': 'True'}}

    def variables(self) -> dict[str, str]:
        """Return the variables of its hosts."""
        return {}

    def environment(self) -> dict[str, str]:
        """Return what engines need in their environment."""
        return {}

    def settle(self, seconds: float = 2) -> list[str]:
        """Wait for the sessions of the last run to end; end and return what is there after `seconds`."""
        assert self._sshd is not None
        left = [command_line(pid) for pid in wait_until_alone(self._sshd.pid, seconds)]
        end_descendants(self._sshd.pid)
        return left

    def reset(self) -> None:
        """Bring the target back to the state that every run starts from."""
        shutil.rmtree(self.work, ignore_errors=True)
        # Where stock keeps its temporary files: the first run would create it, the others would not.
        shutil.rmtree(Path(pwd.getpwnam(LOGIN).pw_dir) / '.ansible', ignore_errors=True)
        _remove_account(APPLICATION)

    def cpu(self) -> float:
        """Return the CPU seconds that sessions on the target have taken so far, counted when they have ended."""
        assert self._sshd is not None
        return reaped_cpu(self._sshd.pid)

    def processes(self) -> list[int]:
        """Return the processes of all sessions."""
        assert self._sshd is not None
        return descendants(self._sshd.pid)

    def _make_keys(self) -> None:
        for name in ('host_key', 'user_key'):
            argv = ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', str(self.folder / name)]
            subprocess.run(argv, check=True, timeout=30, capture_output=True)
        host_key = (self.folder / 'host_key.pub').read_text()
        (self.folder / 'known_hosts').write_text(f'bench-target {host_key}')

    def _make_account(self) -> None:
        # "*" is a password that none matches; the default "!" would make sshd refuse the account as locked.
        argv = ['useradd', '--create-home', '--shell', '/bin/sh', '--password', '*', LOGIN]
        subprocess.run(argv, check=True, timeout=30, capture_output=True)
        account = pwd.getpwnam(LOGIN)
        # In the account's own home: sshd refuses keys below a folder that others may write to, such as /tmp.
        keys = Path(account.pw_dir) / '.ssh' / 'authorized_keys'
        keys.parent.mkdir(mode=0o700)
        shutil.copy(self.folder / 'user_key.pub', keys)
        for path in (keys.parent, keys):
            os.chown(path, account.pw_uid, account.pw_gid)
        sudoers = _sudoers()
        sudoers.write_text(f'{LOGIN} ALL=(ALL:ALL) NOPASSWD: ALL\n')
        sudoers.chmod(0o440)

    def _keep_apt_cache(self) -> None:
        if shutil.which('apt-cache'):
            _apt_config().write_text(APT_CONFIG.format(folder=self.folder))
            subprocess.run(['apt-cache', 'gencaches'], check=True, timeout=60, capture_output=True)

    def _start_sshd(self) -> None:
        Path('/run/sshd').mkdir(mode=0o755, exist_ok=True)
        config = self.folder / 'sshd_config'
        values = {'port': self.port, 'folder': self.folder, 'login': LOGIN, 'startups': MAX_STARTUPS}
        config.write_text(SSHD_CONFIG.format(**values))
        program = shutil.which('sshd', path=f'{os.environ["PATH"]}:/usr/sbin') or 'sshd'
        self._sshd = subprocess.Popen(
            [program, '-D', '-f', str(config), '-E', str(self.folder / 'sshd.log')],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_as_sshd,  # noqa: PLW1509  (this process has one thread here)
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._sshd.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            time.sleep(0.05)
        raise BenchError(f'sshd did not start: {(self.folder / "sshd.log").read_text().strip()}')

    def _remove_traces(self) -> None:
        for name in (LOGIN, APPLICATION):
            _remove_account(name)
        for path in (_sudoers(), _apt_config()):
            path.unlink(missing_ok=True)


def _as_sshd() -> None:
    # As the parent of all orphans below it, sshd also waits for processes that sessions detach: their CPU time is then
    # in its own, and what an engine leaves on a target is seen.
    adopt_orphans()
    end_with_parent()


def _sudoers() -> Path:
    return Path('/etc/sudoers.d') / LOGIN


def _apt_config() -> Path:
    # The last one counts.
    return Path('/etc/apt/apt.conf.d') / f'zz-{LOGIN}'


def _remove_account(name: str) -> None:
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        return
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            if entry.stat().st_uid == uid:
                os.kill(int(entry.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue
    remove_home = ['--remove'] if name == LOGIN else []
    subprocess.run(['userdel', *remove_home, name], timeout=30, capture_output=True)
    subprocess.run(['groupdel', name], timeout=30, capture_output=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port: int = probe.getsockname()[1]
        return port
