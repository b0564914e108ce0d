"""A host that can be reached by WinRM, as far as a client sees it: it answers every command with the same words."""

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENVELOPE = ('<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><RelatesTo>%s</RelatesTo></s:Header>'
            '<s:Body>%s</s:Body></s:Envelope>')

#: What a client gets for each action, by the last part of its name.
ANSWERS = {
    'Create': '<Shell><Selector Name="ShellId">1</Selector></Shell>',
    'Command': '<CommandResponse><CommandId>2</CommandId></CommandResponse>',
    'Receive': '<ReceiveResponse><Stream Name="stdout">OUTPUT</Stream><CommandState State="http://x/CommandState/Done">'
               '<ExitCode>0</ExitCode></CommandState></ReceiveResponse>',
    'Signal': '<SignalResponse/>',
    'Delete': '',
}

PASSWORD = 'open sesame'


class Handler(BaseHTTPRequestHandler):
    """Answers a request, if it comes with the password."""

    protocol_version = 'HTTP/1.1'

    def do_POST(self) -> None:
        """Answer."""
        request = self.rfile.read(int(self.headers['Content-Length'])).decode()
        credentials = base64.b64decode(self.headers.get('Authorization', '').partition(' ')[2]).decode()
        if credentials.partition(':')[2] != PASSWORD:
            self._answer(401, '')
            return
        action = re.findall(r'>[^<]*/(\w+)</[\w:]*Action>', request)[0]
        message = re.findall(r'MessageID>([^<]+)<', request)[0]
        said = base64.b64encode(b'said by a stub').decode()
        self._answer(200, ENVELOPE % (message, ANSWERS[action].replace('OUTPUT', said)))

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header('Content-Type', 'application/soap+xml;charset=UTF-8')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def winrm_server() -> Iterator[int]:
    """Serve on a loopback port, within the block."""
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
