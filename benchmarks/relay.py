"""A TCP relay before the target's sshd: counts what crosses it, and can make the link as slow as a far one.

It is used in passes of its own, so that it never disturbs a timed run on the direct link.
"""

import collections
import contextlib
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass

#: The payload of a segment on an Ethernet; loopback's own would be 64 KiB, which counts hardly any packets.
SEGMENT = 1448

CHUNK = 65536

#: In Linux's ``struct tcp_info``: where ``tcpi_segs_out`` and ``tcpi_segs_in`` are.
TCP_INFO_SEGMENTS = struct.Struct('=136xII')


@dataclass
class Traffic:
    """What has crossed the relay.

    :ivar sent: bytes from clients to the target.
    :ivar received: bytes from the target to clients.
    :ivar packets: TCP segments both ways on the clients' side, acknowledgements included.
    :ivar turns: how often the client's side spoke after the target's had spoken: an upper bound of the round trips
        that were waited for.
    :ivar connections: TCP connections opened.
    """

    sent: int = 0
    received: int = 0
    packets: int = 0
    turns: int = 0
    connections: int = 0

    @property
    def bytes(self) -> int:
        """Bytes both ways."""
        return self.sent + self.received


class _Pipe:
    """One direction of a connection: what was read from `source` and is due at `sink` later."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.ended = False
        self.queue: collections.deque[tuple[float, bytes]] = collections.deque()

    def flush(self, now: float) -> None:
        """Send what is due; an empty chunk stands for the end."""
        while self.queue and self.queue[0][0] <= now:
            due, chunk = self.queue.popleft()
            if not chunk:
                with contextlib.suppress(OSError):
                    self.sink.shutdown(socket.SHUT_WR)
                self.ended = True
                return
            try:
                count = self.sink.send(chunk)
            except BlockingIOError:
                count = 0
            except OSError:
                self.ended = True
                return
            if count < len(chunk):
                # The receiver is slower than the link: try again soon rather than poll for its readiness.
                self.queue.appendleft((now + 0.001, chunk[count:]))
                return


class _Connection:
    """A client's connection and the one made to the target for it."""

    def __init__(self, client: socket.socket, target: socket.socket) -> None:
        self.client = client
        self.target = target
        self.up = _Pipe(client, target)
        self.down = _Pipe(target, client)
        self.client_spoke_last = False


class Relay:
    """Relay connections to a local port; a context manager that runs in a thread.

    :param target_port: where the target's sshd listens, on 127.0.0.1.
    :param delay: seconds that each direction adds: half of the round trip.
    """

    def __init__(self, target_port: int, delay: float = 0.0) -> None:
        self.traffic = Traffic()
        self._target_port = target_port
        self._delay = delay
        self._connections: set[_Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket()
        # Inherited by accepted connections, and announced to the client.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self._listener.bind(('127.0.0.1', 0))
        self._listener.listen(512)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='relay', daemon=True)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> 'Relay':
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        for connection in list(self._connections):
            self._close(connection)
        self._listener.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(self._patience()):
                if key.data is None:
                    self._accept()
                else:
                    self._read(*key.data)
            now = time.monotonic()
            for connection in list(self._connections):
                connection.up.flush(now)
                connection.down.flush(now)
                if connection.up.ended and connection.down.ended:
                    self._close(connection)

    def _patience(self) -> float:
        now = time.monotonic()
        due = [pipe.queue[0][0] - now for c in self._connections for pipe in (c.up, c.down) if pipe.queue]
        return max(0.0, min([0.1, *due]))

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        target = socket.create_connection(('127.0.0.1', self._target_port), timeout=5)
        connection = _Connection(client, target)
        for side, pipe in ((client, connection.up), (target, connection.down)):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(side, selectors.EVENT_READ, (connection, pipe))
        self._connections.add(connection)
        self.traffic.connections += 1

    def _read(self, connection: _Connection, pipe: _Pipe) -> None:
        try:
            chunk = pipe.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b''
        if not chunk:
            self._selector.unregister(pipe.source)
        from_client = pipe is connection.up
        if from_client:
            self.traffic.sent += len(chunk)
        else:
            self.traffic.received += len(chunk)
        if chunk:
            self.traffic.turns += from_client and not connection.client_spoke_last
            connection.client_spoke_last = from_client
        pipe.queue.append((time.monotonic() + self._delay, chunk))

    def _close(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        with contextlib.suppress(OSError):
            info = connection.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SEGMENTS.size)
            self.traffic.packets += sum(TCP_INFO_SEGMENTS.unpack(info))
        for side in (connection.client, connection.target):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(side)
            side.close()
