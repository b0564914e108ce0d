"""The multiplexer's end of its socket."""

import os
import socket
import threading
from typing import Any

import pytest

from ansible_mitogen.mux import protocol
from ansible_mitogen.mux.session import HIGH_WATER, Listener, Session, peer_uid
from mitogen.core.broker import Broker
from mitogen.core.frames import FrameParser


class Recorder:
    """A service that keeps what it is asked."""

    def __init__(self) -> None:
        self.served: list[Any] = []
        self.arrived = threading.Semaphore(0)
        self.packets: list[Any] = []
        self.cancelled = threading.Event()

    def serve(self, packet: Any, exchange: Any, attached: Any) -> Any:
        exchange.on_packet = self.take
        exchange.on_cancel = self.cancelled.set
        self.served.append((packet, exchange, attached))
        self.arrived.release()

    def take(self, packet: Any) -> Any:
        self.packets.append(packet)
        self.arrived.release()

    def wait(self) -> Any:
        assert self.arrived.acquire(timeout=5)


@pytest.fixture
def broker() -> Any:
    broker = Broker()
    yield broker
    broker.shutdown()
    broker.join(5)


@pytest.fixture
def service() -> Any:
    return Recorder()


@pytest.fixture
def client(broker: Any, service: Any) -> Any:
    ours, theirs = socket.socketpair()
    broker.call_sync(Session, broker, theirs, service)
    ours.settimeout(5)
    yield ours
    ours.close()


def receive(client: Any, count: Any = 1) -> Any:
    parser = FrameParser()
    packets: list[Any] = []
    while len(packets) < count:
        data = client.recv(1 << 20)
        assert data, 'the session was closed'
        packets += [protocol.decode(frame) for frame in parser.feed(data)]
    return packets


CLOSE = protocol.encode(protocol.CLOSE, 1, {'context': ['ab', 1]})


def test_a_request_is_served_and_answered(broker: Any, client: Any, service: Any) -> None:
    client.sendall(CLOSE)
    service.wait()
    packet, exchange, attached = service.served[0]
    assert (packet.what, packet.request, attached) == (protocol.CLOSE, 1, b'')
    broker.call_sync(exchange.finish, protocol.DONE, {'x': 1})
    assert receive(client) == [(protocol.DONE, 1, {'x': 1})]


def test_attached_pieces_come_with_the_request_that_follows(client: Any, service: Any) -> None:
    client.sendall(protocol.encode(protocol.ATTACH, 1, b'ab') + protocol.encode(protocol.ATTACH, 1, b'cd') + CLOSE)
    service.wait()
    assert service.served[0][2] == b'abcd'


def test_what_belongs_to_the_request_under_way_reaches_it(client: Any, service: Any) -> None:
    client.sendall(CLOSE + protocol.encode(protocol.CHUNK_OF_FILE, 1, b'x'))
    service.wait()
    service.wait()
    assert service.packets == [(protocol.CHUNK_OF_FILE, 1, b'x')]


def test_late_pieces_of_a_request_that_has_failed_are_dropped(broker: Any, client: Any, service: Any) -> None:
    client.sendall(CLOSE)
    service.wait()
    broker.call_sync(service.served[0][1].fail, protocol.job_failed('no'))
    client.sendall(protocol.encode(protocol.CHUNK_OF_FILE, 1, b'late') + CLOSE)
    service.wait()
    assert service.packets == []
    assert len(service.served) == 2


@pytest.mark.parametrize('sent', [
    b'GET / HTTP/1.0\r\n\r\n' * 3, CLOSE + CLOSE, protocol.encode(protocol.DONE, 1, {})[:10] + b'\xff' * 40,
])
def test_a_client_that_breaks_the_protocol_is_disconnected(client: Any, service: Any, sent: Any) -> None:
    client.sendall(sent)
    while client.recv(4096):
        pass


def test_attachments_without_end_are_refused(client: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(protocol, 'MAX_ATTACHED', 1 << 20)
    piece = protocol.encode(protocol.ATTACH, 1, b'x' * protocol.CHUNK)
    try:
        for _ in range(100):
            client.sendall(piece)
        refused = not client.recv(10)
    except ConnectionError:
        refused = True
    assert refused


def test_a_client_that_goes_away_cancels_its_request(client: Any, service: Any) -> None:
    client.sendall(CLOSE)
    service.wait()
    client.close()
    assert service.cancelled.wait(5)


def test_a_slow_client_is_waited_for(broker: Any, client: Any, service: Any) -> None:
    client.sendall(CLOSE)
    service.wait()
    exchange = service.served[0][1]
    drained = threading.Event()
    pieces = HIGH_WATER // protocol.CHUNK + 10

    def flood() -> Any:
        for _ in range(pieces):
            exchange.send(protocol.OUTPUT, b'x' * protocol.CHUNK)
        exchange.when_drained(drained.set)
    broker.call_sync(flood)
    assert not drained.wait(0.2)
    assert len(receive(client, pieces)) == pieces
    assert drained.wait(5)


def test_a_client_that_is_paused_is_not_read(broker: Any, client: Any, service: Any) -> None:
    client.sendall(CLOSE)
    service.wait()
    exchange = service.served[0][1]
    broker.call_sync(exchange.pause)
    client.sendall(protocol.encode(protocol.CHUNK_OF_FILE, 1, b'x'))
    assert not service.arrived.acquire(timeout=0.2)
    broker.call_sync(exchange.resume)
    service.wait()


@pytest.fixture
def path(broker: Any, service: Any, tmp_path: Any) -> Any:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / 's'))
    sock.listen(5)
    sock.setblocking(False)
    broker.call_sync(Listener, broker, sock, service)
    return str(tmp_path / 's')


def test_clients_of_the_same_user_may_connect(path: Any, service: Any) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(CLOSE)
        service.wait()


@pytest.mark.skipif(os.getuid() != 0, reason='needs two accounts')
def test_other_users_are_refused_even_if_they_reach_the_socket(path: Any, service: Any) -> None:
    # The connection is made before the account changes, as the directory would keep others out.
    folder = os.path.dirname(path)
    while folder != '/tmp':
        os.chmod(folder, 0o755)
        folder = os.path.dirname(folder)
    os.chmod(path, 0o777)
    pid = os.fork()
    if not pid:
        os.setuid(65534)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        try:
            sock.connect(path)
            sock.sendall(CLOSE)
            refused = not sock.recv(10)
        except ConnectionError:
            refused = True
        except BaseException:
            refused = False
        os._exit(0 if refused else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert service.served == []


def test_the_peer_is_known_by_its_user() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()
