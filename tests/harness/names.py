"""A name server that knows one address."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Type of the records that hold IPv4 addresses.
A = b'\0\1'

IN = b'\0\1'


def answer_to(query: bytes, address: str) -> bytes:
    """Return what a server says that has that address, and nothing else, for every name."""
    end = query.index(b'\0', 12) + 5
    question, wanted = query[12:end], query[end - 4:end - 2] == A
    record = b'\xc0\x0c' + A + IN + b'\0\0\0\1' + b'\0\4' + bytes(map(int, address.split('.'))) if wanted else b''
    return query[:2] + b'\x81\x80' + b'\0\1' + (b'\0\1' if wanted else b'\0\0') + b'\0\0\0\0' + question + record


@contextmanager
def name_server(listens: str, address: str) -> Iterator[None]:
    """Serve within the block.

    :param listens: a loopback address.
    :param address: what all names are told to have.
    """
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, sock = self.request
            sock.sendto(answer_to(query, address), self.client_address)

    with socketserver.ThreadingUDPServer((listens, 53), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
