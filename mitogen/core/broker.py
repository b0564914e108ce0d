"""The I/O loop."""

import heapq
import os
import select
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Set, Tuple

from mitogen.core.errors import Error
from mitogen.core.log import Logger
from mitogen.core.sides import BasicStream, Side

LOG = Logger('mitogen.broker')

#: Seconds that streams get to finish when the broker shuts down, and then those that had to be disconnected.
SHUTDOWN_GRACE = 3.0
DISCONNECT_GRACE = 2.5

READ, WRITE = select.POLLIN, select.POLLOUT

#: Brokers that run in this process.
_running: Set[Any] = set()


def abandon_all() -> None:
    """Close what all brokers have open, in a fork of their process."""
    while _running:
        _running.pop().abandon_in_fork()


if hasattr(os, 'register_at_fork'):
    # A fork has no broker's thread, but copies of all descriptors: its neighbours would not notice this process's end.
    os.register_at_fork(after_in_child=abandon_all)


class Waker(BasicStream):
    """Wake the broker from another thread."""

    def __init__(self) -> None:
        self._asked = False
        # Reentrant: a signal handler may interrupt its owner.
        self._lock = threading.RLock()
        read_fd, write_fd = os.pipe()
        self.receive_side = Side(self, read_fd, keep_alive=False)
        self.transmit_side = Side(self, write_fd, keep_alive=False)

    def wake(self) -> None:
        """Make the broker's poll return; cheap when it was asked already. From any thread."""
        if not self._asked:
            self._asked = True
            # The broker may do what it was asked for, end, and close this, before the next line.
            with self._lock:
                self.transmit_side.write(b'\0')

    def on_receive(self, broker: 'Broker') -> None:
        # In this order, and before the broker looks for what was deferred.
        self.receive_side.read(64)
        self._asked = False

    def on_shutdown(self, broker: 'Broker') -> None:
        """Stay until the loop ends: shutting down needs deferred calls too."""

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            self.receive_side.close()
            self.transmit_side.close()


class Timer:
    """A call to be made later; see :meth:`Broker.call_later`."""

    __slots__ = ('when', 'func', 'args')

    def __init__(self, when: float, func: Optional[Callable[..., Any]], args: Any) -> None:
        self.when = when
        self.func = func
        self.args = args

    def __lt__(self, other: 'Timer') -> bool:
        return self.when < other.when

    def cancel(self) -> None:
        """Do not make the call."""
        self.func = None


class Broker:
    """A thread that polls streams and runs what is deferred to it.

    Methods are for the broker's own thread, but for :meth:`defer`,
    :meth:`call_sync`, :meth:`shutdown` and :meth:`join`.
    """

    def __init__(self, name: str = 'mitogen.broker') -> None:
        # What they poll is numbered alike; one counts in seconds, the other in milliseconds.
        self._poller: Any
        self._poller, self._second = (select.epoll(), 1) if hasattr(select, 'epoll') else (select.poll(), 1000)
        self._polled: Dict[int, Tuple[int, BasicStream]] = {}
        self._streams: Set[BasicStream] = set()
        self._timers: List[Timer] = []
        self._deferred: Deque[Any] = deque()
        self._deadline: Optional[float] = None
        self.ended = False
        #: Functions to be called in the broker's thread when all has been closed.
        self.at_end: List[Callable[[], None]] = []
        #: A stream that only the end of the process closes: who is at its other end takes the one for the other.
        self.closed_last: Optional[BasicStream] = None
        self.waker = Waker()
        self.start_receive(self.waker)
        _running.add(self)
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def is_current(self) -> bool:
        """Whether the caller runs in the broker's thread."""
        return threading.get_ident() == self.thread.ident

    def defer(self, func: Callable[..., Any], *args: Any) -> None:
        """Run ``func(*args)`` in the broker's thread; from any thread, in order."""
        self._deferred.append((func, args))
        if not self.is_current():
            self.waker.wake()

    def call_sync(self, func: Callable[..., Any], *args: Any) -> Any:
        """Run ``func(*args)`` in the broker's thread and return its result; from any thread.

        :raises Error: the broker has ended.
        """
        if self.is_current():
            return func(*args)
        done = threading.Event()
        result: List[Any] = []

        def run() -> None:
            try:
                result.append((func(*args), None))
            except BaseException as exc:
                result.append((None, exc))
            done.set()
        self.defer(run)
        while not done.wait(0.5):
            if self.ended:
                raise Error('the broker has ended')
        value, exc = result[0]
        if exc is not None:
            raise exc
        return value

    def call_later(self, seconds: float, func: Callable[..., Any], *args: Any) -> Timer:
        """Run ``func(*args)`` after so many seconds, unless the timer is cancelled."""
        timer = Timer(time.monotonic() + seconds, func, args)
        heapq.heappush(self._timers, timer)
        return timer

    def _poll(self, side: Optional[Side], event: int, wanted: bool) -> None:
        # One descriptor may be both sides of a stream: it is polled once.
        if side is None or side.closed:
            return
        old = self._polled.get(side.fd, (0, None))[0]
        new = old | event if wanted else old & ~event
        if new == old:
            return
        if not new:
            self._poller.unregister(side.fd)
            del self._polled[side.fd]
            return
        if old:
            self._poller.modify(side.fd, new)
        else:
            self._poller.register(side.fd, new)
        self._polled[side.fd] = (new, side.stream)

    def hold(self, stream: BasicStream) -> None:
        """Wait for `stream` when shutting down, also while it is not polled; until :meth:`forget`."""
        self._streams.add(stream)

    def start_receive(self, stream: BasicStream) -> None:
        """Call ``stream.on_receive`` whenever its receive side is readable."""
        self._streams.add(stream)
        self._poll(stream.receive_side, READ, True)

    def stop_receive(self, stream: BasicStream) -> None:
        """Stop that."""
        self._poll(stream.receive_side, READ, False)

    def start_transmit(self, stream: BasicStream) -> None:
        """Call ``stream.on_transmit`` whenever its transmit side is writable."""
        self._poll(stream.transmit_side, WRITE, True)

    def stop_transmit(self, stream: BasicStream) -> None:
        """Stop that."""
        self._poll(stream.transmit_side, WRITE, False)

    def forget(self, stream: BasicStream) -> None:
        """Stop polling `stream` altogether. Its sides must not have been closed before."""
        self.stop_receive(stream)
        self.stop_transmit(stream)
        self._streams.discard(stream)

    def shutdown(self) -> None:
        """Begin to shut down: streams are told, and get :data:`SHUTDOWN_GRACE` seconds. From any thread."""
        self.defer(self._begin_shutdown)

    def join(self, timeout: Optional[float] = None) -> None:
        """Wait until the loop has ended and closed all that it polled."""
        self.thread.join(timeout)

    def abandon(self) -> None:
        """Close all descriptors, but those of :attr:`closed_last`, and tell nobody."""
        self.ended = True
        _running.discard(self)
        for stream in list(self._streams):
            for side in stream.sides() if stream not in (self.waker, self.closed_last) else ():
                side.close()
        self.waker.close()
        if hasattr(self._poller, 'close'):
            self._poller.close()

    def abandon_in_fork(self) -> None:
        """Do that in a fork, where the broker's thread is missing and may have left locks taken."""
        self.waker = Waker()
        self.closed_last = None
        self.abandon()

    def _begin_shutdown(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + SHUTDOWN_GRACE
            for stream in list(self._streams):
                self._guard(stream, stream.on_shutdown)

    def _guard(self, stream: BasicStream, func: Callable[..., Any]) -> None:
        """Call a stream's method; a fault in it ends that stream, not the loop."""
        try:
            func(self)
        except Exception:
            LOG.exception('%r failed in %s; it is closed', stream, func.__name__)
            try:
                stream.on_disconnect(self)
            except Exception:
                LOG.exception('%r failed to close', stream)
                self.forget(stream)

    def _call(self, func: Callable[..., Any], args: Any) -> None:
        try:
            func(*args)
        except Exception:
            LOG.exception('deferred call of %r failed', func)

    def _idle_time(self) -> float:
        """How long to poll, in the poller's unit: until something is due, or for ever if negative."""
        if self._deferred:
            return 0
        due = [self._timers[0].when] if self._timers else []
        if self._deadline is not None:
            due.append(self._deadline)
        return max(0, min(due) - time.monotonic()) * self._second if due else -1

    def _alive(self) -> bool:
        return self._deadline is None or bool(self._deferred) or (
            time.monotonic() < self._deadline and any(stream.keeps_broker() for stream in self._streams))

    def _loop(self) -> None:
        while self._alive():
            for fd, events in self._poller.poll(self._idle_time()):
                wanted, stream = self._polled.get(fd, (0, self.waker))
                # What is neither readable nor writable but broken is told to whoever waits for the one or the other.
                if wanted & READ and events & ~WRITE:
                    self._guard(stream, stream.on_receive)
                    wanted = self._polled.get(fd, (0,))[0]
                if wanted & WRITE and events & (~READ if not wanted & READ else WRITE):
                    self._guard(stream, stream.on_transmit)
            while self._timers and self._timers[0].when <= time.monotonic():
                timer = heapq.heappop(self._timers)
                if timer.func is not None:
                    self._call(timer.func, timer.args)
            for _ in range(len(self._deferred)):
                func, args = self._deferred.popleft()
                self._call(func, args)

    def _run(self) -> None:
        self._loop()
        for grace in (DISCONNECT_GRACE, 0):
            # What is disconnected may have more to do: to see a process to its end.
            self._deadline = time.monotonic() + grace
            for stream in list(self._streams - {self.waker, self.closed_last}):
                self._guard(stream, stream.on_disconnect)
            self._loop()
        self.abandon()
        for func in self.at_end:
            self._call(func, ())
