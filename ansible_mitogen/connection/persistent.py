"""How all persistent connections serve commands and modules: a mixin over a stock connection class."""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from ansible import constants as C
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_mitogen import ansiballz
from ansible_mitogen.connection import accounts
from ansible_mitogen.connection.chores import Chores
from ansible_mitogen.connection.foresight import Foresight, Heard, Look, Rehearsal, borrowed
from ansible_mitogen.connection.outcome import Result, UseStock
from ansible_mitogen.mux.api import Before, ContextInfo, Either, HopFailed, JobFailed, ModuleCall, StageFailed
from ansible_mitogen.mux.client import MuxClient

display = Display()


class PersistentConnection(Chores):
    """Serves a stock connection's calls in contexts that persist.

    A mixin: what cannot be served is left to the stock class, which comes next
    in the order of bases, and whose options, variables and name are kept. The
    base of it all is that of all stock classes, without which an object of one
    of them could not change its class to one of this.
    """

    has_pipelining = True
    has_tty = True

    #: What of ansible-core is mended where a module runs, see :mod:`ansible_mitogen.target.mends`.
    mends: tuple[str, ...] = ()

    _rehearsal: Rehearsal | None = None
    _foresight: Foresight | None = None
    #: Whether there was nothing where a module was to look last, in this task.
    _found_nothing = False

    def is_pipelining_enabled(self, wrap_async: bool = False) -> bool:
        """Whether modules are sent through `exec_command`: then they need no temporary files."""
        if self._reason_for_stock() or self._wants_no_pipelining() or not self._account_has_input():
            return bool(super().is_pipelining_enabled(wrap_async))
        # Not a question of the become plugin: the account's context is there before the module is sent to it.
        reasons = [reason for reason, applies in (
            ('it is asynchronous', wrap_async), ('keep_remote_files is set', C.DEFAULT_KEEP_REMOTE_FILES)) if applies]
        if reasons:
            self._note('the module is run from a file on the host: %s', ' and '.join(reasons))
        # Whoever asks is about to build a module for the host.
        self._open_ahead()
        return not reasons

    if not hasattr(ConnectionBase, 'is_pipelining_enabled'):
        # Before ansible-core 2.19 nothing but this option was asked.
        def get_option(self, option: str, hostvars: Any = None) -> Any:
            """Return the value of an option; pipelining is always on."""
            if option == 'pipelining' and not self._wants_no_pipelining() and self._account_has_input():
                return True
            return super().get_option(option, hostvars=hostvars)

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Result:
        """Run a command or a module on the host."""
        if self._rehearsal is not None:
            self._rehearsal.hear(cmd, in_data)
        alone = False
        try:
            if not in_data and not sudoable:
                answer = self._answer_chore(to_text(cmd))
                if answer is not None:
                    return answer
            return self._with_staging(lambda: self._exec(cmd, in_data, sudoable))
        except UseStock as exc:
            self._note_stock(exc)
            alone = exc.alone
        self._staging.replay()
        return self._stock(alone, super().exec_command, cmd, in_data=in_data, sudoable=sudoable)

    def foreseeing(self, foresight: Foresight) -> AbstractContextManager[object]:
        """Return a context manager; as long as it lasts, a module may be run together with the one before it."""
        return borrowed(self, '_foresight', foresight)

    def rehearse(self, play: Callable[[], object]) -> ModuleCall | None:
        """Return the module that `play` would run first; it is not run, and the call does not return to `play`."""
        rehearsal = Rehearsal()
        watch = self._become_watch
        with borrowed(self, '_rehearsal', rehearsal), nullcontext() if watch is None else watch.saved():
            try:
                play()
            except Heard:
                call = rehearsal.call
                return self._recognise(call.cmd, call.in_data)[0] if call is not None else None
        return None

    # What a transport adds.

    def _wants_tty(self, in_data: bytes | None, sudoable: bool) -> bool:
        """Whether the stock class would give this command a terminal."""
        return False

    def _leaves_to_stock(self, call: ModuleCall | None, in_account: bool) -> bool:
        """Whether the stock class serves this as fast."""
        return False

    def _login_shell(self, cmd: str) -> list[str]:
        """Return what runs a command as the login account; an empty word is the account's own shell."""
        return ['', '-c', cmd]

    def _stock(self, alone: bool, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the stock class; `alone` is for those that could leave something behind."""
        return method(*args, **kwargs)

    # The rest is common.

    def _recognise(self, cmd: str, in_data: bytes | None) -> tuple[ModuleCall | None, str | None]:
        """Return the module that a command runs, and the command before the become plugin had wrapped it."""
        watch = self._become_watch
        original = watch.original_of(cmd) if watch is not None else None
        inner = ansiballz.unwrap_shell(cmd) if original is None else original
        call = None
        if in_data and inner is not None:
            call = ansiballz.recognise(in_data, inner, self._directory(), self.mends)
        return call, original

    def _exec(self, cmd: str, in_data: bytes | None, sudoable: bool) -> Result:
        self._check_host()
        cmd = to_text(cmd)
        call, original = self._recognise(cmd, in_data)
        if in_data and call is None:
            self._note('the module is run by a shell: it, or the command that starts it, has no known form')
        if self._leaves_to_stock(call, original is not None):
            if self._concerns_accounts(call, [cmd]):
                self._with_context(lambda client, context: client.close_accounts(context))
            raise UseStock
        if original is not None and not self._account_has_input():
            raise UseStock('%s gives the account a terminal in place of what is sent to it' % self._become_method())
        if call is not None and self._foresight is not None:
            known = self._foresight.outcome_of(call)
            if known is not None:
                self._note('it has run already, together with the module before it')
                return known.rc, known.stdout, known.stderr
        self._begin()
        if original is None:
            argv = self._login_shell(cmd)
        else:
            argv = [getattr(self._shell, 'executable', None) or '/bin/sh', '-c', original]
        look, either = self._look_ahead(call)

        display.vvv('EXEC %s' % cmd, host=self._host_name())

        def serve() -> Result:
            return self._serve(call, argv, in_data or b'', original is not None, self._wants_tty(in_data, sudoable),
                               look, either)

        result: Result = self._attempt(serve)
        return result

    def _look_ahead(self, call: ModuleCall | None) -> tuple[Look | None, Either | None]:
        """Return what a module looks at that is about to run, and what may be run instead of it."""
        foresight = self._foresight
        if foresight is None or call is None:
            return None, None
        look = foresight.look(call)
        # To find out what would come next takes as long as all else here, and is in vain if there is nothing again.
        return look, None if look is None or self._found_nothing else foresight.either(call, look)

    def _serve(self, call: ModuleCall | None, argv: list[str], stdin: bytes, in_account: bool, tty: bool,
               look: Look | None, either: Either | None) -> Result:
        def run(client: MuxClient, context: ContextInfo) -> Result:
            done = None
            if self._concerns_accounts(call, argv):
                client.close_accounts(context)
            steps, above = self._staging.steps, int(in_account)
            if call is not None:
                before = Before([*steps, *Foresight.glances(look)], above)
                try:
                    done = client.run_module(context, _in_own(context, call), before, either and replace(
                        either, call=_in_own(context, either.call)))
                except (HopFailed, JobFailed) as exc:
                    self._note('the module is run by a shell: %s', exc)
                except StageFailed as exc:
                    if exc.step < len(steps):
                        raise
                    self._note('it need not run: %s', exc)
                    self._found_nothing = True
                    self._staging.done()
                    return 0, Foresight.found_nothing(), b''
            if done is None:
                done = client.run_command(context, argv, stdin, tty, cwd=None if in_account else self._directory(),
                                          before=Before(steps, above))
            if steps:
                self._note('done before it: %s', ', '.join(str(step[0]) for step in steps))
                self._staging.done()
            if call is not None:
                if look is not None:
                    self._found_nothing = False
                self._note_module(call, context, done)
            self._note_result(done)
            if done.other_ran and either is not None and self._foresight is not None:
                return 0, self._foresight.found_unchanged(either, done), b''
            return done.rc, done.stdout, done.stderr

        result: Result = self._with_context(run, in_account, call.interpreter if call else '')
        return result

    def _concerns_accounts(self, call: ModuleCall | None, texts: Sequence[str]) -> bool:
        """Whether idle processes of other accounts would be in the way: of the removal of one of them, for instance."""
        return accounts.are_concerned(call, texts) or any(
            script in text for script in self._scripts_on_accounts for text in texts)

    @functools.cached_property
    def _scripts_on_accounts(self) -> set[str]:
        """Files that went to the host, and that do such a thing if they are run."""
        return set()

    def _note_file(self, in_path: str, out_path: str) -> None:
        """Take note of a file that goes to the host."""
        if accounts.script_is_concerned(in_path):
            self._scripts_on_accounts.add(out_path)


def _in_own(context: ContextInfo, call: ModuleCall) -> ModuleCall:
    """Return a call without its interpreter if that is the context's own."""
    return replace(call, interpreter='') if call.interpreter in (context.executable, context.chosen) else call
