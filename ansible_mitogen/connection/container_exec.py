"""Connections by ``docker exec`` and ``podman exec``, for who has no collection with the stock plugin."""

import shlex
import subprocess
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase

#: Of the stock plugins' options those that most use, with the same variables.
OPTIONS = """
    name: {program}
    short_description: Runs tasks in containers
    description:
        - Reaches a container that runs by C({program} exec).
    author: the authors of this project
    options:
        remote_addr:
            description: The container's name or ID.
            default: inventory_hostname
            vars:
                - name: inventory_hostname
                - name: ansible_host
                - name: ansible_{program}_host
        remote_user:
            description: The account in the container; by default the container's own.
            vars:
                - name: ansible_user
                - name: ansible_{program}_user
            ini:
                - {{section: defaults, key: remote_user}}
            env:
                - name: ANSIBLE_REMOTE_USER
            cli:
                - name: user
            keyword:
                - name: remote_user
        {program}_extra_args:
            description: Arguments for the program, before its subcommand.
            default: ''
            vars:
                - name: ansible_{program}_extra_args
"""


class ContainerExec(ConnectionBase):
    """Runs each command by a program's ``exec``."""

    has_pipelining = True
    program = ''

    def _connect(self) -> Any:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command in the container."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run([self._play_context.executable or '/bin/sh', '-c', cmd], in_data or b'')

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a local file into the container."""
        super().put_file(in_path, out_path)
        try:
            with open(in_path, 'rb') as source:
                content = source.read()
        except FileNotFoundError as exc:
            raise AnsibleFileNotFound('file or module does not exist: %s' % in_path) from exc
        status, _, errors = self._run(['/bin/sh', '-c', 'cat > %s' % shlex.quote(out_path)], content)
        if status:
            raise AnsibleError('failed to transfer file to %s %s:\n\n%r' % (in_path, out_path, errors))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the container to a local one."""
        super().fetch_file(in_path, out_path)
        status, content, errors = self._run(['/bin/sh', '-c', 'cat < %s' % shlex.quote(in_path)])
        if status:
            raise AnsibleError('failed to transfer file to %s %s:\n\n%r' % (in_path, out_path, errors))
        with open(out_path, 'wb') as target:
            target.write(content)

    def close(self) -> None:
        """There is nothing to close."""
        self._connected = False

    def _run(self, command: list[str], stdin: bytes = b'') -> tuple[int, bytes, bytes]:
        user = self.get_option('remote_user')
        extra = shlex.split(self.get_option(self.program + '_extra_args') or '')
        argv = [self.program, *extra, 'exec', '--interactive', *(['--user', user] if user else []),
                self.get_option('remote_addr'), *command]
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True)
        except OSError as exc:
            raise AnsibleConnectionFailure('%s cannot be started: %s' % (self.program, exc)) from exc
        return done.returncode, done.stdout, done.stderr


class DockerExec(ContainerExec):
    """Containers of Docker."""

    transport = 'docker'
    program = 'docker'


class PodmanExec(ContainerExec):
    """Containers of Podman."""

    transport = 'podman'
    program = 'podman'


#: By the names that ansible-core knows the stock plugins by.
SUBSTITUTES = {'docker': DockerExec, 'podman': PodmanExec}
