"""What all persistent connections share: a mixin over a stock connection class."""

import re
import shlex
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ansible import constants as C
from ansible import context as cli_context
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_mitogen import ansiballz, link
from ansible_mitogen.connection.become import BecomeDialogue, BecomeWatch
from ansible_mitogen.connection.outcome import TransportFailed, UseStock
from ansible_mitogen.connection.pythons import PythonChoice, bootstrap_text, distinct
from ansible_mitogen.connection.steps import Step
from ansible_mitogen.mux.api import (
    NOT_OPENED,
    ContextInfo,
    ContextLost,
    Hop,
    HopFailed,
    JobFailed,
    ModuleCall,
    MuxError,
    MuxGone,
    TransferFailed,
)
from ansible_mitogen.mux.client import MuxClient

display = Display()

#: Options of programs that are followed by a secret: for kubectl, that is how it gets them.
_SECRET_OPTION = re.compile(r'--?[\w-]*(password|token|secret)')

#: What the stock plugins return: exit code, stdout, stderr.
Result = tuple[int, bytes, bytes]


class PersistentConnection(ConnectionBase):
    """Serves a stock connection's calls in contexts that persist.

    A mixin: what cannot be served is left to the stock class, which comes next
    in the order of bases, and whose options, variables and name are kept. The
    base is that of all stock classes, without which an object of one of them
    could not change its class to one of this.
    """

    has_pipelining = True
    has_tty = True

    _become_watch: BecomeWatch | None = None
    _python_choice: PythonChoice | None = None

    def set_become_plugin(self, plugin: Any) -> None:
        """Take the become plugin of a task, and watch what it wraps."""
        super().set_become_plugin(plugin)
        self._become_watch = None if plugin is None else BecomeWatch.of(plugin)

    def _resolve_option_variables(self, variables: Any, templar: Any) -> Any:
        self._python_choice = PythonChoice(variables, templar)
        return super()._resolve_option_variables(variables, templar)

    def is_pipelining_enabled(self, wrap_async: bool = False) -> bool:
        """Whether modules are sent through `exec_command`: then they need no temporary files."""
        if self._reason_for_stock() or self._wants_no_pipelining():
            return bool(super().is_pipelining_enabled(wrap_async))
        # Not a question of the become plugin: the account's context is there before the module is sent to it.
        return not wrap_async and not C.DEFAULT_KEEP_REMOTE_FILES

    if not hasattr(ConnectionBase, 'is_pipelining_enabled'):
        # Before ansible-core 2.19 nothing but this option was asked.
        def get_option(self, option: str, hostvars: Any = None) -> Any:
            """Return the value of an option; pipelining is always on."""
            if option == 'pipelining' and not self._wants_no_pipelining():
                return True
            return super().get_option(option, hostvars=hostvars)

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Result:
        """Run a command or a module on the host."""
        alone = False
        try:
            return self._exec(cmd, in_data, sudoable)
        except UseStock as exc:
            self._note_stock(exc)
            alone = exc.alone
        return self._stock(alone, super().exec_command, cmd, in_data=in_data, sudoable=sudoable)

    def reset(self) -> None:
        """Close the contexts of the host: the next task logs in anew."""
        if not self._reason_for_stock():
            self._begin()
            try:
                self._close_contexts()
            except MuxError as exc:
                self._note('could not close the context: %s', exc)
        super().reset()

    # What a transport adds.

    @abstractmethod
    def _begin(self) -> None:
        """Get ready for a call, as the stock class does."""

    @abstractmethod
    def _login_step(self, bootstrap: str) -> Step:
        """Return the hop that leads to the host, on which the shell text `bootstrap` is run."""

    @abstractmethod
    def _attempt(self, serve: Callable[[], Any]) -> Any:
        """Call `serve`, and make of :class:`TransportFailed` what the stock class would, retries included."""

    def _reason_for_stock(self) -> str:
        """Why no call at all can be served for this host; '' if they can."""
        if getattr(self._shell, '_IS_WINDOWS', False):
            return 'the host runs Windows'
        return ''

    def _wants_no_pipelining(self) -> bool:
        """Whether the user asked for something that excludes pipelining."""
        return False

    def _wants_tty(self, in_data: bytes | None, sudoable: bool) -> bool:
        """Whether the stock class would give this command a terminal."""
        return False

    def _way_to_account(self, bootstrap: str) -> list[Step]:
        """Return the hops before that which changes the account."""
        return [self._login_step(bootstrap)]

    def _leaves_to_stock(self, call: ModuleCall | None, in_account: bool) -> bool:
        """Whether the stock class serves this as fast."""
        return False

    def _directory(self) -> str | None:
        """Where commands and modules of the login account run; None for where a login leads."""
        return None

    def _login_shell(self, cmd: str) -> list[str]:
        """Return what runs a command as the login account; an empty word is the account's own shell."""
        return ['', '-c', cmd]

    def _become_dialogue(self, watch: BecomeWatch) -> BecomeDialogue:
        return BecomeDialogue(watch)

    def _become_deadline(self) -> float:
        """How long a become program may take."""
        return 30.0

    def _become_timed_out(self, step: Step, failed: HopFailed) -> Exception:
        return AnsibleConnectionFailure('Timeout (%ds) waiting for privilege escalation prompt: %s' % (
            step.hop.deadline, to_text(failed.output)))

    # The rest is common.

    def _exec(self, cmd: str, in_data: bytes | None, sudoable: bool) -> Result:
        reason = self._reason_for_stock()
        if reason:
            raise UseStock(reason)
        cmd = to_text(cmd)
        watch = self._become_watch
        original = watch.original_of(cmd) if watch is not None else None
        call = None
        if in_data:
            inner = ansiballz.unwrap_shell(cmd) if original is None else original
            call = ansiballz.recognise(in_data, inner, self._directory()) if inner is not None else None
        if self._leaves_to_stock(call, original is not None):
            raise UseStock
        self._begin()
        if original is None:
            argv = self._login_shell(cmd)
        else:
            argv = [getattr(self._shell, 'executable', None) or '/bin/sh', '-c', original]

        def serve() -> Result:
            return self._serve(call, argv, in_data or b'', original is not None, self._wants_tty(in_data, sudoable))

        result: Result = self._attempt(serve)
        return result

    def _serve(self, call: ModuleCall | None, argv: list[str], stdin: bytes, in_account: bool, tty: bool) -> Result:
        def run(client: MuxClient, context: ContextInfo) -> Result:
            done = None
            if call is not None:
                own = call.interpreter in (context.executable, context.chosen)
                try:
                    done = client.run_module(context, replace(call, interpreter='') if own else call)
                except (HopFailed, JobFailed) as exc:
                    self._note('the module is run by a shell: %s', exc)
            if done is None:
                done = client.run_command(context, argv, stdin, tty, cwd=None if in_account else self._directory())
            self._note('rc=%d, %d bytes of stdout, %d of stderr, ran %.1f ms, %d round trips (%s)', done.rc,
                       len(done.stdout), len(done.stderr), done.ms, done.round_trips, _listed(done.timings))
            return done.rc, done.stdout, done.stderr

        result: Result = self._with_context(run, in_account, call.interpreter if call else '')
        return result

    def _with_context(self, use: Callable[[MuxClient, ContextInfo], Any], in_account: bool = False,
                      interpreter: str = '') -> Any:
        """Open a context, unless it is open, and use it.

        :param in_account: that of the become account, not that of the login.
        :param interpreter: the one to try first.
        """
        again = False
        while True:
            context = None
            try:
                client = self._client()
                context = self._open(client, in_account, interpreter)
                return use(client, context)
            except ContextLost as exc:
                if exc.started or again:
                    raise TransportFailed(255, exc.message.encode()) from exc
            except MuxGone as exc:
                link.forget()
                if context is not None or again:
                    # As if each connection had been lost: the play goes on for hosts that are not under way.
                    raise AnsibleConnectionFailure(
                        'The multiplexer, which holds the connections of this run, ended unexpectedly: %s. The next '
                        'task starts another one; set strategy=linear to do without it.' % exc) from exc
                self._note('the multiplexer is started anew: %s', exc)
            except JobFailed as exc:
                raise AnsibleError('The command could not be started on the host: %s' % exc) from exc
            except TransferFailed:
                raise
            except MuxError as exc:
                raise AnsibleError(str(exc)) from exc
            # Nothing was done on the host: as if the connection had not been there yet.
            again = True

    def _client(self) -> MuxClient:
        try:
            return link.client(cli_context.CLIARGS.get('forks') or C.DEFAULT_FORKS)
        except OSError as exc:
            raise AnsibleError('The multiplexer, which holds the connections of this run, cannot be started: %s. '
                               'Set strategy=linear to do without it.' % exc) from exc

    def _open(self, client: MuxClient, in_account: bool, interpreter: str) -> ContextInfo:
        names = self._python_choice.names() if self._python_choice is not None else PythonChoice({}, None).names()
        bootstrap = bootstrap_text(distinct([interpreter, *names]))
        if not in_account or self._become_watch is None:
            return self._open_steps(client, [self._login_step(bootstrap)])
        way = self._way_to_account(bootstrap)
        with self._become_watch.saved():
            try:
                return self._open_steps(client, [*way, self._account_step(bootstrap, self._become_watch.wants_tty())])
            except _WantsTty:
                return self._open_steps(client, [*way, self._account_step(bootstrap, True)])

    def _account_step(self, bootstrap: str, needs_tty: bool) -> Step:
        watch = self._become_watch
        assert watch is not None
        command, identity = watch.account_command(bootstrap, self._shell)
        directory = self._directory()
        hop = Hop(argv=('/bin/sh', '-c', command), name='%s %s' % (watch.plugin.name, watch.user()),
                  key='%s in %s' % (identity, directory), needs_tty=needs_tty, may_prompt=True,
                  deadline=self._become_deadline(), cwd=directory)
        return Step(hop, self._become_dialogue(watch), changes_account=True)

    def _open_steps(self, client: MuxClient, steps: list[Step]) -> ContextInfo:
        began = time.monotonic()
        try:
            context = client.open([step.hop for step in steps],
                                  lambda index, output: steps[index].answerer.answer(output))
        except HopFailed as failed:
            self._hop_failed(steps, failed)
            raise
        if context.fresh:
            self._note('opened %s in %d ms (%s): Python %s at %s', ', '.join(step.hop.name for step in steps),
                       (time.monotonic() - began) * 1000, _listed(context.timings),
                       '.'.join(map(str, context.python_version)), context.executable)
            for step in steps:
                if step.hop.argv:
                    self._note('hop %s: %s', step.hop.name, _readable(step.hop.argv))
        return context

    def _hop_failed(self, steps: list[Step], failed: HopFailed) -> None:
        """Raise what the failure of a hop means for the call."""
        step = steps[failed.hop_index]
        if failed.kind != 'closed':
            self._note('hop %s failed (%s): %s', step.hop.name, failed.kind, failed.message)
            self._note('its command: %s', _readable(step.hop.argv))
        step.answerer.explain(failed)
        if failed.kind == 'no_python':
            raise UseStock(failed.message) from failed
        if not step.changes_account:
            raise UseStock('%s: %s' % (failed.kind, failed.message)) from failed
        if not step.hop.needs_tty and BecomeDialogue.asks_for_tty(failed):
            raise _WantsTty from failed
        if failed.kind == 'timeout':
            raise self._become_timed_out(step, failed) from failed
        raise UseStock(failed.message, alone=True) from failed

    def _close_contexts(self) -> None:
        client = self._client()
        hop = replace(self._login_step('exit 1').hop, argv=NOT_OPENED)
        try:
            client.close_context(client.open([hop], lambda index, output: None))
        except HopFailed:
            self._note('there was no context to close')

    def _stock(self, alone: bool, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the stock class; `alone` is for those that could leave something behind."""
        return method(*args, **kwargs)

    def _note_stock(self, exc: UseStock) -> None:
        if exc.reason:
            self._note('left to the stock %s connection: %s', self.transport, exc.reason)

    def _note(self, text: str, *values: object) -> None:
        if display.verbosity >= 3:
            display.vvv('MITOGEN: ' + text % values, host=self._host_name())

    def _host_name(self) -> str:
        return getattr(self, 'host', None) or self._play_context.remote_addr or ''


class _WantsTty(Exception):
    """A become program ended because it has no terminal."""


def _readable(argv: tuple[str, ...]) -> str:
    """Return a command without the long text that starts Python, and without secrets: for people."""
    shown = [arg if len(arg) <= 240 else '%s [...]' % arg[:120] for arg in argv]
    for at, arg in enumerate(argv[:-1]):
        if _SECRET_OPTION.fullmatch(arg):
            shown[at + 1] = '********'
    return shlex.join(shown)


def _listed(timings: Mapping[str, object]) -> str:
    return ', '.join('%s %s ms' % item for item in timings.items())
