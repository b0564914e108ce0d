"""Cutting the byte stream between two contexts into frames. No I/O here."""

import struct
from typing import List, NamedTuple

from mitogen.core.errors import FrameError

#: First bytes of every frame: tells a peer that speaks the protocol from one that prints.
MAGIC = 0x4D47

#: Largest payload, in bytes. The largest legitimate one is a batch of module sources or a
#: file chunk (128 KiB) with its envelope: anything over this is a broken or hostile peer.
MAX_PAYLOAD = 1 << 20

#: Kinds of payload: bytes as they are; typed data; an error; the end of a mailbox.
RAW, DATA, ERROR, DEAD = range(4)

_HEADER = struct.Struct('>HBxIIIIII')
HEADER_SIZE = _HEADER.size

Frame = NamedTuple('Frame', [
    ('dst', int), ('src', int), ('auth', int), ('handle', int), ('reply_to', int),
    ('kind', int), ('payload', bytes),
])
Frame.__doc__ = """One message on the wire.

`dst` and `src` are context IDs. `auth` is the ID of the context on whose authority the
message acts: it is stamped by whoever first received it from below, never trusted from
there. `handle` is the mailbox at `dst`, `reply_to` the mailbox at `src` for the answer, or 0.
"""


def pack(frame: Frame) -> bytes:
    """Return the bytes of `frame`.

    :raises FrameError: the payload is over :data:`MAX_PAYLOAD`, or a number does not fit.
    """
    size = len(frame.payload)
    if size > MAX_PAYLOAD:
        raise FrameError('payload of %d bytes is over the limit of %d' % (size, MAX_PAYLOAD))
    try:
        return _HEADER.pack(MAGIC, frame.kind, frame.dst, frame.src, frame.auth,
                            frame.handle, frame.reply_to, size) + frame.payload
    except struct.error as exc:
        raise FrameError('cannot send %r: %s' % (frame[:6], exc)) from None


class FrameParser:
    """Cut a byte stream into frames.

    :param limit: largest payload accepted, in bytes.
    """

    def __init__(self, limit: int = MAX_PAYLOAD) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._error = ''

    @property
    def pending(self) -> int:
        """Bytes received that do not make a whole frame yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> List[Frame]:
        """Add `data` and return the frames it completes, in order.

        Frames that came whole before the fault are returned first; the fault
        is raised by this call if there are none, else by the next one.

        :raises FrameError: bad magic, an unknown kind, or a payload over the
            limit. The parser is then unusable: the stream must be closed.
        """
        frames: List[Frame] = []
        buf = self._buffer
        buf += data
        start, end = 0, len(buf)
        while not self._error and end - start >= HEADER_SIZE:
            magic, kind, dst, src, auth, handle, reply_to, size = _HEADER.unpack_from(buf, start)
            if magic != MAGIC:
                self._error = 'bad magic %#06x where a frame should start' % magic
            elif kind > DEAD:
                self._error = 'unknown payload kind %d' % kind
            elif size > self._limit:
                self._error = 'payload of %d bytes is over the limit of %d' % (size, self._limit)
            else:
                stop = start + HEADER_SIZE + size
                if stop > end:
                    break
                frames.append(Frame(dst, src, auth, handle, reply_to, kind,
                                    bytes(buf[start + HEADER_SIZE:stop])))
                start = stop
        del buf[:start]
        if self._error and not frames:
            raise FrameError(self._error)
        return frames
