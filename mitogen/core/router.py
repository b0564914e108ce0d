"""Addressing: which stream leads to a context, which function reads a mailbox."""

import os
import sys
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from mitogen.core import frames, handles
from mitogen.core.broker import Broker
from mitogen.core.errors import ChannelError, PayloadError, TimeoutError
from mitogen.core.frames import Frame
from mitogen.core.log import Logger
from mitogen.core.messages import Message, Receiver, pack_value
from mitogen.core.payload import ContextRef

LOG = Logger('mitogen.router')

#: Anyone in the tree may write to a handler with this source; only parents, by default, to a numbered one.
ANYONE, PARENTS = -1, -2

#: What the script that the master runs is called elsewhere; there, too, its `__name__` is not ``__main__``.
MAIN = '__mitogen_main__'

#: Longest message from below to a numbered mailbox: what is there is decoded in the broker's thread, which others want.
MAX_REQUEST = 1 << 18

#: Of one neighbour and all behind it, so many are named for each kind of offence.
MAX_OFFENDERS = 10


class Context:
    """A Python process in the tree.

    :param router: the router of this process.
    :param context_id: its ID.
    :param name: for messages to people.
    """

    def __init__(self, router: 'Router', context_id: int, name: str = '') -> None:
        self.router = router
        self.context_id = context_id
        self.name = name or 'context %d' % context_id
        #: What is known of its interpreter, where it was opened.
        self.info: Dict[str, Any] = {}
        #: The context that is its parent, where it was opened; None for a child of this process.
        self.via: Optional[Context] = None

    def __repr__(self) -> str:
        return '<Context %d %s>' % (self.context_id, self.name)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Context) and other.context_id == self.context_id and other.router is self.router

    def __hash__(self) -> int:
        return hash((id(self.router), self.context_id))

    def __wire_ref__(self) -> ContextRef:
        return ContextRef(self.context_id, self.name)

    def send(self, handle: int, value: Any, reply_to: int = 0) -> None:
        """Send `value` to a mailbox there."""
        self.router.send(self.context_id, handle, value, reply_to)

    def ask(self, handle: int, value: Any, persist: bool = True) -> Receiver:
        """Send `value` to a mailbox there; answers, or one if not `persist`, arrive at the returned receiver."""
        receiver = Receiver(self.router, source=self.context_id, persist=persist)
        try:
            self.send(handle, value, receiver.handle)
        except BaseException:
            receiver.close()
            raise
        return receiver

    def call_async(self, func: Any, *args: Any, **kwargs: Any) -> Receiver:
        """Start a call there; its result, or its exception, arrives at the returned receiver.

        Calls are made one after the other, in the context's main thread.

        :param func: a function or class method that can be imported by its
            module and name, not a lambda or a nested one.
        :raises PayloadError: an argument may not cross the wire.
        """
        return self.ask(handles.CALL_FUNCTION, _call_spec(func, args, kwargs), persist=False)

    def call(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function there and return its result.

        :param mitogen_timeout: by keyword: seconds to wait, by default for
            ever. After that the call is cancelled.
        :raises CallError: the function raised.
        :raises ChannelError: the context is gone.
        :raises TimeoutError: no answer in time.
        """
        timeout = kwargs.pop('mitogen_timeout', None)
        receiver = self.call_async(func, *args, **kwargs)
        try:
            return receiver.get(timeout)
        except (TimeoutError, KeyboardInterrupt):
            self.cancel(receiver)
            raise
        finally:
            receiver.close()

    def cancel(self, receiver: Receiver) -> None:
        """End the call whose answer `receiver` waits for: the answer becomes a CallError for `Cancelled`.

        A call that has not begun is not made. One that runs in the context's
        main thread has :class:`mitogen.core.Cancelled` raised in it.
        """
        self.send(handles.CANCEL_CALL, receiver.handle)

    def call_no_reply(self, func: Any, *args: Any, **kwargs: Any) -> None:
        """Call a function there and forget it; what it raises is logged."""
        self.send(handles.CALL_FUNCTION, _call_spec(func, args, kwargs))

    def shutdown(self, wait: bool = False, timeout: float = 5.0) -> None:
        """Ask the context to end, with all below it.

        :param wait: return only when it is gone. If it does not end by
            itself, its parent ends it.
        :param timeout: how many seconds it has for that.
        """
        gone = Receiver(self.router, source=self.context_id)
        try:
            self.send(handles.SHUTDOWN, None)
            if wait:
                try:
                    gone.get_message(timeout)
                except TimeoutError:
                    self.router.drop(self)
                    gone.get_message(timeout)
        finally:
            gone.close()


def _call_spec(func: Any, args: Any, kwargs: Any) -> List[Any]:
    module, name = func.__module__, func.__qualname__
    if '<' in name:
        raise PayloadError('%s.%s cannot be called elsewhere: it has no importable name' % (module, name))
    if module == '__main__':
        spec: Any = sys.modules[module].__spec__
        # "python -m package.module" has a true name, that of a folder or zip file is no module's.
        module = MAIN if spec is None or spec.name.endswith('__main__') else spec.name
    return [module, name, list(args), kwargs]


def check_not_importing_main() -> None:
    """Refuse to start a tree in a child which imports the script that started the tree it is part of.

    :raises RuntimeError: this is such a child.
    """
    spec = getattr(sys.modules.get(MAIN), '__spec__', None)
    if getattr(spec, '_initializing', False):
        raise RuntimeError('a script whose functions are called elsewhere is imported there: '
                           'what it does when it is run belongs under "if __name__ == \'__main__\':"')


class Router:
    """Deliver frames: to a mailbox of this process, or to the stream that leads to their context.

    From below, a frame may only go to this process or further up: it is
    checked that its source lies behind the stream it came from, it acts on
    that context's own authority, and it may write only to mailboxes that are
    meant for it. From above, everything is taken.

    :param broker: the broker whose thread delivers.
    :param context_id: ID of this process; 0 is the root of the tree.
    """

    def __init__(self, broker: Broker, context_id: int = 0) -> None:
        self.broker = broker
        self.context_id = context_id
        #: The stream to the parent, None at the root.
        self.upstream: Any = None
        #: Configuration that every context of the tree gets.
        self.tree_config: Dict[str, Any] = {}
        #: What a process with children keeps of them: a :class:`mitogen.parent.routes.Routes`.
        self.routes: Any = None
        self._streams: Dict[int, Any] = {}
        self._handlers: Dict[int, Tuple[Callable[[Message], Any], int, bool]] = {}
        self._contexts: Dict[int, Context] = {}
        self._listeners: Dict[int, List[Callable[[int, str], None]]] = {}
        self._offenders: Dict[Any, Dict[str, Set[int]]] = {}
        broker.at_end.append(self._on_broker_end)

    def __repr__(self) -> str:
        return '<Router of context %d>' % self.context_id

    def add_handler(self, func: Callable[[Message], Any], handle: Optional[int] = None, persist: bool = True,
                    source: Optional[int] = None) -> int:
        """Call ``func(message)``, in the broker's thread, for each message to a mailbox.

        :param handle: the mailbox; by default a new one, whose number cannot be guessed.
        :param persist: whether it takes more than one message.
        :param source: ID of the only context that may write there; it gets a
            DEAD message when that context goes. By default :data:`ANYONE` for
            a new mailbox, :data:`PARENTS` for a given one.
        :returns: the mailbox's number.
        """
        if source is None:
            source = ANYONE if handle is None else PARENTS
        new = handle is None
        while handle is None or new and handle in self._handlers:
            handle = handles.FIRST_FREE + (int.from_bytes(os.urandom(4), 'big') >> 1)
        self._handlers[handle] = func, source, persist
        # A mailbox for a context that is gone already must not wait for ever.
        if source >= 0 and self.stream_to(source) is None and source != self.context_id:
            self.broker.defer(self._deliver_dead, handle, source, self._gone(source))
        return handle

    def del_handler(self, handle: int) -> None:
        """Forget a mailbox; messages to it are dropped."""
        self._handlers.pop(handle, None)

    def _gone(self, context_id: int) -> str:
        return '%s is gone' % self.name_of(context_id)

    def name_of(self, context_id: int) -> str:
        """Return what a context is called, whether or not it is known here."""
        return (self._contexts.get(context_id) or Context(self, context_id)).name

    def context_for(self, context_id: int, name: str = '') -> Context:
        """Return the object for a context, made when there is none yet."""
        return self._contexts.get(context_id) or self._contexts.setdefault(
            context_id, Context(self, context_id, name))

    def context_of(self, ref: ContextRef) -> Context:
        """Return the object for a reference. It is not kept: names and numbers may be made up."""
        return self._contexts.get(ref.context_id) or Context(self, ref.context_id, ref.name)

    def stream_to(self, context_id: int) -> Any:
        """Return the stream that leads to a context, None if none does."""
        stream: Any = self._streams.get(context_id)
        return self.upstream if stream is None and context_id != self.context_id else stream

    def register(self, context_id: int, stream: Any, announce: bool = True) -> None:
        """From now on `stream` leads to the context, which the parent is told. Broker thread only."""
        self._streams[context_id] = stream
        if announce and self.upstream is not None:
            self.send(self.upstream.remote_id, handles.ADD_ROUTE, context_id)

    def preload(self, context: Context, names: Any) -> None:
        """Send modules that a context is about to import, where this router has a source of modules."""

    def drop(self, context: Context) -> None:
        """Have a context that does not answer ended by its parent; for a process with children."""
        self.routes.drop(context)

    def on_context_lost(self, context_id: int, func: Callable[[int, str], None]) -> None:
        """Call ``func(context_id, reason)``, in the broker's thread, when the context is gone."""
        self._listeners.setdefault(context_id, []).append(func)

    def send(self, dst: int, handle: int, value: Any, reply_to: int = 0) -> None:
        """Send `value` to a mailbox of a context; from any thread.

        :raises PayloadError: `value` may not cross the wire.
        :raises FrameError: it is too large for one message.
        """
        kind, data = pack_value(value)
        self.send_packed(dst, handle, kind, data, reply_to)

    def send_packed(self, dst: int, handle: int, kind: int, data: bytes, reply_to: int = 0) -> None:
        """Send what :func:`mitogen.core.messages.pack_value` returned."""
        self.route(Frame(dst, self.context_id, self.context_id, handle, reply_to, kind, data))

    def send_dead(self, dst: int, handle: int, reason: str) -> None:
        """Tell the reader of a mailbox that nothing more comes."""
        self.send_packed(dst, handle, frames.DEAD, reason.encode())

    def route(self, frame: Frame) -> None:
        """Send a frame that was made here; from any thread.

        :raises ChannelError: the broker has ended.
        """
        if self.broker.ended:
            raise ChannelError('the broker has ended')
        stream = self.stream_to(frame.dst)
        if stream is None:
            self.broker.defer(self._route, frame, None)
        else:
            stream.send(frame)

    def receive(self, frame: Frame, stream: Any) -> None:
        """Take a frame from a neighbour. Broker thread only."""
        neighbour: int = stream.remote_id
        if stream is self.upstream:
            self._route(frame, stream)
        elif self._streams.get(frame.src) is not stream:
            self.complain(neighbour, 'sent a message in the name of another context')
        elif frame.dst != self.context_id and frame.dst in self._streams:
            self.complain(neighbour, 'sent a message to a context that is not above it')
        else:
            self._route(frame if frame.auth == frame.src else frame._replace(auth=frame.src), stream)

    def complain(self, context_id: int, what: str, detail: str = '') -> None:
        """Log once per context and kind of offence that it broke the protocol."""
        known = self._offenders.setdefault(self.stream_to(context_id), {}).setdefault(what, set())
        if context_id not in known and len(known) < MAX_OFFENDERS:
            known.add(context_id)
            LOG.error('%s %s%s; dropped, and will not be mentioned again', self.name_of(context_id), what, detail)

    def _route(self, frame: Frame, came_from: Any) -> None:
        if frame.dst == self.context_id:
            self._deliver(frame, came_from)
            return
        stream = self.stream_to(frame.dst)
        if stream is None or stream is came_from:
            self._reply_dead(frame, self._gone(frame.dst))
        else:
            stream.send(frame)

    def _reply_dead(self, frame: Frame, reason: str) -> None:
        if frame.reply_to and frame.kind != frames.DEAD:
            self.route(Frame(frame.src, self.context_id, self.context_id, frame.reply_to, 0,
                             frames.DEAD, reason.encode()))

    def _deliver(self, frame: Frame, came_from: Any) -> None:
        from_above = came_from is None or came_from is self.upstream
        func, source, persist = self._handlers.get(frame.handle, (None, ANYONE, True))
        if func is None:
            if not from_above and frame.handle < handles.FIRST_FREE:
                self.complain(frame.src, 'wrote to a mailbox that does not exist', ' (%d)' % frame.handle)
            self._reply_dead(frame, 'there is no mailbox %d' % frame.handle)
            return
        allowed = from_above if source == PARENTS else source in (ANYONE, frame.src)
        # Who routes for a context may tell of its death.
        if not allowed and not (frame.kind == frames.DEAD and from_above):
            self.complain(frame.src, 'wrote to a mailbox that is not for it', ' (%d)' % frame.handle)
            return
        if not from_above and frame.handle < handles.FIRST_FREE and len(frame.payload) > MAX_REQUEST:
            self.complain(frame.src, 'sent more than a mailbox takes', ' (%d)' % frame.handle)
            return
        if not persist:
            self.del_handler(frame.handle)
        try:
            func(Message(self, frame, from_above))
        except Exception as exc:
            if from_above:
                LOG.exception('%r failed on a message from context %d', func, frame.src)
            else:
                self.complain(frame.src, 'sent a message that could not be taken',
                              ' (mailbox %d: %.200s)' % (frame.handle, exc))

    def _deliver_dead(self, handle: int, source: int, reason: str) -> None:
        if self._handlers.get(handle, (None, ANYONE))[1] == source:
            self._deliver(Frame(self.context_id, source, self.context_id, handle, 0, frames.DEAD,
                                reason.encode()), None)

    def disconnected(self, stream: Any, reason: str) -> None:
        """A neighbour is gone: so is all that lay behind it. Broker thread only."""
        if self.routes is not None:
            self.routes.forget(stream)
        self._offenders.pop(stream, None)
        for context_id in [number for number, other in self._streams.items() if other is stream]:
            self.lose(context_id, reason)

    def _on_broker_end(self) -> None:
        for handler in self._handlers.copy().values():
            receiver = getattr(handler[0], '__self__', None)
            if isinstance(receiver, Receiver):
                receiver.close('the broker has ended')

    def lose(self, context_id: int, reason: str) -> None:
        """Forget the way to a context and tell all who wait for it. Broker thread only."""
        if self._streams.pop(context_id, None) is None:
            return
        text = '%s: %s' % (self._gone(context_id), reason) if reason else self._gone(context_id)
        for handle, handler in self._handlers.copy().items():
            if handler[1] == context_id:
                self._deliver_dead(handle, context_id, text)
        for func in self._listeners.pop(context_id, ()):
            func(context_id, reason)
        self._contexts.pop(context_id, None)
        if self.upstream is not None:
            self.send(self.upstream.remote_id, handles.DEL_ROUTE, [context_id, reason])
