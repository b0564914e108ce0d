"""The persistent twin of the stock local connection: modules and other accounts; the rest is fast as it is."""

import functools
import os
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_text

from ansible_mitogen.connection.become import BecomeDialogue, BecomeWatch
from ansible_mitogen.connection.outcome import TransportFailed
from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.connection.steps import Silent, Step
from ansible_mitogen.mux.api import Hop, HopFailed, ModuleCall
from ansible_mitogen.mux.protocol import ACCOUNT

#: Seconds for a Python to start on this machine, however busy it is.
_START_DEADLINE = 60.0


class LocalConnection(PersistentConnection):
    """Runs modules in a warm process on the controller."""

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file; it may be a script."""
        self._note_file(in_path, out_path)
        super().put_file(in_path, out_path)

    def _begin(self) -> None:
        self._connect()

    def _attempt(self, serve: Callable[[], Any]) -> Any:
        try:
            return serve()
        except TransportFailed as exc:
            raise AnsibleConnectionFailure('The process for local tasks ended: %s' % to_text(exc.output)) from exc

    def _login_step(self, bootstrap: str) -> Step:
        # The key says that it leads to no other host.
        return Step(Hop(argv=('/bin/sh', '-c', bootstrap), name='local', key=ACCOUNT + 'local',
                        deadline=_START_DEADLINE), Silent())

    def _way_to_account(self, bootstrap: str) -> list[Step]:
        return []

    def _leaves_to_stock(self, call: ModuleCall | None, in_account: bool) -> bool:
        # What a become program says beside the prompt belongs to the output of each command, unless it is stripped,
        # which it is not where there was no prompt. Of a module's output only the JSON counts.
        return call is None or (in_account and not self._strips_preamble())

    def _wants_no_pipelining(self) -> bool:
        return not self._strips_preamble()

    def _strips_preamble(self) -> bool:
        try:
            return bool(self.get_option('become_strip_preamble'))
        except KeyError:
            # Before 2.19.
            return True

    def _directory(self) -> str | None:
        # Some versions of ansible-core give bytes.
        return None if self.cwd is None else os.fsdecode(self.cwd)

    def _become_dialogue(self, watch: BecomeWatch) -> BecomeDialogue:
        return LocalBecomeDialogue(watch)

    def _become_deadline(self) -> float:
        return float(self._success_timeout)

    @functools.cached_property
    def _success_timeout(self) -> int:
        try:
            return max(1, int(self.get_option('become_success_timeout') or 10))
        except KeyError:
            # Before 2.19.
            return int(self._play_context.timeout)

    def _become_timed_out(self, step: Step, failed: HopFailed) -> Exception:
        answerer = step.answerer
        assert isinstance(answerer, LocalBecomeDialogue)
        return AnsibleConnectionFailure(answerer.waiting('Timed out', failed.output))


class LocalBecomeDialogue(BecomeDialogue):
    """As a become program's dialogue, in the words of the stock local plugin."""

    def refused(self, output: bytes) -> Exception:
        """Return the error for a wrong password."""
        return AnsibleError(self.waiting('Duplicate become password prompt encountered', output))

    def _check(self, line: bytes) -> None:
        # The stock plugin knows a refusal only by the next prompt, and by the end of the program.
        return

    def explain(self, failed: HopFailed) -> None:
        """Raise the error for a program that ended."""
        if failed.kind == 'exited' and not self.asks_for_tty(failed):
            raise AnsibleError(self.waiting('Premature end of stream', failed.output))

    def waiting(self, reason: str, output: bytes) -> str:
        """Return the text for an end before the success."""
        or_prompt = ' or become password prompt' if self.watch.has_password() and not self.typed else ''
        text = '%s waiting for become success%s.' % (reason, or_prompt)
        return text + '\n>>> Standard Error\n' + to_text(output) if output else text
