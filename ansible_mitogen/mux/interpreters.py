"""Which zygote runs a module: the context's own, or one of another interpreter there."""

from collections.abc import Callable
from typing import Any

from ansible_mitogen.mux.hops import INTERPRETER, Entry, HopTable
from ansible_mitogen.mux.protocol import HopSpec
from ansible_mitogen.mux.remote import call_then
from ansible_mitogen.mux.usage import NOBODY, Usage
from mitogen.core.errors import Error

#: What the far side needs to tell interpreters apart.
MODULES = ('ansible_mitogen', 'ansible_mitogen.target', 'ansible_mitogen.target.interpreters')

#: Seconds that another interpreter has to start.
DEADLINE = 30.0

Chosen = Callable[[Entry, int], None]
Failed = Callable[[int, Exception], None]


class Interpreters:
    """Contexts of other interpreters, each opened once through the context that they are for."""

    def __init__(self, table: HopTable) -> None:
        self._table = table

    def choose(self, entry: Entry, interpreter: str, chosen: Chosen, failed: Failed,
               usage: Usage = NOBODY) -> None:
        """Find or start the context in which `interpreter` runs, for modules of `entry`.

        :param interpreter: its name or path; '' for the context's own.
        :param chosen: called with that context, and the round trips that it took; maybe at once.
        :param failed: called with the hop's number and the error if it cannot be started.
        :param usage: whose round trips these are.
        """
        info = entry.context.info
        if interpreter in ('', info['chosen'], info['executable']) or entry.same_interpreter.get(interpreter):
            chosen(entry, 0)
            return
        if interpreter in entry.same_interpreter:
            _Start(entry, interpreter, chosen, failed, 0).begin(self._table)
            return

        def told(message: Any) -> None:
            try:
                same = bool(message.decode())
            except Error as exc:
                failed(len(entry.key) - 1, exc)
                return
            entry.same_interpreter[interpreter] = same
            if same:
                chosen(entry, 1)
            else:
                _Start(entry, interpreter, chosen, failed, 1).begin(self._table)

        entry.context.router.preload(entry.context, MODULES)
        call_then(entry.context, MODULES[-1], 'is_own', [interpreter], told, usage)


class _Start:
    """Another interpreter being started; it answers no prompts."""

    def __init__(self, entry: Entry, interpreter: str, chosen: Chosen, failed: Failed, round_trips: int) -> None:
        self._entry = entry
        self._interpreter = interpreter
        self._chosen = chosen
        self._round_trips = round_trips
        self._failed = failed

    def begin(self, table: HopTable) -> None:
        from mitogen.parent.bootstrap import bootstrap_command
        try:
            command = bootstrap_command([self._interpreter])
        except ValueError as exc:
            self._failed(len(self._entry.key), exc)
            return
        hop = HopSpec(['/bin/sh', '-c', command], self._interpreter, INTERPRETER + self._interpreter,
                      False, False, DEADLINE, None, None, self._entry.sources)
        table.open_below(self._entry, hop, self)

    def prompt(self, hop: int, output: bytes) -> None:
        """It is never asked: the hop may not prompt."""

    def opened(self, entry: Entry, fresh: bool) -> None:
        self._chosen(entry, self._round_trips + fresh)

    def failed(self, hop: int, error: Exception) -> None:
        self._failed(hop, error)
