"""Servers that fail in one way each, and a small web server. All on the loopback interface."""

import functools
import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def silent_server() -> Iterator[int]:
    """A port where connections are accepted, and nothing is ever said."""
    with socket.create_server(('127.0.0.1', 0), backlog=64) as server:
        yield int(server.getsockname()[1])


@contextmanager
def unanswering_server() -> Iterator[int]:
    """A port whose packets are dropped: its queue of connections is full, so the kernel ignores who knocks."""
    with socket.create_server(('127.0.0.1', 0), backlog=0) as server:
        address = server.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            yield int(address[1])


class HangingUp:
    """A port where each connection is closed at once; counts them."""

    def __init__(self) -> None:
        self._server = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port: int = self._server.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._server.accept()
            except OSError:
                return
            self.connections += 1
            client.close()

    def close(self) -> None:
        """Stop listening."""
        # A thread in accept() is woken by shutdown(), not by close().
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def web_server(folder: Path) -> Iterator[int]:
    """Serves the files of a folder; yields the port."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()
