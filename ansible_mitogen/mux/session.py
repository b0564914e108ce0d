"""The multiplexer's end of the UNIX socket: who may connect, and one session for each that does."""

import logging
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ansible_mitogen.mux import protocol
from ansible_mitogen.mux.usage import NOBODY
from mitogen.core.errors import Error
from mitogen.core.frames import FrameParser
from mitogen.core.sides import BasicStream, Side

LOG = logging.getLogger('mux.session')

#: A client that leaves more than this unread is slow: nothing more is asked for on its behalf until it has read it.
HIGH_WATER = 1 << 20

_XUCRED = struct.Struct('=II')


def peer_uid(sock: socket.socket) -> int | None:
    """Return the user ID of the process that connected `sock`, None where the system does not tell."""
    if hasattr(socket, 'SO_PEERCRED'):
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize('3i'))
        return int(struct.unpack('3i', credentials)[1])
    if sys.platform == 'darwin' or 'bsd' in sys.platform:
        # LOCAL_PEERCRED is 1 at level 0; the structure begins with a version and the effective user ID.
        return int(_XUCRED.unpack(sock.getsockopt(0, 1, 128)[:_XUCRED.size])[1])
    return None


class Exchange:
    """One request of a client, while it is being served.

    Whoever serves it sets `on_packet` to get what the client adds to the request, and
    `on_cancel` to learn that the client went away. Broker thread only.

    :param label: what the client wants its costs to be counted for.
    """

    def __init__(self, session: 'Session', number: int, label: str) -> None:
        self._session = session
        self.number = number
        self.label = label
        self.usage = NOBODY
        self.closed = False
        self.on_packet: Callable[[protocol.Packet], None] | None = None
        self.on_cancel: Callable[[], None] | None = None

    def send(self, what: int, body: Any) -> None:
        """Send an answer after which more will come."""
        if not self.closed:
            self._session.send(protocol.encode(what, self.number, body))

    def finish(self, what: int, body: Any) -> None:
        """Send the last answer; one that cannot be sent is a failure, of which the client is told."""
        if not self.closed:
            try:
                self.send(what, body)
            except Error as exc:
                self.send(protocol.FAILED, protocol.job_failed('the answer cannot be passed on: %s' % exc))
            self.closed = True

    def fail(self, body: dict[str, Any]) -> None:
        """Send the last answer: a failure, made by one of the functions of :mod:`ansible_mitogen.mux.protocol`."""
        self.finish(protocol.FAILED, body)

    def cancel(self) -> None:
        """The client is gone, or has broken the protocol."""
        if not self.closed:
            self.closed = True
            if self.on_cancel is not None:
                self.on_cancel()

    def when_drained(self, func: Callable[[], None]) -> None:
        """Call `func` as soon as the client has read enough of what was sent: maybe now, never if it goes."""
        self._session.when_drained(func)

    def pause(self) -> None:
        """Take nothing more from the client until :meth:`resume`."""
        self._session.pause()

    def resume(self) -> None:
        """Take what the client sends again."""
        self._session.resume()


class Service(Protocol):
    """What sessions hand requests to."""

    def serve(self, packet: protocol.Packet, exchange: Exchange, attached: bytes) -> None:
        """Serve a request; in the broker's thread, without blocking."""


class Session(BasicStream):
    """A connected client."""

    def __init__(self, broker: Any, sock: socket.socket, service: Service) -> None:
        self._broker = broker
        self._service = service
        self._parser = FrameParser()
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._polled = False
        self._paused = False
        self._waiting: list[Callable[[], None]] = []
        self._exchange: Exchange | None = None
        self._attached = bytearray()
        self.receive_side = self.transmit_side = Side(self, sock.detach(), keep_alive=False)
        broker.start_receive(self)

    def on_receive(self, broker: Any) -> None:
        data = self.receive_side.read()
        if data is None:
            return
        if not data:
            self.on_disconnect(broker)
            return
        try:
            for frame in self._parser.feed(data):
                self._take(protocol.decode(frame))
        except (Error, KeyError, TypeError, ValueError) as exc:
            LOG.error('a client broke the protocol (%s: %s); its connection is closed', type(exc).__name__, exc)
            self.on_disconnect(broker)

    def _take(self, packet: protocol.Packet) -> None:
        exchange = self._exchange
        if packet.what == protocol.ATTACH:
            self._attached += packet.body
            if len(self._attached) > protocol.MAX_ATTACHED:
                raise ValueError('more than %d bytes are attached' % protocol.MAX_ATTACHED)
        elif packet.what in protocol.CONTINUATIONS:
            # A client may have gone on sending before it saw that its request had failed.
            if exchange is not None and exchange.number == packet.request and not exchange.closed and \
                    exchange.on_packet is not None:
                exchange.on_packet(packet)
        elif exchange is not None and not exchange.closed:
            raise ValueError('a second request while one is under way')
        else:
            attached, self._attached = bytes(self._attached), bytearray()
            label = packet.body.get('label', '') if isinstance(packet.body, dict) else ''
            self._exchange = Exchange(self, packet.request, str(label))
            self._service.serve(packet, self._exchange, attached)

    def send(self, encoded: bytes) -> None:
        """Send bytes, now or as soon as the client reads."""
        self._queue.append(encoded)
        self._queued += len(encoded)
        if not self._polled:
            self.on_transmit(self._broker)

    def on_transmit(self, broker: Any) -> None:
        while self._queue:
            chunk = self._queue[0]
            written = self.transmit_side.write(chunk)
            if written is None:
                # Not at once: whoever is sending is not prepared to be cancelled within that.
                self._queue.clear()
                broker.defer(self.on_disconnect, broker)
                break
            self._queued -= written
            if written < len(chunk):
                self._queue[0] = memoryview(chunk)[written:]
                break
            self._queue.popleft()
        wanted = bool(self._queue)
        if wanted != self._polled:
            self._polled = wanted
            (broker.start_transmit if wanted else broker.stop_transmit)(self)
        if self._waiting and self._queued <= HIGH_WATER:
            waiting, self._waiting = self._waiting, []
            for func in waiting:
                func()

    def when_drained(self, func: Callable[[], None]) -> None:
        if self._queued <= HIGH_WATER:
            func()
        else:
            self._waiting.append(func)

    def pause(self) -> None:
        if not self._paused and not self.receive_side.closed:
            self._paused = True
            self._broker.stop_receive(self)

    def resume(self) -> None:
        if self._paused and not self.receive_side.closed:
            self._paused = False
            self._broker.start_receive(self)

    def on_disconnect(self, broker: Any) -> None:
        if not self.receive_side.closed:
            super().on_disconnect(broker)
            self._queue.clear()
            self._waiting.clear()
            if self._exchange is not None:
                self._exchange.cancel()


class Listener(BasicStream):
    """The listening socket: makes a session for each client of the same user.

    :param sock: bound and listening.
    """

    def __init__(self, broker: Any, sock: socket.socket, service: Service) -> None:
        self._sock = sock
        self._service = service
        self.receive_side = Side(self, sock.fileno(), keep_alive=False)
        broker.start_receive(self)

    def on_receive(self, broker: Any) -> None:
        while True:
            try:
                client, _ = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                # Out of descriptors: the client waits in the queue until some are free.
                LOG.error('a client could not be accepted: %s', exc)
                broker.stop_receive(self)
                broker.call_later(0.1, broker.start_receive, self)
                return
            uid = peer_uid(client)
            if uid not in (None, os.getuid()):
                LOG.error('a process of user %s tried to connect; refused', uid)
                client.close()
                continue
            Session(broker, client, self._service)
