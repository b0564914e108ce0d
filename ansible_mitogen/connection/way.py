"""The way to a host, and to an account there: which hops it has."""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.connection import ConnectionBase
from ansible.template import Templar

from ansible_mitogen.connection.become import BecomeDialogue, BecomeWatch
from ansible_mitogen.connection.diagnosis import Diagnosis, without_secrets
from ansible_mitogen.connection.outcome import UseStock
from ansible_mitogen.connection.pythons import PythonChoice, bootstrap_text, distinct
from ansible_mitogen.connection.sources import READ_BY_BECOME
from ansible_mitogen.connection.steps import Step
from ansible_mitogen.connection.via import ViaChoice
from ansible_mitogen.mux.api import Hop
from ansible_mitogen.mux.protocol import ACCOUNT


class Way(Diagnosis):
    """Knows the hops that lead to a host, and to an account there: a mixin. It opens nothing."""

    _python_choice: PythonChoice | None = None
    _via: ViaChoice | None = None

    def set_become_plugin(self, plugin: Any) -> None:
        """Take the become plugin of a task, and watch what it wraps."""
        super().set_become_plugin(plugin)
        self._become_watch = None if plugin is None else BecomeWatch.of(plugin)

    def take_variables(self, variables: Mapping[str, Any], templar: Any) -> None:
        """Remember what the variables of the host say about the way to it, and about its interpreters."""
        self._python_choice = PythonChoice(variables, templar)
        self._via = ViaChoice(variables, templar)

    if hasattr(ConnectionBase, '_resolve_option_variables'):
        def _resolve_option_variables(self, variables: Any, templar: Any) -> Any:
            self.take_variables(variables, templar)
            return super()._resolve_option_variables(variables, templar)
    else:
        # Before ansible-core 2.17 only `meta: reset_connection` passes all variables, and a hook gives those of tasks.
        def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
            """Set the values of the options."""
            if var_options and 'hostvars' in var_options:
                self.take_variables(var_options, Templar(DataLoader(), variables=var_options))
            super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)

    def steps_to_go_through(self) -> list[Step]:
        """Return the hops that lead to this host, in the account in which others are reached through it."""
        self._begin()
        return self._steps_to_account(self._bootstrap(''))

    def describe_way(self) -> list[dict[str, Any]]:
        """Return the hops that lead to the account of the task, the first one first: for people.

        Empty if the stock plugin serves this host.
        """
        if self._reason_for_stock():
            return []
        self._begin()
        watch = self._become_watch
        with nullcontext() if watch is None else watch.saved():
            steps = [*self._steps_before(), *self._steps_to_account('[...]')]
        return [{'name': step.hop.name, 'command': without_secrets(step.hop.argv), 'needs_tty': step.hop.needs_tty,
                 'may_prompt': step.hop.may_prompt, 'deadline': step.hop.deadline} for step in steps]

    # What a transport adds.

    @abstractmethod
    def _begin(self) -> None:
        """Get ready for a call, as the stock class does."""

    @abstractmethod
    def _login_step(self, bootstrap: str) -> Step:
        """Return the hop that leads to the host, on which the shell text `bootstrap` is run."""

    def _reason_for_stock(self) -> str:
        """Why no call at all can be served for this host; '' if they can."""
        if getattr(self._shell, '_IS_WINDOWS', False):
            return 'the host runs Windows'
        return ''

    def _way_to_account(self, bootstrap: str) -> list[Step]:
        """Return the hops before that which changes the account."""
        return [self._login_step(bootstrap)]

    def _directory(self) -> str | None:
        """Where commands and modules of the login account run; None for where a login leads."""
        return None

    def _become_dialogue(self, watch: BecomeWatch) -> BecomeDialogue:
        return BecomeDialogue(watch)

    def _become_deadline(self) -> float:
        """How long a become program may take."""
        return 30.0

    # The rest is common.

    def _goes_through(self) -> str:
        """Return the host that this one is reached through, '' for none."""
        return self._via.name() if self._via is not None else ''

    def _steps_before(self) -> list[Step]:
        """Return the hops to the host that this one is reached through; none if it is reached from here."""
        return self._via.steps() if self._via is not None else []

    def _bootstrap(self, interpreter: str) -> str:
        names = self._python_choice.names() if self._python_choice is not None else PythonChoice({}, None).names()
        return bootstrap_text(distinct([interpreter, *names]))

    def _steps_to_account(self, bootstrap: str) -> list[Step]:
        """Return the hops from here, or from the host before this one, to the account of the task."""
        watch = self._become_watch
        if watch is None:
            return [self._login_step(bootstrap)]
        return [*self._way_to_account(bootstrap), self._account_step(bootstrap, watch.wants_tty())]

    def _account_step(self, bootstrap: str, needs_tty: bool) -> Step:
        watch = self._become_watch
        assert watch is not None
        command, identity = watch.account_command(bootstrap, self._shell)
        directory = self._directory()
        hop = Hop(argv=('/bin/sh', '-c', command), name='%s %s' % (watch.plugin.name, watch.user()),
                  key='%s%s in %s' % (ACCOUNT, identity, directory), needs_tty=needs_tty, may_prompt=True,
                  deadline=self._become_deadline(), cwd=directory, sources=READ_BY_BECOME)
        return Step(hop, self._become_dialogue(watch), changes_account=True)

    def _note_stock(self, exc: UseStock) -> None:
        if self._goes_through():
            # The stock plugin does not know the way, and might reach another target of the same name.
            raise AnsibleConnectionFailure('through %s: %s' % (
                self._goes_through(), exc.reason or 'this cannot be done there')) from exc
        super()._note_stock(exc)
