"""The persistent twin of the stock ssh connection."""

import os
import re
import threading
from collections.abc import Callable
from typing import Any

from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ssh as stock

from ansible_mitogen.connection.outcome import TransportFailed, UseStock
from ansible_mitogen.connection.sources import READ_BY_SSH
from ansible_mitogen.connection.ssh_dialogue import PasswordDialogue, SshDialogue
from ansible_mitogen.connection.steps import Step, digest
from ansible_mitogen.connection.transfers import TransferringConnection
from ansible_mitogen.mux.api import Hop, StageFailed

#: ssh itself gives up connecting after `timeout`. Then come authentication and the start of a shell and of Python, for
#: which the stock plugin waits without end. This many times `timeout` for all of it is enough for a busy host.
_DEADLINE_FACTOR = 6


#: Hops by all that they are built from.
_hops: dict[tuple[object, ...], Hop] = {}
_MAX_HOPS = 2000

#: Options with arguments of ssh that the user adds.
_SSH_ARGUMENTS = ('ssh_args', 'ssh_common_args', 'ssh_extra_args')

#: What they have, in small letters, if they may ask for a terminal: a word that begins with a dash and has a t.
_MAY_ASK_FOR_TTY = re.compile(r'''(?:\A|[\s"'])-\S*t|requesttty''')


class SshConnection(TransferringConnection):
    """Reaches a host by the command that the stock ssh plugin builds."""

    #: Set by the stock builder; before ansible-core 2.19 not there until then.
    sshpass_pipe: tuple[int, int] | None = None

    #: The command being built is that of a hop.
    _for_hop = False
    #: What the stock class does now shall leave no master behind.
    _without_master = False

    def _begin(self) -> None:
        # As in the stock class: with delegation it is another one than the play's.
        self.host = self.get_option('host') or self._play_context.remote_addr
        # So that a loop keeps this object: its options are set anew for each item.
        self._connected = True

    def _attempt(self, serve: Callable[[], Any]) -> Any:
        # Not for the decorator, which would try again.
        passed: list[UseStock | StageFailed] = []

        def once() -> Any:
            try:
                return serve()
            except TransportFailed as exc:
                return exc.status, b'', exc.output
            except (UseStock, StageFailed) as exc:
                passed.append(exc)
                return 0, b'', b''

        program = b'sshpass' if self._password() and self._password_mechanism() == 'sshpass' else b'ssh'
        result = _with_stock_retries(self, (program, to_bytes(self.host)), once)
        if passed:
            raise passed[0]
        return result

    def _login_step(self, bootstrap: str) -> Step:
        # Building the command takes longer than all else that is done here for a task in a host that is connected.
        key = (bootstrap, self.host, self._play_context.password, repr(self._options))
        # Except for its side effect: it puts `private_key` into the agent, where it may expire.
        hop = None if self._options.get('private_key') else _hops.get(key)
        if hop is None:
            if len(_hops) >= _MAX_HOPS:
                _hops.clear()
            hop = _hops[key] = self._make_hop(bootstrap)
        return Step(hop, self._password_dialogue() if hop.may_prompt else SshDialogue())

    def _make_hop(self, bootstrap: str) -> Hop:
        executable = to_bytes(self.get_option('ssh_executable'), errors='surrogate_or_strict')
        self._for_hop = True
        try:
            # -T comes last and wins over a -t in the user's arguments: a terminal would garble what goes through it.
            command = self._build_command(executable, 'ssh', '-T', self.host, "/bin/sh -c '%s'" % bootstrap)
        finally:
            self._for_hop = False
            self._drop_sshpass_pipe()
        argv = tuple(to_text(arg, errors='surrogate_or_strict') for arg in command[command.index(executable):])
        password = self._password()
        asks = bool(password) and self._password_mechanism() != 'disable'
        return Hop(argv=argv, name='ssh %s' % self.host, key='\0'.join([*argv[:-1], digest(password)]), needs_tty=asks,
                   may_prompt=asks, deadline=_DEADLINE_FACTOR * float(self.get_option('timeout')), sources=READ_BY_SSH)

    def _build_command(self, binary: Any, subsystem: str, *other_args: Any) -> list[bytes]:
        command: list[bytes] = super()._build_command(binary, subsystem, *other_args)
        if self._for_hop or self._without_master:
            at = command.index(to_bytes(binary, errors='surrogate_or_strict')) + 1
            # First value wins: a master that is there is used, but none is left behind.
            command[at:at] = [b'-o', b'ControlMaster=no']
        if not self._for_hop and not self._password() and threading.current_thread() is not threading.main_thread():
            # A forked worker has no terminal that ssh could ask at. A thread has that of the user.
            at = command.index(to_bytes(binary, errors='surrogate_or_strict')) + 1
            command[at:at] = [b'-o', b'BatchMode=yes']
        return command

    def _sshpass_available(self) -> bool:
        # Passwords of hops are typed on a terminal of our own.
        return self._for_hop or bool(super()._sshpass_available())

    def _drop_sshpass_pipe(self) -> None:
        # Up to 2.19 the stock builder puts sshpass before the command, and opens a pipe for it.
        for fd in self.sshpass_pipe or ():
            os.close(fd)
        self.sshpass_pipe = None

    def _secrets(self) -> list[str]:
        return [*super()._secrets(), self._password()]

    def _password(self) -> str:
        return self.get_option('password') or self._play_context.password or ''

    def _password_mechanism(self) -> str:
        try:
            return str(self.get_option('password_mechanism'))
        except KeyError:
            # Before 2.19 there was sshpass only.
            return 'sshpass'

    def _password_dialogue(self) -> PasswordDialogue:
        prompt = self.get_option('sshpass_prompt') or (
            'Enter PIN for ' if self.get_option('pkcs11_provider') else 'assword')
        return PasswordDialogue(
            password=to_bytes(self._password(), errors='surrogate_or_strict'),
            prompt=to_bytes(prompt, errors='surrogate_or_strict'),
            once=self._password_mechanism() == 'sshpass', checks_host_keys=bool(self.get_option('host_key_checking')))

    def _is_tty_requested(self) -> bool:
        # Asked more than once for each task, and the stock answer takes argparse longer than all the rest.
        given = ' '.join(self.get_option(name) or '' for name in _SSH_ARGUMENTS).lower()
        # Before ansible-core 2.19 nobody asked.
        return _MAY_ASK_FOR_TTY.search(given) is not None and hasattr(stock.Connection, '_is_tty_requested') and \
            bool(super()._is_tty_requested())

    def _become_deadline(self) -> float:
        return 2 + 3 * float(self.get_option('timeout'))

    def _wants_no_pipelining(self) -> bool:
        return self._is_tty_requested()

    def _wants_tty(self, in_data: bytes | None, sudoable: bool) -> bool:
        return not in_data and (bool(sudoable and self.get_option('use_tty')) or self._wants_no_pipelining())

    def _stock(self, alone: bool, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._without_master = alone
        try:
            return method(*args, **kwargs)
        finally:
            self._without_master = False


# The stock decorator reads the retries option, pauses, and makes exceptions of exit codes.
@stock._ssh_retry
def _with_stock_retries(connection: SshConnection, summary: tuple[bytes, bytes], serve: Callable[[], Any]) -> Any:
    return serve()
