"""The contexts that are open, by the hop list that leads to each, and those being opened.

All but :meth:`Dial.run` happens in the broker's thread. Opening itself blocks, so it is handed to
`run_blocking`; what depends on its outcome comes back through the broker.
"""

import logging
import queue
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ansible_mitogen.mux.protocol import ACCOUNT, HopSpec
from ansible_mitogen.mux.room import Room

LOG = logging.getLogger('mux.hops')

Key = tuple[str, ...]

#: How the key begins of a hop that only changes the interpreter.
INTERPRETER = 'interpreter '


class AbandonedError(Exception):
    """Whoever would answer a prompt has given up, or is gone."""


class NotOpenError(LookupError):
    """A context is not open, and was not to be opened."""

    kind = 'closed'


class Requester(Protocol):
    """Who asked for a context."""

    def prompt(self, hop: int, output: bytes) -> None:
        """A hop says something and may want an answer: call :meth:`Dial.answer` or :meth:`Dial.abandon`."""

    def opened(self, entry: 'Entry', fresh: bool) -> None:
        """The context is open."""

    def failed(self, hop: int, error: Exception) -> None:
        """A hop could not be opened."""


class Entry:
    """An open context."""

    def __init__(self, key: Key, context: Any, parent: 'Entry | None', sources: list[str]) -> None:
        self.key = key
        self.sources = sources
        self.context = context
        self.parent = parent
        #: Jobs and transfers in it, and everything in the contexts that were opened through it.
        self.busy = 0
        self.last_used = 0.0
        self.closing = False
        #: Called once nothing is under way in it.
        self.when_idle: Callable[[], None] | None = None
        #: Called once it is gone.
        self.when_gone: list[Callable[[], None]] = []
        #: What is known of other interpreters: path -> whether it is the context's own.
        self.same_interpreter: dict[str, bool] = {}
        #: Names of modules that its zygote has been told to import.
        self.preloaded: set[str] = set()
        #: Home folders there, by account, as long as the accounts do not change.
        self.homes: dict[str, str] = {}
        self._accounts = 0

    def gone(self) -> None:
        """Its processes have ended."""
        for func in self.when_gone:
            func()

    @property
    def is_interpreter(self) -> bool:
        """Whether it is another interpreter in the account of the context before it."""
        return self.key[-1].startswith(INTERPRETER)

    @property
    def login(self) -> 'Entry | None':
        """The context on the way here which is that of a login to the host; None on this process's own machine."""
        entry: Entry | None = self
        while entry is not None and entry.key[-1].startswith((ACCOUNT, INTERPRETER)):
            entry = entry.parent
        return entry

    @property
    def first_hop(self) -> 'Entry':
        """The context that this process talks to directly on the way here."""
        return self if self.parent is None else self.parent.first_hop

    def above(self, levels: int) -> 'Entry | None':
        """Return the context that is so many levels nearer to this process; None if there is none."""
        entry: Entry | None = self
        for _ in range(levels):
            entry = None if entry is None else entry.parent
        return entry

    def accounts_are(self, mark: int) -> None:
        """Take note of what tells one state of the host's accounts from another."""
        if self._accounts != mark:
            self._accounts = mark
            self.homes.clear()
        if self.parent is not None:
            self.parent.accounts_are(mark)

    def take(self) -> None:
        """Something begins to use the context."""
        self.busy += 1
        self.last_used = time.monotonic()
        if self.parent is not None:
            self.parent.take()

    def release(self) -> None:
        """It has ended."""
        self.busy -= 1
        self.last_used = time.monotonic()
        if not self.busy and self.when_idle is not None:
            self.when_idle()
        if self.parent is not None:
            self.parent.release()


class Dial:
    """One hop being opened, for all who want it. The first of them answers its prompts.

    :param defer: runs a function in the broker's thread.
    """

    def __init__(self, key: Key, index: int, hop: HopSpec, parent: Entry | None, defer: Callable[..., None]) -> None:
        self.key = key
        self.index = index
        self.hop = hop
        self.parent = parent
        self.waiting: list[Request] = []
        self.began = 0.0
        self._defer = defer
        self._asked: bytes | None = None
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask(self, output: bytes) -> bytes | None:
        """Have a prompt answered; called in the opening thread.

        :raises AbandonedError: there is no one who would.
        """
        self._defer(self._forward, output)
        try:
            answer = self._answers.get(timeout=max(1.0, self.hop.deadline))
        except queue.Empty:
            raise AbandonedError('%s: nobody answered its prompt' % self.hop.name) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _forward(self, output: bytes) -> None:
        self._asked = output
        if self.waiting:
            self.waiting[0].requester.prompt(self.index, output)
        else:
            self._put(AbandonedError('%s: whoever wanted it is gone' % self.hop.name))

    def _put(self, answer: Any) -> None:
        if self._asked is not None:
            self._asked = None
            self._answers.put(answer)

    def answer(self, request: 'Request', text: bytes | None) -> None:
        """Type `text`, or nothing, as an answer to the prompt."""
        if self.waiting and self.waiting[0] is request:
            self._put(text)

    def abandon(self, request: 'Request') -> None:
        """The one who answers prompts gives the hop up; others who want it will try anew."""
        if self.waiting and self.waiting[0] is request:
            self.waiting.remove(request)
            request.requester.failed(self.index, AbandonedError('%s was given up' % self.hop.name))
            self._put(AbandonedError('%s was given up' % self.hop.name))

    def leave(self, request: 'Request') -> None:
        """One who wants it is gone; the next becomes the one who answers."""
        owned = self.waiting[:1] == [request]
        if request in self.waiting:
            self.waiting.remove(request)
        if owned and self._asked is not None:
            self._forward(self._asked)


class Request:
    """A hop list that someone wants opened, and how far it is."""

    def __init__(self, hops: Sequence[HopSpec], requester: Requester) -> None:
        self.hops = hops
        self.requester = requester
        self.key: Key = tuple(hop.key for hop in hops)
        self.dial: Dial | None = None
        self.started = time.monotonic()
        self.queued_ms = 0.0
        self.hop_ms: list[float] = []

    def cancel(self) -> None:
        """Whoever asked is gone."""
        if self.dial is not None:
            self.dial.leave(self)
            self.dial = None


class HopTable:
    """The contexts by the keys of the hops that lead to them.

    :param defer: runs a function in the broker's thread, from any thread.
    :param run_blocking: runs a function in a thread of its own, or queues it until one is free.
    :param open_hop: ``(parent context or None, hop, dialogue) -> context``; blocks, and raises.
    :param watch: ``(context, lost, gone)``: has ``lost(reason)`` called when the context is of no use any more, and
        ``gone()`` when it has ended.
    :param end: asks a context to end.
    :param has_room: whether this process has descriptors for one more child.
    """

    def __init__(self, defer: Callable[..., None], run_blocking: Callable[..., Any],
                 open_hop: Callable[[Any, HopSpec, Callable[[bytes], bytes | None]], Any],
                 watch: Callable[[Any, Callable[[str], None], Callable[[], None]], None], end: Callable[[Any], None],
                 has_room: Callable[[], bool] = lambda: True) -> None:
        self._defer = defer
        self._run_blocking = run_blocking
        self._open_hop = open_hop
        self._watch = watch
        self._end = end
        self._room = Room(has_room)
        self._open: dict[Key, Entry] = {}
        self._dials: dict[Key, Dial] = {}
        self._by_id: dict[int, Entry] = {}
        #: When the last batch ended, and the keys of the hosts that it used.
        self._batch_began = 0.0
        self._used_before: set[Key] = set()

    def __len__(self) -> int:
        return len(self._open)

    def by_id(self, context_id: int) -> Entry | None:
        """Return the open context with that ID, if there is one."""
        return self._by_id.get(context_id)

    def begin(self, request: Request) -> None:
        """Open what is not open of the request's hops; the requester is told, maybe before this returns."""
        self._advance(request, False)

    def open_below(self, entry: Entry, hop: HopSpec, requester: Requester) -> None:
        """Open one more hop behind an open context."""
        # The hops that are open already need only their keys.
        known = [HopSpec([], '', key, False, False, 0.0, None, None, []) for key in entry.key]
        self._advance(Request([*known, hop], requester), False)

    def _advance(self, request: Request, fresh: bool) -> None:
        parent: Entry | None = None
        for index, hop in enumerate(request.hops):
            key = request.key[:index + 1]
            entry = self._open.get(key)
            if entry is None:
                if not hop.argv and key not in self._dials:
                    request.requester.failed(index, NotOpenError('it is not open'))
                else:
                    self._join(request, key, index, hop, parent)
                return
            parent = entry
        assert parent is not None
        parent.last_used = time.monotonic()
        request.requester.opened(parent, fresh)

    def _join(self, request: Request, key: Key, index: int, hop: HopSpec, parent: Entry | None) -> None:
        """Make the request wait for a hop, and have it opened if nobody has yet."""
        dial = self._dials.get(key)
        if dial is not None:
            dial.waiting.append(request)
            request.dial = dial
            return
        self._make_room(parent)
        dial = self._dials[key] = Dial(key, index, hop, parent, self._defer)
        dial.waiting.append(request)
        request.dial = dial
        if parent is not None:
            parent.take()
        self._run_blocking(self._dial, dial, time.monotonic())

    def _dial(self, dial: Dial, asked_at: float) -> None:
        """Open the hop; in a thread of its own."""
        began = time.monotonic()
        parent = None if dial.parent is None else dial.parent.context
        context, error = None, None
        try:
            context = self._open_hop(parent, dial.hop, dial.ask)
        except Exception as exc:
            error = exc
        self._defer(self._dialled, dial, context, error, began - asked_at, time.monotonic() - began)

    def _dialled(self, dial: Dial, context: Any, error: Exception | None, queued: float, took: float) -> None:
        del self._dials[dial.key]
        if dial.parent is not None:
            dial.parent.release()
        waiting, dial.waiting = dial.waiting, []
        for request in waiting:
            request.dial = None
        if context is not None:
            entry = self._open[dial.key] = self._by_id[context.context_id] = Entry(
                dial.key, context, dial.parent, dial.hop.sources)
            entry.last_used = time.monotonic()
            self._watch(context, lambda reason: self._lost(entry, reason), entry.gone)
            for number, request in enumerate(waiting):
                request.queued_ms += queued * 1000
                request.hop_ms.append(took * 1000)
                self._advance(request, fresh=number == 0)
        elif isinstance(error, AbandonedError):
            # The one who gave it up has left: the others may know better answers.
            for request in waiting:
                self._advance(request, False)
        else:
            assert error is not None
            for request in waiting:
                request.requester.failed(dial.index, error)

    def _lost(self, entry: Entry, reason: str) -> None:
        LOG.debug('%r is gone: %s', entry.context, reason)
        self._by_id.pop(entry.context.context_id, None)
        if self._open.get(entry.key) is entry:
            del self._open[entry.key]

    def close(self, entry: Entry) -> None:
        """End a context, and with it all that were opened through it."""
        self._forget(entry)
        self._end(entry.context)

    def retire(self, entry: Entry) -> None:
        """Have nothing more begun in a context, and end it when what is under way there has ended.

        With one of another interpreter goes the context that it was opened for.
        """
        while entry.parent is not None and entry.is_interpreter:
            entry = entry.parent
        if not entry.closing:
            self._forget(entry)
            entry.when_idle = lambda: self._end(entry.context)
            if not entry.busy:
                entry.when_idle()

    def _forget(self, entry: Entry) -> None:
        # From now on the same hop list is opened anew, even if this one takes its time to end.
        for other in list(self._open.values()):
            if other.key[:len(entry.key)] == entry.key:
                other.closing = True
                del self._open[other.key]

    def close_accounts(self, beside: Entry, then: Callable[[], None]) -> None:
        """End what is idle of a host's other accounts.

        :param beside: the context, on that host, that goes on.
        :param then: called when they are gone, maybe before this returns.
        """
        login = beside.login
        doomed = [entry for entry in self._open.values() if entry.parent is login and not entry.busy
                  and entry.key[-1].startswith(ACCOUNT) and beside.key[:len(entry.key)] != entry.key]
        left = len(doomed)

        def gone() -> None:
            nonlocal left
            left -= 1
            if not left:
                then()
        for entry in doomed:
            entry.when_gone.append(gone)
            self.close(entry)
        if not doomed:
            then()

    def end_batch(self) -> None:
        """End what is idle: the hosts of a batch are done with.

        Not what was used in this batch and in the one before: each batch seems to use it.
        """
        hosts = [entry for entry in self._open.values() if entry.parent is None]
        used = {entry.key for entry in hosts if entry.busy or entry.last_used >= self._batch_began}
        for entry in hosts:
            if not entry.busy and entry.key not in used & self._used_before:
                self.close(entry)
        # Of what went before the first batch it is not known which batch it was for.
        self._used_before = used if self._batch_began else set()
        self._batch_began = time.monotonic()

    def close_all(self) -> None:
        """End all contexts."""
        for entry in list(self._open.values()):
            if entry.parent is None:
                self.close(entry)

    def _make_room(self, parent: Entry | None) -> None:
        """Close what has been idle for longest if a new hop through `parent` would be one too many."""
        for entry in self._room.to_close(self._open.values(), parent, time.monotonic()):
            LOG.debug('%r is closed to make room', entry.context)
            self.close(entry)
