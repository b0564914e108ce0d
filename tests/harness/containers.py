"""A Docker daemon of the tests' own, and a Podman store, which all test runs of a machine share."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import images, locks
from tests.harness.processes import wait_until

#: Programs that are needed, by the Debian package that has each.
PROGRAMS = {
    'dockerd': 'docker.io',
    'docker': 'docker.io',
    'podman': 'podman',
    'buildah': 'buildah',
    'lxc-attach': 'lxc',
    'mmdebstrap': 'mmdebstrap',
}

#: Sockets, locks and logs of daemons. The socket's path must be short.
STATE = Path('/run/mitogen-tests')

KEEPER = Path(__file__).with_name('keeper.py')

#: Podman's own are too high for machines that may not raise limits, and want systemd.
PODMAN_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "%s"
runroot = "%s"
"""


@dataclass(frozen=True)
class Engine:
    """Docker or Podman: the program, and what it needs in its environment to find the tests' containers."""

    program: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The environment of the program."""
        return {**os.environ, **self.settings}

    def run(self, *arguments: object) -> str:
        """Run the program, and return what it printed.

        :raises RuntimeError: it failed.
        """
        return images.run([self.program, *arguments], self.env)

    def image(self, suite: str = 'bookworm') -> str:
        """Return the name of a suite's image."""
        return images.image_of(suite, [self.program], self.env)

    @contextmanager
    def container(self, image: str, *arguments: str) -> Iterator['Container']:
        """Run a container that does nothing, until the end of the block.

        :param arguments: more of them for ``run``.
        """
        container = Container(self, 'mt-' + secrets.token_hex(4))
        # Nobody in it waits for signals: without --init, or a short deadline, its end takes ten seconds.
        self.run('run', '--detach', '--rm', '--stop-timeout', '1', '--network', 'host', '--name', container.name,
                 *arguments, image, 'sleep', 'infinity')
        try:
            yield container
        finally:
            subprocess.run([self.program, 'rm', '--force', container.name], env=self.env, capture_output=True)


@dataclass(frozen=True)
class Container:
    """A container that runs."""

    engine: Engine
    name: str

    def run(self, *command: str) -> str:
        """Run a command in it as root, and return what it printed.

        :raises RuntimeError: it failed.
        """
        return self.engine.run('exec', self.name, *command)

    @property
    def pid(self) -> int:
        """The process ID of its first process, on this machine."""
        return int(self.engine.run('inspect', '--format', '{{.State.Pid}}', self.name))

    def add_account(self, name: str, password: str = '') -> int:
        """Make an account in it, and return its number."""
        self.run('useradd', '--create-home', '--shell', '/bin/bash', name)
        if password:
            self.run('sh', '-c', 'echo "$1" | chpasswd', 'sh', '%s:%s' % (name, password))
        return int(self.run('id', '-u', name))


def docker_socket() -> Path:
    """Return the socket of the tests' daemon."""
    return STATE / 'docker.sock'


@contextmanager
def docker() -> Iterator[Engine]:
    """Docker, within the block: the daemon that ``DOCKER_HOST`` names, else the tests' own.

    That one is started by who needs it first, and ends when nobody needs it any more, also if they were killed. It
    has folders and a socket of its own, makes no networks and leaves the packet filter alone.

    :raises AssertionError: it does not start.
    """
    if os.environ.get('DOCKER_HOST'):
        yield Engine('docker')
        return
    with locks.take(STATE / 'docker.users'):
        with locks.exclusive(STATE / 'docker.start'):
            if not _answers(docker_socket()):
                _start_daemon()
        yield Engine('docker', {'DOCKER_HOST': 'unix://%s' % docker_socket()})


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(path))
            client.sendall(b'GET /_ping HTTP/1.0\r\n\r\n')
            return b' 200 ' in client.recv(64)
        except OSError:
            return False


def _start_daemon() -> None:
    log = STATE / 'docker.log'
    with log.open('w') as output:
        keeper = subprocess.Popen([
            sys.executable, '-I', '-S', str(KEEPER), str(STATE / 'docker.users'), '20',
            'dockerd', '--host', 'unix://%s' % docker_socket(), '--data-root', str(images.cache() / 'docker'),
            '--exec-root', str(STATE / 'docker'), '--pidfile', str(STATE / 'docker.pid'),
            # One that is installed as a service, and its containers, are not ours.
            '--containerd-namespace', 'mitogen-tests', '--containerd-plugins-namespace', 'mitogen-tests-plugins',
            '--bridge', 'none', '--iptables=false', '--ip6tables=false', '--ip-forward=false',
            '--shutdown-timeout', '3',
        ], cwd='/', stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    def ready() -> bool:
        assert keeper.poll() is None, 'dockerd ended with status %s:\n%s' % (keeper.returncode, _tail(log))
        return _answers(docker_socket())
    try:
        wait_until(ready, 120, 'a Docker daemon')
    except AssertionError as exc:
        keeper.terminate()
        raise AssertionError('%s\n%s' % (exc, _tail(log))) from None


def _tail(log: Path) -> str:
    return log.read_text(errors='replace')[-3000:]


def podman() -> Engine:
    """Podman, with images and containers of the tests' own. Buildah finds the same ones."""
    folder = images.cache() / 'podman'
    folder.mkdir(parents=True, exist_ok=True)
    settings = {}
    for variable, name, text in (
            ('CONTAINERS_CONF', 'containers.conf', PODMAN_CONF),
            ('CONTAINERS_STORAGE_CONF', 'storage.conf', STORAGE_CONF % (folder / 'storage', STATE / 'podman'))):
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        settings[variable] = str(path)
    return Engine('podman', settings)



def missing() -> list[str]:
    """Return the Debian packages that this machine lacks for the tests of containers."""
    return sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
