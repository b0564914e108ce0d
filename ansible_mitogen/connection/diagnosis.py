"""What a persistent connection says at -vvv: which way it takes, what was said there, what was sent, and why."""

import re
import shlex
from collections.abc import Mapping

from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_mitogen.connection.become import BecomeWatch
from ansible_mitogen.connection.outcome import UseStock
from ansible_mitogen.connection.steps import Step
from ansible_mitogen.mux.api import Completed, ContextInfo, HopFailed, ModuleCall

display = Display()

#: Options of programs that are followed by a secret: for kubectl, that is how it gets them.
_SECRET_OPTION = re.compile(r'--?[\w-]*(password|token|secret)')


class Diagnosis(ConnectionBase):
    """Tells people what a connection does: a mixin. No password is ever shown.

    The base is that of all stock classes, without which an object of one of them could not change its class to one
    that has this mixin.
    """

    _become_watch: BecomeWatch | None = None

    def _note_opened(self, steps: list[Step], context: ContextInfo, ms: float) -> None:
        """Say how a context was opened."""
        self._note('opened %s in %d ms (%s): Python %s at %s', ', '.join(step.hop.name for step in steps), ms,
                   _listed(context.timings), '.'.join(map(str, context.python_version)), context.executable)
        for step in steps:
            if step.hop.argv:
                self._note('hop %s: %s', step.hop.name, _readable(step.hop.argv))
        self._note_said(steps[-1], context.said)

    def _note_failed(self, step: Step, failed: HopFailed) -> None:
        """Say what was tried when a hop failed, and what was read."""
        self._note('hop %s failed (%s): %s', step.hop.name, failed.kind, self._without_secrets(failed.message))
        self._note('hop %s: %s', step.hop.name, _readable(step.hop.argv))
        self._note_said(step, failed.output)

    def _note_module(self, call: ModuleCall, context: ContextInfo, done: Completed) -> None:
        """Say which module ran, what was sent for it, and whether it ran where modules of this host usually do."""
        self._note('module %s: %d files were sent, %d bytes compressed; %d bytes of arguments', call.module_fqn,
                   done.files_sent, done.bytes_sent, len(call.params))
        if done.executable != context.executable:
            self._note('it ran under %s, a second interpreter beside that of the connection, %s: the task asks for it',
                       done.executable, context.executable)

    def _note_result(self, done: Completed) -> None:
        """Say how a command or module ended."""
        self._note('rc=%d, %d bytes of stdout, %d of stderr, ran %.1f ms, %d round trips (%s)', done.rc,
                   len(done.stdout), len(done.stderr), done.ms, done.round_trips, _listed(done.timings))

    def _note_stock(self, exc: UseStock) -> None:
        if exc.reason:
            self._note('left to the stock %s connection: %s', self.transport, self._without_secrets(exc.reason))

    def _note_said(self, step: Step, output: bytes) -> None:
        """Say what the far side printed until Python ran there."""
        if self._is_verbose():
            self._note('%s said: %s', step.hop.name, self._without_secrets(to_text(output).strip()) or '(nothing)')

    def _without_secrets(self, text: str) -> str:
        # A program may echo what was typed into it.
        for secret in filter(None, self._secrets()):
            text = text.replace(secret, '********')
        return text

    def _secrets(self) -> list[str]:
        """Return what must not be shown."""
        return [] if self._become_watch is None else [self._become_watch.password()]

    def _note(self, text: str, *values: object) -> None:
        if self._is_verbose():
            display.vvv('MITOGEN: ' + text % values, host=self._host_name())

    @staticmethod
    def _is_verbose() -> bool:
        # The log file may be told more than the screen.
        return max(display.verbosity, getattr(display, 'log_verbosity', 0) or 0) >= 3

    def _host_name(self) -> str:
        return getattr(self, 'host', None) or self._play_context.remote_addr or ''


def without_secrets(argv: tuple[str, ...]) -> list[str]:
    """Return a command with the secrets that it has as arguments masked."""
    return ['********' if at and _SECRET_OPTION.fullmatch(argv[at - 1]) else arg for at, arg in enumerate(argv)]


def _readable(argv: tuple[str, ...]) -> str:
    """Return a command without the long text that starts Python, and without secrets: for people."""
    return shlex.join(arg if len(arg) <= 240 else '%s [...]' % arg[:120] for arg in without_secrets(argv))


def _listed(timings: Mapping[str, object]) -> str:
    return ', '.join('%s %s ms' % item for item in timings.items())
