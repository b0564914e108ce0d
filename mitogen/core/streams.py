"""Streams: what is polled, and what its bytes mean."""

import os
import threading
from collections import deque
from typing import Any, Callable, Deque, List, Optional

from mitogen.core import frames, handles
from mitogen.core.errors import FrameError
from mitogen.core.log import Logger
from mitogen.core.sides import BasicStream, Side

LOG = Logger('mitogen.stream')

#: Most bytes handed to one write.
WRITE_SIZE = 262144

#: While more bytes than this wait for a neighbour to read them, nothing is taken that would add to them.
MAX_PENDING = 32 * 1024 * 1024

#: What a frame that waits takes in memory besides its bytes, about.
OVERHEAD = 100

#: A line longer than this is cut: a program that prints no newline cannot fill memory, and a record of it is taken.
MAX_LINE = 8192

#: What a child prints is logged at this level: that of logging.INFO.
PRINTED = 20

CLOSED = 'the connection was closed'


class Stream(BasicStream):
    """Speak the message protocol to a neighbour context.

    :param router: gets the frames that arrive.
    :param remote_id: the neighbour's ID.
    :param read_fd: where frames come from; None if :meth:`accept` is to tell.
    :param write_fd: where frames go to; may be the same descriptor.
    :param name: for messages to people.
    """

    def __init__(self, router: Any, remote_id: int, read_fd: Optional[int] = None, write_fd: Optional[int] = None,
                 name: str = '') -> None:
        self.router = router
        self.remote_id = remote_id
        self.name = name or 'context %d' % remote_id
        #: Called once, with the reason, when the stream is gone.
        self.on_gone: Optional[Callable[[str], None]] = None
        self._parser = frames.FrameParser()
        self._queue: Deque[Any] = deque()
        self._queued = 0
        self._drained: List[Callable[[], None]] = []
        self._writing = threading.Lock()
        self._blocked = False
        if read_fd is not None and write_fd is not None:
            self.accept(read_fd, write_fd)

    def __repr__(self) -> str:
        return '<Stream to %s>' % self.name

    def accept(self, read_fd: int, write_fd: int) -> None:
        """Take the descriptors."""
        self.receive_side = Side(self, read_fd)
        self.transmit_side = self.receive_side if read_fd == write_fd else Side(self, write_fd)

    @property
    def pending_bytes(self) -> int:
        """How many bytes of memory wait for the neighbour to take them, about."""
        return self._queued + OVERHEAD * len(self._queue)

    def when_drained(self, func: Callable[[], None]) -> bool:
        """Tell whether too much waits for the neighbour, and if so call `func` when it has taken half of it.

        Broker thread only.
        """
        too_much = self._blocked and self.pending_bytes > MAX_PENDING
        if too_much:
            self._drained.append(func)
        return too_much

    def on_receive(self, broker: Any) -> None:
        data = self.receive_side.read()
        if data:
            self.take(broker, data)
        elif data is not None:
            if self._parser.pending:
                LOG.error('%s was cut off within a message', self.name)
            self.lost(broker, 'it was cut off within a message' if self._parser.pending else CLOSED)

    def take(self, broker: Any, data: bytes) -> None:
        """Take bytes that came from the neighbour. Broker thread only."""
        try:
            self.deliver(broker, self._parser.feed(data))
        except FrameError as exc:
            LOG.error('%s broke the protocol (%s); its connection is closed', self.name, exc)
            self.close(broker, 'it broke the protocol: %s' % exc)

    def deliver(self, broker: Any, arrived: List[frames.Frame]) -> None:
        """Hand frames to the router."""
        for frame in arrived:
            self.router.receive(frame, self)

    def send(self, frame: frames.Frame) -> None:
        """Send a frame; from any thread, in order.

        :raises FrameError: it is too large.
        """
        packed = frames.pack(frame)
        self._queue.append(packed)
        # Two threads at once may count one of theirs only: whoever empties the queue begins anew.
        self._queued += len(packed)
        self._flush()

    def _flush(self) -> None:
        # Who finds the lock taken leaves the frame to its owner, who looks again after having released it.
        while self._queue and not self._blocked and self._writing.acquire(False):
            try:
                self._write()
            finally:
                self._writing.release()
        if self._drained and not self._queue:
            self.router.broker.defer(self._tell_drained)

    def _tell_drained(self) -> None:
        if self._drained and self.pending_bytes < MAX_PENDING // 2:
            drained, self._drained = self._drained, []
            for func in drained:
                func()

    def _write(self) -> None:
        """Write what fits. Owner of the lock only."""
        if not self._queue or self._blocked:
            return
        chunk = self._queue.popleft()
        size = len(chunk)
        if self._queue:
            chunks = [chunk]
            while self._queue and size + len(self._queue[0]) <= WRITE_SIZE:
                chunks.append(self._queue.popleft())
                size += len(chunks[-1])
            chunk = b''.join(chunks)
        written = self.transmit_side.write(chunk)
        if written is None:
            self._queue.clear()
            # Reading tells the reason, and takes what the neighbour said last.
            if self.receive_side is self.transmit_side or self.receive_side.closed:
                self.router.broker.defer(self.lost, self.router.broker, CLOSED)
            return
        self._queued = self._queued - written if self._queue or written < size else 0
        if written < size:
            self._queue.appendleft(memoryview(chunk)[written:])
            self._blocked = True
            self.router.broker.defer(self.router.broker.start_transmit, self)

    def on_transmit(self, broker: Any) -> None:
        """Write what fits, and poll while something is left."""
        self._blocked = False
        self._flush()
        if not self._blocked:
            broker.stop_transmit(self)
        self._tell_drained()

    def keeps_broker(self) -> bool:
        return bool(self._queue) and not self.transmit_side.closed

    def on_shutdown(self, broker: Any) -> None:
        """Stay until the loop ends: what is still to be said goes this way."""

    def on_disconnect(self, broker: Any) -> None:
        self.close(broker, CLOSED)

    def lost(self, broker: Any, reason: str) -> None:
        """The neighbour went away."""
        self.close(broker, reason)

    def close(self, broker: Any, reason: str) -> None:
        """Close the stream, once, and tell the router that all behind it is gone. Broker thread only."""
        with self._writing:
            if self.receive_side.closed and self.transmit_side.closed:
                return
            super().on_disconnect(broker)
            self._queue.clear()
        self.router.disconnected(self, reason)
        if self.on_gone is not None:
            self.on_gone(reason)


class LineStream(BasicStream):
    """Call a function with each line that a descriptor delivers.

    :param fd: read until its end, then closed.
    :param on_line: takes a line as text, without its end.
    """

    def __init__(self, broker: Any, fd: int, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b''
        self.receive_side = Side(self, fd, keep_alive=False)
        broker.defer(broker.start_receive, self)

    def on_receive(self, broker: Any) -> None:
        data = self.receive_side.read(MAX_LINE)
        if data is None:
            return
        lines: List[bytes] = (self._rest + data).split(b'\n')
        self._rest = lines.pop()
        if not data or len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = b''
        for line in lines:
            if line.strip():
                self._on_line(line.decode('utf-8', 'replace').rstrip())
        if not data:
            self.on_disconnect(broker)


class IoLogger(LineStream):
    """Turn what is written to a child's stdout or stderr into log records at the master.

    The descriptor is replaced by a pipe; what the program, its libraries and
    what they start print arrives at the master as records, a line each.

    :param router: the router of this process.
    :param name: ``stdout`` or ``stderr``: the records' logger.
    :param fd: the descriptor to replace.
    """

    def __init__(self, router: Any, name: str, fd: int) -> None:
        self._router, self._name = router, name
        read_fd, write_fd = os.pipe()
        os.dup2(write_fd, fd, inheritable=True)
        if write_fd != fd:
            os.close(write_fd)
        super().__init__(router.broker, read_fd, self._forward)

    def _forward(self, line: str) -> None:
        if self._router.tree_config.get('log_level', PRINTED) <= PRINTED:
            self._router.send(0, handles.FORWARD_LOG, [self._name, PRINTED, line])
