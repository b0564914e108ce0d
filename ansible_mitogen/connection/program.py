"""The persistent twin of any stock connection that reaches its target by a program of the controller's.

Docker, Podman, kubectl, chroot and the like. What is started is what the stock
plugin would start: it is asked to run the bootstrap command, and caught in the
act.
"""

import hashlib
import inspect
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.connection import ConnectionBase

from ansible_mitogen.connection.capture import Command, PopenWatch
from ansible_mitogen.connection.marks import SharedMarks
from ansible_mitogen.connection.outcome import TransportFailed, UseStock
from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.connection.steps import Silent, Step
from ansible_mitogen.connection.transfers import TransferringConnection
from ansible_mitogen.mux.api import NOT_OPENED, ContextInfo, ContextLost, Hop, HopFailed
from ansible_mitogen.mux.client import MuxClient
from mitogen import prompts
from mitogen.parent.bootstrap import GREETING

#: The start of a context may take this many times `timeout`, for which the stock plugins have no use.
_DEADLINE_FACTOR = 6

#: Does no harm if it is started after all, by a plugin that is not as it is thought to be.
_PROBE = "/bin/sh -c 'echo MITOGEN-PROBE'"
_PROBE_MARK = 'MITOGEN-PROBE'

#: In each bootstrap command, however it has been quoted.
_BOOTSTRAP_MARK = GREETING.decode().strip()

#: Whose programs pass standard input on. Of others it is seen when the first context is open.
_PASS_STDIN = frozenset(['buildah', 'chroot', 'docker', 'incus', 'jail', 'kubectl', 'lxd', 'oc', 'podman'])

#: Without this, Podman keeps its standard input to itself; the stock plugin has no pipelining for that reason.
_PODMAN_STDIN = '--interactive'

_popen = PopenWatch()


#: Plugins whose command cannot be caught. Forked workers learn it, and later ones shall know.
_not_caught = SharedMarks()


class ProgramConnection(TransferringConnection):
    """Reaches a target by the program, and with the arguments, that the stock plugin would start."""

    #: The command to reach the target with; None while it is hoped that this was done before.
    _program: Command | None = None

    def reset(self) -> None:
        """Close the contexts of the target."""
        if self._stock_class().reset is not ConnectionBase.reset or self._reason_for_stock():
            super().reset()
            return
        # The stock class would warn that it cannot do what has just been done.
        self._begin()
        self._close_contexts()

    @classmethod
    def _stock_class(cls) -> Any:
        """Return the class that this is the twin of."""
        return next(base for base in cls.__mro__ if issubclass(base, ConnectionBase)
                    and not issubclass(base, PersistentConnection) and base not in PersistentConnection.__mro__)

    @classmethod
    def _plugin_name(cls) -> str:
        stock = cls._stock_class()
        return '%s.%s' % (stock.__module__, stock.transport)

    def _reason_for_stock(self) -> str:
        reason = super()._reason_for_stock()
        if not reason and self._plugin_name() in _not_caught:
            reason = 'the command of this plugin is not known'
        return reason

    def _begin(self) -> None:
        # So that a loop keeps this object.
        self._connected = True

    def _attempt(self, serve: Callable[[], Any]) -> Any:
        try:
            return serve()
        except TransportFailed as exc:
            raise AnsibleConnectionFailure('The connection to %s was lost: %s' % (
                self._target(), to_text(exc.output))) from exc

    def _kind(self) -> str:
        return str(self.transport).rpartition('.')[2]

    def _target(self) -> str:
        return '%s %s' % (self._kind(), self._play_context.remote_addr)

    def _path_there(self, path: str) -> str:
        # Stock plugins take the root for what a relative path begins at.
        return path if path.startswith('/') else '/' + path

    def _login_shell(self, cmd: str) -> list[str]:
        return [self._play_context.executable or '/bin/sh', '-c', cmd]

    def _open(self, client: MuxClient, in_account: bool, interpreter: str) -> ContextInfo:
        self._program = None
        try:
            return super()._open(client, in_account, interpreter)
        except _NotOpenError:
            self._program = self._catch(_PROBE, _PROBE_MARK)
        try:
            context = super()._open(client, in_account, interpreter)
        finally:
            self._program = None
        if self._kind() not in _PASS_STDIN:
            self._check_stdin(client, context)
        return context

    def _check_stdin(self, client: MuxClient, context: ContextInfo) -> None:
        """See whether a context gets what it is sent.

        :raises UseStock: it does not.
        """
        try:
            client.run_command(context, ['/bin/sh', '-c', 'exit 0'], b'', False)
        except ContextLost as exc:
            _not_caught.add(self._plugin_name())
            raise UseStock('its program passes no standard input on: %s' % exc) from exc

    def steps_to_go_through(self) -> list[Step]:
        """Return the hops that lead to this target, with their commands: nobody asks first whether they are open."""
        self._begin()
        self._program = self._catch(_PROBE, _PROBE_MARK)
        try:
            return super().steps_to_go_through()
        finally:
            self._program = None

    def _login_step(self, bootstrap: str) -> Step:
        program = None
        if self._program is not None:
            # The same again, with what is really wanted.
            program = self._catch("/bin/sh -c '%s'" % bootstrap, _BOOTSTRAP_MARK)
            if self._goes_through():
                program = _found_by_path(program)
        hop = Hop(argv=program.argv if program else NOT_OPENED, name=self._target(), key=self._identity(),
                  deadline=_DEADLINE_FACTOR * float(self._play_context.timeout or 10),
                  cwd=program.cwd if program else None, env=program.env if program else None)
        return Step(hop, ProgramDialogue(self._target()))

    def _catch(self, cmd: str, mark: str) -> Command:
        """Return what the stock class would start to run a command.

        :raises UseStock: that cannot be known.
        """
        command = _popen.capture(lambda: self._stock_exec(cmd), mark)
        if command is None:
            _not_caught.add(self._plugin_name())
            raise UseStock('the stock plugin does not start a program in a way that is known here')
        if self._kind() == 'podman' and 'exec' in command.argv and _PODMAN_STDIN not in command.argv:
            at = command.argv.index('exec') + 1
            return replace(command, argv=(*command.argv[:at], _PODMAN_STDIN, *command.argv[at:]))
        return command

    def _stock_exec(self, cmd: str) -> None:
        self._stock(False, self._stock_class().exec_command, self, cmd, in_data=None, sudoable=False)

    def _stock(self, alone: bool, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # When they connect some learn what their commands need.
        self._connected = False
        try:
            return super()._stock(alone, method, *args, **kwargs)
        finally:
            self._connected = True

    def _identity(self) -> str:
        """Return what tells the contexts of this connection from others."""
        context = self._play_context
        told = repr((context.remote_addr, context.remote_user, context.executable, sorted(self._options.items())))
        return '%s %s %s' % (self._plugin_name(), context.remote_addr, hashlib.sha256(told.encode()).hexdigest())


def _found_by_path(command: Command) -> Command:
    """Return a command that another host finds too: there the program may be in another folder of its path."""
    name = os.path.basename(command.argv[0])
    return replace(command, argv=(name, *command.argv[1:])) if shutil.which(name) == command.argv[0] else command


class ProgramDialogue(Silent):
    """Understands why a program did not reach its target.

    :param target: for messages.
    """

    def __init__(self, target: str) -> None:
        self._target = target

    def explain(self, failed: HopFailed) -> None:
        """Raise what the failure means; return if only the stock plugin may know."""
        if failed.kind == 'closed':
            raise _NotOpenError
        if failed.kind == 'timeout':
            raise AnsibleConnectionFailure(failed.message)
        if failed.kind == 'exited':
            why = prompts.explain(failed.output, prompts.CONTAINER_FAILURES)
            if why is not None:
                raise AnsibleConnectionFailure('%s: %s' % (self._target, why))


class _NotOpenError(Exception):
    """The context is not open yet."""


def starts_programs(stock: type) -> bool:
    """Whether a connection class looks as if it reached its target by a program that it starts for each command."""
    if getattr(stock, 'force_persistence', False) or '.ps1' in getattr(stock, 'module_implementation_preferences', ()):
        return False
    methods = [vars(base).get('exec_command') for base in stock.__mro__ if base is not ConnectionBase]
    names = [getattr(inspect.unwrap(method), '__globals__', {}) for method in methods if callable(method)]
    return any(value is subprocess or value is subprocess.Popen for each in names for value in each.values())
