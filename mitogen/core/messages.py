"""What contexts say to each other, and the mailboxes it arrives in."""

import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Iterator, Optional

from mitogen.core import frames, payload
from mitogen.core.errors import CallError, ChannelError, TimeoutError

#: A sender asks, about every so many bytes, to be told when they have been read, ...
MARK = 256 * 1024
#: ... and waits when so many of these questions are unanswered.
MARKS = 4

#: Most bytes from one neighbour that a mailbox keeps unread; senders of ours stay far below.
MAX_UNREAD = 16 * 1024 * 1024

#: What a message takes in memory besides its payload, about.
OVERHEAD = 400


class Message:
    """A frame, with its payload understood.

    :param router: the router it arrived at, which sends replies; None for one made here.
    :param frame: the :class:`mitogen.core.frames.Frame`.
    :param from_above: whether it came from a parent, or from this context itself.
    """

    __slots__ = ('router', 'frame', 'from_above')

    def __init__(self, router: Any, frame: frames.Frame, from_above: bool = False) -> None:
        self.router = router
        self.frame = frame
        self.from_above = from_above

    dst_id = property(lambda self: self.frame.dst, doc='ID of the context that it is for.')
    src_id = property(lambda self: self.frame.src, doc='ID of the context that sent it.')
    auth_id = property(lambda self: self.frame.auth, doc='ID of the context on whose authority it acts.')
    handle = property(lambda self: self.frame.handle, doc='The mailbox that it is for.')
    reply_to = property(lambda self: self.frame.reply_to, doc="The sender's mailbox for an answer, or 0.")
    kind = property(lambda self: self.frame.kind, doc='What the payload is; see :mod:`mitogen.core.frames`.')
    data = property(lambda self: self.frame.payload, doc='The payload as it came.')
    is_dead = property(lambda self: self.frame.kind == frames.DEAD,
                       doc='Whether it tells that a mailbox or context is gone.')

    def __repr__(self) -> str:
        return '<Message %d->%d handle %d, %d bytes>' % (self.src_id, self.dst_id, self.handle, len(self.data))

    def decode(self) -> Any:
        """Return what the payload says.

        :raises CallError: it is an error from the other side.
        :raises ChannelError: the other side is gone, or closed the mailbox.
        :raises PayloadError: it is malformed.
        """
        kind, data = self.frame.kind, self.frame.payload
        if kind == frames.RAW:
            return data
        if kind == frames.DEAD:
            raise ChannelError(data.decode('utf-8', 'replace'))
        value = payload.decode(data)
        if kind == frames.ERROR:
            raise CallError(*[str(part) for part in (list(value) + [''] * 3)[:3]])
        if b'"!":["h",' in data or b'"!":["c",' in data:
            return _restore(self.router, value)
        return value

    def reply(self, value: Any) -> None:
        """Send `value`, or an exception, to the sender's reply mailbox, if it named one."""
        if self.frame.reply_to:
            self.router.send(self.frame.src, self.frame.reply_to, value)


def _restore(router: Any, value: Any) -> Any:
    """Turn references in lists, tuples and dicts into live objects."""
    kind = type(value)
    if kind is list:
        return [_restore(router, item) for item in value]
    if kind is dict:
        return {key: _restore(router, item) for key, item in value.items()}
    if kind is tuple:
        return tuple([_restore(router, item) for item in value])
    if kind is payload.MailboxRef:
        return Sender(router, value.context_id, value.handle)
    if kind is payload.ContextRef:
        return router.context_of(value)
    return value


def pack_value(value: Any) -> Any:
    """Return (kind, payload bytes) that carry `value`: bytes raw, exceptions as text, else typed data."""
    if isinstance(value, bytes):
        return frames.RAW, value
    if isinstance(value, CallError):
        return frames.ERROR, payload.encode([value.type_name, value.message, value.traceback])
    if isinstance(value, BaseException):
        import traceback
        kind = type(value)
        name = kind.__name__ if kind.__module__ == 'builtins' else '%s.%s' % (kind.__module__, kind.__name__)
        text = ''.join(traceback.format_exception(kind, value, value.__traceback__))
        return frames.ERROR, payload.encode([name, str(value), text[-65536:]])
    return frames.DATA, payload.encode(value)


class Sender:
    """The writing end of a mailbox in another context; may itself be sent to a third one.

    When much of what was sent has not been read yet, :meth:`send` waits. For one thread at a time.
    """

    def __init__(self, router: Any, context_id: int, handle: int) -> None:
        self.router = router
        self.context_id = context_id
        self.handle = handle
        self._unmarked = 0
        self._marks = 0
        self._acks: Optional[Receiver] = None

    def __repr__(self) -> str:
        return '<Sender to %d:%d>' % (self.context_id, self.handle)

    def __wire_ref__(self) -> payload.MailboxRef:
        return payload.MailboxRef(self.context_id, self.handle)

    def send(self, value: Any, reply_to: int = 0, timeout: Optional[float] = None) -> None:
        """Send `value`; bytes go as they are.

        :param reply_to: a mailbox here for an answer.
        :param timeout: seconds to wait for the reader to catch up; by default for ever.
        :raises ChannelError: the reader is gone.
        :raises TimeoutError: the reader did not catch up; `value` was not sent.
        """
        if self._acks is not None:
            while self._marks and (not self._acks.empty() or self._marks >= MARKS):
                self._acks.get(timeout)
                self._marks -= 1
        kind, data = pack_value(value)
        self._unmarked += len(data) + OVERHEAD
        if self._unmarked >= MARK and not reply_to and not self.router.broker.is_current():
            if self._acks is None:
                self._acks = Receiver(self.router, source=self.context_id)
            self._unmarked, self._marks, reply_to = 0, self._marks + 1, self._acks.handle
        self.router.send_packed(self.context_id, self.handle, kind, data, reply_to)

    def close(self) -> None:
        """Tell the reader that nothing more comes."""
        if self._acks is not None:
            self._acks.close()
        self.router.send_dead(self.context_id, self.handle, 'the sender closed the channel')


class Receiver:
    """The reading end of a mailbox.

    :param router: the router of this process.
    :param handle: its number; by default a new one.
    :param source: ID of the only context whose messages are taken; when that
        context goes, readers get :class:`ChannelError`.
    :param notify: called without arguments, in the broker's thread, after each arrival.
    :param persist: whether it takes more than one message.
    """

    def __init__(self, router: Any, handle: Optional[int] = None, source: Optional[int] = None,
                 notify: Optional[Callable[[], None]] = None, persist: bool = True) -> None:
        self.router = router
        self.notify = notify
        self._messages: Deque[Message] = deque()
        self._unchecked = 0
        self._waiters: Deque[Any] = deque()
        self._closed: Optional[str] = None
        self.handle = router.add_handler(self._arrived, handle, persist, source)

    def __repr__(self) -> str:
        return '<Receiver %d>' % self.handle

    def _arrived(self, message: Message) -> None:
        self._messages.append(message)
        self._unchecked += len(message.frame.payload) + OVERHEAD
        if self._unchecked > MAX_UNREAD:
            self._check(message.src_id)
        self._wake()
        if self.notify is not None:
            self.notify()

    def _check(self, source: int) -> None:
        """Close the mailbox if a neighbour, or one behind it, fills it faster than it is read, and never waits."""
        self._unchecked = 0
        lead, stream = self.router.stream_to, self.router.stream_to(source)
        held = sum(len(message.data) + OVERHEAD for message in self._messages.copy()
                   if lead(message.src_id) is stream and not message.from_above)
        if held > MAX_UNREAD:
            self.router.complain(source, 'filled a mailbox faster than it is read')
            self._messages.clear()
            self.close('context %d sent more than is kept unread' % source)

    def _wake(self) -> None:
        try:
            self._waiters.popleft().release()
        except IndexError:
            return

    def empty(self) -> bool:
        """Whether :meth:`get` would wait."""
        return not self._messages and self._closed is None

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed is not None and not self._messages

    def to_sender(self) -> Sender:
        """A :class:`Sender` for this mailbox, to be passed to another context."""
        return Sender(self.router, self.router.context_id, self.handle)

    def get_message(self, timeout: Optional[float] = None) -> Message:
        """Wait for a message and return it undecoded.

        :param timeout: seconds; None for ever.
        :raises TimeoutError: none came in time.
        :raises ChannelError: this receiver was closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        left = -1.0
        # No lock but the one that is waited for: a signal handler may interrupt this, and wait for another message.
        while True:
            try:
                return self._take()
            except IndexError:
                waiter = threading.Lock()
                waiter.acquire()
            if deadline is not None:
                if not left:
                    raise TimeoutError('no message within %s s' % timeout)
                left = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
            self._waiters.append(waiter)
            try:
                # What came before that has seen no waiter.
                if not self._messages and self._closed is None:
                    waiter.acquire(True, left)
            except BaseException:
                self._wake()
                raise
            finally:
                self._forget(waiter)

    def _take(self) -> Message:
        """Return the next message.

        :raises IndexError: there is none.
        :raises ChannelError: and none will come.
        """
        try:
            message = self._messages.popleft()
        except IndexError:
            if self._closed is not None:
                raise ChannelError(self._closed) from None
            raise
        if message.frame.kind == frames.DEAD:
            self._end(message.data.decode('utf-8', 'replace'))
        return message

    def _forget(self, waiter: Any) -> None:
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return

    def _end(self, reason: str) -> None:
        if self._closed is None:
            self._closed = reason
        while self._waiters:
            self._wake()
        if self.notify is not None:
            self.notify()

    def get(self, timeout: Optional[float] = None) -> Any:
        """Wait for a message and return what it says; raises as :meth:`get_message` and :meth:`Message.decode`.

        A sender that wants to know when it was read is told.
        """
        message = self.get_message(timeout)
        if message.frame.reply_to:
            message.reply(None)
        return message.decode()

    def __iter__(self) -> Iterator[Any]:
        """What messages say, until the mailbox is closed."""
        while True:
            try:
                yield self.get()
            except ChannelError:
                return

    def close(self, reason: str = 'the receiver was closed') -> None:
        """Take no more messages; who waits gets :class:`ChannelError`."""
        self.router.del_handler(self.handle)
        self._end(reason)


class Channel(Receiver):
    """A mailbox here and the writing end of one elsewhere, as one object.

    :param sender: the other side's mailbox.
    """

    def __init__(self, router: Any, sender: Sender, handle: Optional[int] = None) -> None:
        super().__init__(router, handle, source=sender.context_id)
        self.sender = sender

    def send(self, value: Any) -> None:
        """Send to the other side."""
        self.sender.send(value)

    def close(self, reason: str = 'the channel was closed') -> None:
        """Close both directions."""
        self.sender.close()
        super().close(reason)
