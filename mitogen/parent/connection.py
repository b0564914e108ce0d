"""Opening contexts: as children of this process, or through another context."""

import os
import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

from mitogen.core import frames, handles, payload
from mitogen.core.errors import Error
from mitogen.core.external import runs_in_thread, takes_econtext
from mitogen.core.log import Logger
from mitogen.core.messages import Receiver, Sender
from mitogen.core.router import Context
from mitogen.core.streams import LineStream, Stream
from mitogen.parent.bootstrap import Greeting, startup_bytes
from mitogen.parent.forwarder import Forwarder
from mitogen.parent.reaper import Reaper, end_children, exit_reason, has_ended, living_children, reap
from mitogen.parent.routes import Routes
from mitogen.parent.starting import ChildSpec, Dialogue, HopError, Start

__all__ = ['ChildSpec', 'ChildStream', 'Dialogue', 'HopError', 'PARENT_MODULES', 'become_parent', 'begin_via',
           'end_children', 'living_children', 'open_child', 'open_here', 'open_via']

LOG = Logger('mitogen.connection')

#: Seconds to wait for the exit status of a child that closed its stream, which tells why. Contexts close it by ending.
STATUS_DELAY = 0.3

#: Seconds that frames of one child are taken before it is the turn of others.
TURN = 0.02

#: Bytes of what a child printed before its greeting that are kept, for diagnosis, once it has started.
KEPT_NOISE = 4096

#: Seconds that opening through another context may take besides the new one's own deadline.
VIA_GRACE = 10.0


class ChildStream(Stream):
    """A stream that creates its child: it starts a process, bootstraps it, and sees it to its end.

    :param router: the router of this process.
    :param spec: what to start.
    :param context_id: the context's ID, to be followed by its zygote's; by default new ones.
    """

    def __init__(self, router: Any, spec: ChildSpec, context_id: Optional[int] = None) -> None:
        if context_id is None:
            context_id = router.routes.allocate_id(2)
        super().__init__(router, context_id, name=spec.name)
        self.spec = spec
        self.pid = 0
        self._arrived: Deque[frames.Frame] = deque()
        self._last_lines: Deque[str] = deque(maxlen=5)

    def start(self, dialogue: Optional[Dialogue] = None) -> Context:
        """Start the child, and return when it has greeted; blocks, so not in the broker's thread.

        :param dialogue: answers prompts; what it raises is raised here, and ends the child.
        :raises HopError: it could not be started.
        """
        spec, number = self.spec, self.remote_id
        zygote_id = number + 1 if spec.zygote else 0
        config = dict(self.router.tree_config, context_id=number, parent_id=self.router.context_id,
                      name=spec.name, zygote_id=zygote_id, **spec.config)
        # First: making the bundle takes a while, and the child's deadline counts from its start.
        bootstrap = startup_bytes(config)
        start = Start(spec)
        try:
            greeting = start.greet(bootstrap, dialogue)
            context: Context = self.router.context_for(number, spec.name)
            context.info = _context_info(greeting, zygote_id, start.parser.noise)
            if zygote_id:
                self.router.context_for(zygote_id, 'the zygote of %s' % spec.name)
            self.router.broker.call_sync(self._attach, start, [number] + [zygote_id] * bool(zygote_id))
        except BaseException:
            start.abandon(self.router.broker)
            raise
        return context

    def _attach(self, start: Start, numbers: List[int]) -> None:
        """Hand the child to the broker. Broker thread only."""
        broker = self.router.broker
        self.pid = start.pid
        self._ttys = [LineStream(broker, fd, self._keep_line) for fd in start.ttys[:1]]
        self._slaves = start.ttys[1:]
        self.accept(start.stdio, start.stdio)
        LineStream(broker, start.stderr, self._keep_line)
        for number in numbers:
            self.router.register(number, self)
        broker.start_receive(self)
        if start.parser.rest:
            self.take(broker, start.parser.rest)

    def _keep_line(self, line: str) -> None:
        self._last_lines.append(line)
        LOG.debug('%s: %s', self.name, line)

    def deliver(self, broker: Any, arrived: List[frames.Frame]) -> None:
        self._arrived.extend(arrived)
        self._hand_over()

    def _hand_over(self) -> None:
        """Hand frames to the router, unless answers wait to be read or it is the turn of others; then, later."""
        broker, upstream = self.router.broker, self.router.upstream
        until = time.monotonic() + TURN
        while self._arrived and not self.receive_side.closed:
            # It may be asking for ever more; or what it sends up may come faster than it goes.
            waits = self.when_drained(self._hand_over) or (
                upstream is not None and upstream.when_drained(self._hand_over))
            if waits or time.monotonic() > until:
                broker.stop_receive(self)
                if not waits:
                    broker.defer(self._hand_over)
                return
            self.router.receive(self._arrived.popleft(), self)
        if not self.receive_side.closed:
            broker.start_receive(self)

    def keeps_broker(self) -> bool:
        return not self.receive_side.closed

    def on_shutdown(self, broker: Any) -> None:
        """Ask the child to end, and stay until it has."""
        self.send(frames.Frame(self.remote_id, self.router.context_id, self.router.context_id, handles.SHUTDOWN, 0,
                               frames.DATA, payload.encode(None)))

    def lost(self, broker: Any, reason: str) -> None:
        broker.stop_receive(self)
        self._explain(broker, reason, time.monotonic() + STATUS_DELAY)

    def _explain(self, broker: Any, reason: str, until: float) -> None:
        """Close, as soon as it is known why the child closed its end, or will not be."""
        if self.receive_side.closed:
            return
        if not has_ended(self.pid) and time.monotonic() < until:
            broker.call_later(0.005, self._explain, broker, reason, until)
        else:
            # The reaper that is made now finds the status.
            self.close(broker, reason)

    def close(self, broker: Any, reason: str) -> None:
        if self.receive_side.closed:
            return
        if has_ended(self.pid):
            reason, self.pid = exit_reason(reap(self.pid)), 0
            if self._last_lines:
                reason += '; it said last: %s' % ' '.join(self._last_lines)[-500:]
        super().close(broker, reason)
        for stream in self._ttys:
            stream.on_disconnect(broker)
        for fd in self._slaves:
            os.close(fd)
        if self.pid:
            Reaper(broker, self.pid)


def _context_info(greeting: Greeting, zygote_id: int, noise: bytes) -> Dict[str, Any]:
    return {'python': tuple(greeting.version), 'executable': greeting.executable, 'chosen': greeting.chosen,
            'pid': greeting.pid, 'uid': greeting.uid, 'zygote_id': zygote_id, 'said': noise[-KEPT_NOISE:]}


def open_child(router: Any, spec: ChildSpec, dialogue: Optional[Dialogue] = None,
               context_id: Optional[int] = None) -> Context:
    """Start a context as a child of this process; arguments and errors as of :class:`ChildStream`."""
    return ChildStream(router, spec, context_id).start(dialogue)


#: What a context needs to open children of its own.
PARENT_MODULES = tuple('mitogen.parent' + name for name in (
    '', '.bootstrap', '.pipes', '.children', '.processes', '.reaper', '.routes', '.starting', '.forwarder',
    '.connection'))


def open_via(router: Any, via: Context, spec: ChildSpec, dialogue: Optional[Dialogue] = None) -> Context:
    """Start a context as a child of the context `via`; arguments and errors as of :class:`ChildStream`.

    :raises ChannelError: `via` is gone.
    """
    return begin_via(router, via, open_here, spec, dialogue)


def begin_via(router: Any, via: Context, function: Any, spec: ChildSpec,
              dialogue: Optional[Dialogue] = None) -> Context:
    """Have `via` start a context by `function`, which is one like :func:`open_here`."""
    context_id = router.routes.allocate_id(2)
    count = 2 if spec.zygote else 1
    router.preload(via, PARENT_MODULES)
    router.broker.call_sync(router.routes.reserve, context_id, via.context_id, count)
    inbox = Receiver(router, source=via.context_id)
    try:
        via.send(handles.CALL_FUNCTION, [function.__module__, function.__name__, [
            list(spec), context_id, inbox.to_sender(), dialogue is not None], {}], inbox.handle)
        until = time.monotonic() + spec.deadline + VIA_GRACE
        while True:
            message = inbox.get_message(max(0.0, until - time.monotonic()))
            answer = message.decode()
            try:
                asks, info = _understand(answer, context_id + 1 if spec.zygote else 0)
            except (LookupError, TypeError, ValueError):
                raise HopError('exited', '%s: %s gave an answer that cannot be understood' % (
                    spec.name, via.name)) from None
            if info is not None:
                break
            try:
                message.reply(None if dialogue is None else dialogue(asks))
            except BaseException:
                message.reply(Error('the dialogue was abandoned'))
                raise
    finally:
        # By now it has announced the new context, if there is one.
        router.broker.defer(router.routes.unreserve, context_id, count)
        inbox.close()
    context: Context = router.context_for(context_id, spec.name)
    context.info = info
    context.via = via
    return context


def _understand(answer: Any, zygote_id: int) -> Tuple[bytes, Optional[Dict[str, Any]]]:
    """Return what the opening of a context behind another one asks, or what it tells of the context that it made.

    :param zygote_id: the ID that the new context's zygote was given; it is not for others to say.
    :raises HopError: it failed.
    :raises LookupError, TypeError, ValueError: what another context says must not be relied upon.
    """
    if 'asks' in answer:
        return _typed(bytes, answer['asks']), None
    if 'failed' in answer:
        kind, message, output, status = answer['failed']
        raise HopError(_typed(str, kind), _typed(str, message), _typed(bytes, output),
                       None if status is None else _typed(int, status) & 0xffff)
    info = answer['info']
    greeting = Greeting([_typed(int, part) for part in info['python']], _typed(str, info['executable']),
                        _typed(str, info['chosen']), _typed(int, info['pid']), _typed(int, info['uid']))
    return b'', _context_info(greeting, zygote_id, _typed(bytes, info['said']))


def _typed(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError('%s instead of %s' % (type(value).__name__, kind.__name__))
    return value


def become_parent(econtext: Any) -> None:
    """Make a context ready to have children; once is enough, more does no harm."""
    if econtext.router.routes is None:
        Routes(econtext.router)
        Forwarder(econtext)
        econtext.at_end.append(end_children)


@takes_econtext
@runs_in_thread
def open_here(spec: List[Any], context_id: int, opener: Sender, asks: bool, econtext: Any) -> Dict[str, Any]:
    """Do the far half of :func:`open_via`, in the context that becomes the parent."""
    become_parent(econtext)
    child = ChildSpec(*spec)

    def ask(output: bytes) -> Optional[bytes]:
        answer = Receiver(econtext.router, source=opener.context_id, persist=False)
        try:
            opener.send({'asks': output}, answer.handle)
            return answer.get(child.deadline)
        finally:
            answer.close()
    try:
        context = open_child(econtext.router, child, ask if asks else None, context_id)
    except HopError as exc:
        return {'failed': [exc.kind, exc.message, exc.output, exc.status]}
    return {'info': context.info}
