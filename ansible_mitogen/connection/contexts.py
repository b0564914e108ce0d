"""Contexts of a host: opened, used, opened anew when they were lost, and closed."""

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible import constants as C
from ansible import context as cli_context
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_text

from ansible_mitogen import link
from ansible_mitogen.connection.become import BecomeDialogue
from ansible_mitogen.connection.marks import SharedMarks
from ansible_mitogen.connection.outcome import TransportFailed, UseStock
from ansible_mitogen.connection.steps import Step
from ansible_mitogen.connection.way import Way
from ansible_mitogen.mux.api import (
    NOT_OPENED,
    ContextInfo,
    ContextLost,
    HopFailed,
    JobFailed,
    MuxError,
    MuxGone,
    StageFailed,
    TransferFailed,
)
from ansible_mitogen.mux.client import MuxClient

#: How many contexts are tried for one call, if those before were lost or out of date before anything was done. The
#: first may be one that was open some time ago.
MAX_ATTEMPTS = 4


#: Hosts to which a connection has been opened ahead of need.
_opened_ahead = SharedMarks()

#: Hosts and become methods by which an account gets nothing of what it is sent.
_without_input = SharedMarks()


class Contexts(Way):
    """Opens, uses and closes the contexts that a way leads to: a mixin."""

    #: What its costs are counted for, where they are of interest.
    mitogen_label = ''

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
    def _attempt(self, serve: Callable[[], Any]) -> Any:
        """Call `serve`, and make of :class:`TransportFailed` what the stock class would, retries included."""

    def _become_timed_out(self, step: Step, failed: HopFailed) -> Exception:
        return AnsibleConnectionFailure('Timeout (%ds) waiting for privilege escalation prompt: %s' % (
            step.hop.deadline, self._without_secrets(to_text(failed.output))))

    # The rest is common.

    def _check_host(self) -> None:
        """Go on if this host's calls can be served.

        :raises UseStock: none of them can.
        """
        reason = self._reason_for_stock()
        if reason:
            raise UseStock(reason)

    def _account_has_input(self) -> bool:
        """Whether a context of the become account can be sent anything.

        Of some programs, such as ``machinectl``, it is seen when the context is opened. That must be known before
        Ansible decides how a module gets there.
        """
        if self._become_watch is None or not self._become_watch.may_keep_input():
            return True
        if self._become_mark() not in _without_input:
            self._begin()
            try:
                self._attempt(lambda: self._with_context(lambda client, context: (0, b'', b''), in_account=True))
            except UseStock as exc:
                self._note('no context of the account: %s', exc)
        return self._become_mark() not in _without_input

    def _become_method(self) -> str:
        return '' if self._become_watch is None else str(self._become_watch.plugin.name)

    def _become_mark(self) -> str:
        return '%s %s' % (self._become_method(), self._host_name())

    def _with_context(self, use: Callable[[MuxClient, ContextInfo], Any], in_account: bool = False,
                      interpreter: str = '') -> Any:
        """Open a context, unless it is open, and use it.

        :param in_account: that of the become account, not that of the login.
        :param interpreter: the one to try first.
        """
        attempts = 0
        while True:
            attempts += 1
            context = None
            try:
                client = self._client()
                context = self._open(client, in_account, interpreter)
                return use(client, context)
            except ContextLost as exc:
                if exc.started or attempts >= MAX_ATTEMPTS:
                    raise TransportFailed(255, exc.message.encode()) from exc
                if context is not None:
                    client.forget(context)
            except MuxGone as exc:
                link.forget()
                if context is not None or attempts > 1:
                    # As if each connection had been lost: the play goes on for hosts that are not under way.
                    raise AnsibleConnectionFailure(
                        'The multiplexer, which holds the connections of this run, ended unexpectedly: %s. The next '
                        'task starts another one; MITOGEN_DISABLE_HOOKS=all does without it.' % exc) from exc
                self._note('the multiplexer is started anew: %s', exc)
            except JobFailed as exc:
                raise AnsibleError('The command could not be started on the host: %s' % exc) from exc
            except (TransferFailed, StageFailed):
                raise
            except MuxError as exc:
                raise AnsibleError(str(exc)) from exc
            # Nothing was done on the host: as if the connection had not been there yet.
            self._note('the connection is opened anew')

    def _client(self) -> MuxClient:
        try:
            client = link.client(cli_context.CLIARGS.get('forks') or C.DEFAULT_FORKS)
            client.label = self.mitogen_label
            return client
        except OSError as exc:
            raise AnsibleError('The multiplexer, which holds the connections of this run, cannot be started: %s. '
                               'MITOGEN_DISABLE_HOOKS=all in the environment does without it.' % exc) from exc

    def _open(self, client: MuxClient, in_account: bool, interpreter: str) -> ContextInfo:
        bootstrap = self._bootstrap(interpreter)
        if not in_account or self._become_watch is None:
            return self._open_steps(client, [self._login_step(bootstrap)])
        way = self._way_to_account(bootstrap)
        with self._become_watch.saved():
            try:
                return self._open_steps(client, [*way, self._account_step(bootstrap, self._become_watch.wants_tty())])
            except _WantsTty:
                return self._open_steps(client, [*way, self._account_step(bootstrap, True)])

    def _open_ahead(self) -> None:
        """Have the login's context opened while a module for it is being built, if the host is new.

        Does nothing for hosts that are reached through others. What is wrong with the host is told to whoever then
        wants the context.
        """
        name = self._host_name()
        if name in _opened_ahead or self._goes_through():
            return
        _opened_ahead.add(name)
        try:
            self._begin()
            bootstrap = self._bootstrap('')
            steps = [self._login_step(bootstrap)] if self._become_watch is None else self._way_to_account(bootstrap)
            client, hops = self._client(), [step.hop for step in steps]
            if hops and client.known(hops) is None:
                client.open_ahead(hops, lambda index, output: steps[index].answerer.answer(output))
        except Exception as exc:
            self._note('the connection is not opened ahead: %s', exc)

    def _open_steps(self, client: MuxClient, steps: list[Step]) -> ContextInfo:
        began = time.monotonic()
        steps = [*self._steps_before(), *steps]
        hops = [step.hop for step in steps]
        known = client.known(hops)
        if known is not None:
            return known
        try:
            context = client.open(hops, lambda index, output: steps[index].answerer.answer(output))
        except HopFailed as failed:
            self._hop_failed(steps, failed)
            raise
        if context.fresh:
            self._note_opened(steps, context, (time.monotonic() - began) * 1000)
        return context

    def _hop_failed(self, steps: list[Step], failed: HopFailed) -> None:
        """Raise what the failure of a hop means for the call."""
        step = steps[failed.hop_index]
        if failed.kind != 'closed':
            self._note_failed(step, failed)
        if step.through:
            raise AnsibleConnectionFailure('on the way through %s: %s' % (step.through, failed.message)) from failed
        step.answerer.explain(failed)
        if failed.kind == 'no_python':
            raise UseStock(failed.message) from failed
        if failed.kind == 'terminal' and step.changes_account:
            _without_input.add(self._become_mark())
        if not step.changes_account:
            raise UseStock('%s: %s' % (failed.kind, failed.message)) from failed
        if not step.hop.needs_tty and BecomeDialogue.asks_for_tty(failed):
            raise _WantsTty from failed
        if failed.kind == 'timeout':
            raise self._become_timed_out(step, failed) from failed
        raise UseStock(failed.message, alone=True) from failed

    def _close_contexts(self) -> None:
        client = self._client()
        steps = [*self._steps_before(), self._login_step('exit 1')]
        hops = [replace(step.hop, argv=NOT_OPENED) for step in steps]
        try:
            client.close_context(client.open(hops, lambda index, output: None))
        except HopFailed:
            self._note('there was no context to close')


class _WantsTty(Exception):
    """A become program ended because it has no terminal."""
