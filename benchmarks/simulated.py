"""Any number of hosts in one process: it speaks the wire protocol for all of them, and answers at once.

    python -m benchmarks.simulated SOCKET          serve
    python simulated.py --ssh SOCKET               hand stdin and stdout over to the one that serves

The second form stands in for the ssh client: its pipes become a host. So what is measured is the controller alone, its
multiplexer included; no target takes part. Modules have not run: each answer is that of a `command` that succeeded.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

#: What a `command` module prints, about as long as the true thing.
OUTPUT = json.dumps({
    'changed': True, 'stdout': 'simulated', 'stderr': '', 'rc': 0, 'cmd': ['echo', 'simulated'], 'msg': '',
    'start': '2000-01-01 00:00:00.000000', 'end': '2000-01-01 00:00:00.001000', 'delta': '0:00:00.001000',
    'invocation': {'module_args': {'_raw_params': 'echo simulated', '_uses_shell': False, 'argv': None}}}).encode()

_READ = 1 << 18


def be_ssh(path: str) -> int:
    """Hand stdin and stdout to the process that serves at `path`.

    It ends at once: thousands of waiting processes would be what is measured. Whoever started it sees the end of the
    host when the other one closes the descriptors.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        socket.send_fds(sock, [b'h'], [0, 1])
        # Until they have arrived.
        sock.recv(1)
    return 0


class SimulatedHost:
    """The far side of one connection: an agent and its zygote. No I/O here.

    :param parser: cuts the stream into frames.
    """

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._head = b''
        self._config: dict[str, Any] | None = None
        self.ended = False

    def greeting(self) -> bytes:
        """Return what a starting child says first."""
        version, executable = list(sys.version_info[:3]), '/usr/bin/python3'
        return b'MITOGEN-1 ' + json.dumps([version, executable, 'python3', os.getpid(), 1000]).encode() + b'\n'

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Take what the controller says, and yield the answers."""
        if self._config is None:
            self._head += received
            received = self._take_config()
        if self._config is not None:
            for frame in self._parser.feed(received):
                yield from self._answer(frame)

    def _take_config(self) -> bytes:
        """Return what follows the code and the configuration, as soon as all of that is there."""
        blocks: list[bytes] = []
        at, wanted = 0, 2
        while len(blocks) < wanted:
            size = self._head[at:at + 8]
            end = at + 8 + int(size or b'0')
            if len(size) < 8 or len(self._head) < end:
                return b''
            blocks.append(self._head[at + 8:end])
            at = end
            if len(blocks) == 2:
                # The code of the zygote comes behind it.
                wanted += bool(json.loads(blocks[1]).get('zygote_id'))
        self._config = json.loads(blocks[1])
        return self._head[at:]

    def _answer(self, frame: Any) -> Iterator[bytes]:
        from mitogen.core import handles, payload
        if frame.handle == handles.SHUTDOWN:
            self.ended = True
        elif frame.handle == handles.RUN:
            job = payload.decode(frame.payload)
            yield self._reply(frame, frame.dst, {
                'job': job['job'], 'rc': 0, 'stdout': OUTPUT, 'stderr': b'', 'stdout_streamed': 0,
                'stderr_streamed': 0, 'ms': 0.0, 'imported': [], 'accounts': 0})
        elif frame.handle == handles.CALL_FUNCTION and frame.reply_to:
            _module, function, args, _named = payload.decode(frame.payload)
            yield self._reply(frame, frame.dst, _call(function, args))

    @staticmethod
    def _reply(frame: Any, source: int, value: Any) -> bytes:
        from mitogen.core import frames, payload
        packed: bytes = frames.pack(frames.Frame(frame.src, source, source, frame.reply_to, 0, frames.DATA,
                                                 payload.encode(value)))
        return packed


def _call(function: str, args: list[Any]) -> Any:
    """Return what a function called on the target would."""
    if function == 'home_of':
        return ['/home/' + (args[0] or 'simulated'), 0]
    # Another name of the interpreter that runs it.
    return True if function == 'is_own' else []


class Server:
    """Serves hosts until it is killed.

    :param path: the UNIX socket to listen on.
    """

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(1024)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> None:
        """Never return."""
        while True:
            for key, _events in self._selector.select():
                key.data()

    def _accept(self) -> None:
        from mitogen.core.frames import FrameParser
        client, _ = self._listener.accept()
        _, fds, _, _ = socket.recv_fds(client, 1, 2)
        client.close()
        host = SimulatedHost(FrameParser())
        os.write(fds[1], host.greeting())
        self._selector.register(fds[0], selectors.EVENT_READ, self._reader(fds[0], fds[1], host))

    def _reader(self, read_fd: int, write_fd: int, host: SimulatedHost) -> Callable[[], None]:
        def read() -> None:
            received = b''
            with contextlib.suppress(OSError):
                received = os.read(read_fd, _READ)
            try:
                for answer in host.feed(received):
                    _write(write_fd, answer)
            except OSError:
                received = b''
            if not received or host.ended:
                self._selector.unregister(read_fd)
                os.close(read_fd)
                os.close(write_fd)
        return read


def _write(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content):]


if __name__ == '__main__':
    if sys.argv[1] == '--ssh':
        sys.exit(be_ssh(sys.argv[2]))
    Server(sys.argv[1]).serve()
