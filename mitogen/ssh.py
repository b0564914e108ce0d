"""Contexts on other hosts, by the ``ssh`` program."""

import shlex
from typing import Any, List, Optional, Sequence

from mitogen import master, prompts

#: What is done about a host whose key is not known: refuse it, learn its key, or do not look.
HOST_KEY_OPTIONS = {
    'enforce': ['StrictHostKeyChecking=yes'],
    'accept': ['StrictHostKeyChecking=accept-new'],
    'ignore': ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'GlobalKnownHostsFile=/dev/null'],
}


class Stream(master.Stream):
    """A stream over ``ssh``.

    What is not given here is what the user's own configuration of ssh says.
    Without password and passphrase ssh is told not to ask, and the bootstrap
    is sent without waiting for the other side.

    :param hostname: host, or its alias in the user's configuration.
    :param username: the account there.
    :param port: the port.
    :param password: the account's password.
    :param identity_file: a private key, the only one that is tried.
    :param passphrase: opens the private key.
    :param check_host_keys: ``enforce``, ``accept`` (an unknown host's key becomes known) or ``ignore``.
    :param compression: whether ssh compresses.
    :param ssh_args: more arguments for ssh.
    :param ssh_path: the program.
    :param options: those of :class:`mitogen.master.Stream`.
    """

    failures = prompts.SSH_FAILURES

    def __init__(self, router: Any, hostname: str, username: Optional[str] = None, port: Optional[int] = None,
                 password: Optional[str] = None, identity_file: Optional[str] = None,
                 passphrase: Optional[str] = None, check_host_keys: str = 'enforce', compression: bool = False,
                 ssh_args: Sequence[str] = (), ssh_path: str = 'ssh', **options: Any) -> None:
        if check_host_keys not in HOST_KEY_OPTIONS:
            raise ValueError('check_host_keys is one of %s' % ', '.join(sorted(HOST_KEY_OPTIONS)))
        self.hostname = hostname
        self.username = username
        self.port = port
        self.identity_file = identity_file
        self.check_host_keys = check_host_keys
        self.compression = compression
        self.ssh_args = list(ssh_args)
        self.ssh_path = ssh_path
        self._password = password
        self._passphrase = passphrase
        self._typed: List[str] = []
        self.needs_tty = self.may_prompt = password is not None or passphrase is not None
        super().__init__(router, **options)

    def describe(self) -> str:
        """Return ``ssh account@host``."""
        return 'ssh %s%s' % ('' if self.username is None else self.username + '@', self.hostname)

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv of ssh that runs `command` there."""
        settings = list(HOST_KEY_OPTIONS[self.check_host_keys])
        if self.identity_file is not None:
            settings.append('IdentitiesOnly=yes')
        if self.may_prompt:
            settings.append('NumberOfPasswordPrompts=1')
        else:
            settings.append('BatchMode=yes')
        settings.append('ConnectTimeout=%d' % max(1, round(self.deadline)))
        argv = [self.ssh_path, '-T', '-x']
        for setting in settings:
            argv += ['-o', setting]
        for flag, value in (('-l', self.username), ('-p', self.port), ('-i', self.identity_file)):
            if value is not None:
                argv += [flag, str(value)]
        if self.compression:
            argv.append('-C')
        # It joins its arguments by spaces, and the shell there takes them apart again.
        return argv + self.ssh_args + ['--', self.hostname, 'exec ' + ' '.join(map(shlex.quote, command))]

    def answer(self, output: bytes) -> Optional[bytes]:
        """Type password or passphrase, each once."""
        if prompts.asks_host_key(output):
            raise self.refuse('the host key is not known', output)
        if prompts.asks_passphrase(output):
            return self._type(self._passphrase, 'passphrase', output)
        if prompts.asks_password(output):
            return self._type(self._password, 'password', output)
        return None

    def why(self, output: bytes) -> Optional[str]:
        """Return why ssh failed: what was typed, if it was refused after that."""
        if self._typed and b'Permission denied' in output:
            return 'the %s is wrong' % self._typed[-1]
        return super().why(output)

    def _type(self, secret: Optional[str], what: str, output: bytes) -> bytes:
        if secret is None:
            raise self.refuse('it asked for a %s and none was given' % what, output)
        if what in self._typed:
            raise self.refuse('the %s is wrong' % what, output)
        self._typed.append(what)
        return secret.encode() + b'\n'
