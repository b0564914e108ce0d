"""Copying files to and from targets.

The far side is :mod:`ansible_mitogen.target.files`. Content that fits into one message costs one
round trip. Of larger content a few chunks are under way at a time: that is all that is ever in
memory, and as much as other traffic of the same host may have to wait for.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

from ansible_mitogen.mux import protocol
from ansible_mitogen.mux.hops import Entry
from ansible_mitogen.mux.remote import call_then
from ansible_mitogen.mux.session import Exchange
from ansible_mitogen.mux.usage import Usage
from mitogen.core.errors import CallError, ChannelError, Error

#: What the far side needs.
MODULES = ('ansible_mitogen', 'ansible_mitogen.target', 'ansible_mitogen.target.files')

#: Chunks under way at a time, of 128 KiB each.
WINDOW = 8

_numbers = itertools.count(1)


class Transfer:
    """What copying in either direction has in common.

    :param exchange: the client's request.
    :param entry: the context on the target.
    """

    def __init__(self, exchange: Exchange, entry: Entry) -> None:
        self.number = next(_numbers)
        self._exchange = exchange
        self._entry = entry
        self._under_way = 0
        self._over = False
        self._began = time.monotonic()
        exchange.on_cancel = self._cancel
        entry.take()
        entry.context.router.preload(entry.context, MODULES)

    def _step(self, name: str, args: list[Any], then: Callable[[Any], None]) -> None:
        """Have the far side do a step, and take its result unless the transfer is over by then."""
        def answered(message: Any) -> None:
            self._under_way -= 1
            self._exchange.usage.received += len(message.data)
            if self._over:
                return
            try:
                result = message.decode()
                if result[0]:
                    then(result[1])
                else:
                    self._fail(protocol.transfer_failed(str(result[2]), int(result[1]) & 0xffff))
            except ChannelError as exc:
                self._fail(protocol.context_lost(str(exc), started=True))
            except CallError as exc:
                self._fail(protocol.transfer_failed('%s: %s' % (exc.type_name, exc.message)))
            except (Error, ArithmeticError, LookupError, TypeError, ValueError):
                context = self._entry.context
                context.router.complain(context.context_id, 'sent an answer that cannot be understood')
                self._fail(protocol.transfer_failed('an answer cannot be understood'))

        # What is sent while others are under way waits for nothing.
        trip = Usage()
        call_then(self._entry.context, MODULES[-1], 'perform', [name, *args], answered, trip)
        self._exchange.usage.sent += trip.sent
        self._exchange.usage.round_trips += not self._under_way
        self._under_way += 1

    def _end(self) -> None:
        self._over = True
        self._exchange.usage.transfer_ms += (time.monotonic() - self._began) * 1000
        self._entry.release()
        self._exchange.resume()

    def _fail(self, failure: dict[str, Any]) -> None:
        self._abandon()
        self._end()
        self._exchange.fail(failure)

    def _done(self, result: dict[str, Any]) -> None:
        self._end()
        self._exchange.finish(protocol.DONE, result)

    def _cancel(self) -> None:
        if not self._over:
            self._abandon()
            self._end()

    def _abandon(self) -> None:
        """Have the far side forget it; what it says to that does not matter."""
        call_then(self._entry.context, MODULES[-1], 'perform', ['abandon', self.number], lambda message: None)


class Put(Transfer):
    """A file on its way to the target."""

    def __init__(self, exchange: Exchange, entry: Entry, fields: dict[str, Any]) -> None:
        super().__init__(exchange, entry)
        self._path = fields['path']
        if fields['content'] is not None:
            self._step('put', [self._path, fields['mode'], fields['content']], self._stored)
        else:
            exchange.on_packet = self._on_packet
            self._step('begin_put', [self.number, self._path, fields['mode']], self._took)

    def _stored(self, path: Any) -> None:
        if not isinstance(path, str):
            raise TypeError('a path that is no text')
        self._done({'path': path})

    def _took(self, result: Any) -> None:
        if self._under_way < WINDOW:
            self._exchange.resume()

    def _on_packet(self, packet: protocol.Packet) -> None:
        if self._over:
            return
        if packet.what == protocol.CHUNK_OF_FILE:
            self._step('write', [self.number, packet.body], self._took)
            if self._under_way >= WINDOW:
                self._exchange.pause()
        elif packet.what == protocol.END_OF_FILE:
            self._step('end_put', [self.number, self._path], self._stored)


class Fetch(Transfer):
    """A file on its way from the target."""

    def __init__(self, exchange: Exchange, entry: Entry, fields: dict[str, Any]) -> None:
        super().__init__(exchange, entry)
        self._mode: Any = 0
        self._step('begin_fetch', [self.number, fields['path']], self._received_first)

    def _received_first(self, answer: Any) -> None:
        self._mode, chunk = answer
        self._received(chunk)
        if not self._over:
            for _ in range(WINDOW - 1):
                self._ask()

    def _received(self, chunk: Any) -> None:
        if not isinstance(chunk, bytes):
            raise TypeError('a chunk that is no bytes')
        if chunk:
            self._exchange.send(protocol.CHUNK_OF_FILE, chunk)
        if len(chunk) < protocol.CHUNK:
            # Shorter ones are the last; those that were asked for beyond it are empty.
            self._done({'mode': int(self._mode) & 0o7777})
        else:
            self._exchange.when_drained(self._ask)

    def _ask(self) -> None:
        if not self._over:
            self._step('read', [self.number], self._received)
