"""Which contexts lie below, as their parents announce them; and context IDs for new ones."""

import threading
from typing import Any, Dict

from mitogen.core import handles
from mitogen.core.messages import Message
from mitogen.core.router import ANYONE, Context


class Routes:
    """What a process that has children, or is about to have some, knows of the tree below it.

    :param router: the router of this process, whose attribute `routes` it becomes.
    """

    def __init__(self, router: Any) -> None:
        self._router = router
        self._lock = threading.Lock()
        self._reserved: Dict[int, Any] = {}
        self._next_id = 1
        router.routes = self
        router.add_handler(self._on_add_route, handles.ADD_ROUTE, source=ANYONE)
        router.add_handler(self._on_del_route, handles.DEL_ROUTE, source=ANYONE)

    def allocate_id(self, count: int = 1) -> int:
        """Return the first of `count` consecutive context IDs that nobody else has.

        In a context that is not the root this asks the root, and waits for it.
        """
        router = self._router
        if router.upstream is not None:
            receiver = router.context_for(0).ask(handles.ALLOCATE_ID, count, persist=False)
            try:
                return int(receiver.get(60.0))
            finally:
                receiver.close()
        with self._lock:
            first = self._next_id
            self._next_id += count
        return first

    def reserve(self, context_id: int, via_id: int, count: int = 1) -> None:
        """Let a context below announce that it leads to new ones. Broker thread only."""
        for number in range(context_id, context_id + count):
            self._reserved[number] = self._router.stream_to(via_id)

    def unreserve(self, context_id: int, count: int = 1) -> None:
        """Take that back."""
        for number in range(context_id, context_id + count):
            self._reserved.pop(number, None)

    def forget(self, stream: Any) -> None:
        """A neighbour is gone: it will announce nothing more."""
        for number in [number for number, other in self._reserved.items() if other is stream]:
            del self._reserved[number]

    def drop(self, context: Context) -> None:
        """Have a context that does not answer ended by its parent. From any thread."""
        self._router.broker.defer(self._drop, context.context_id, 0 if context.via is None else context.via.context_id)

    def _drop(self, context_id: int, parent_id: int) -> None:
        stream = self._router.stream_to(context_id)
        if stream is not None and stream.remote_id == context_id:
            stream.close(self._router.broker, 'it did not end when it was told to')
        elif parent_id:
            self._router.send(parent_id, handles.DEL_ROUTE, [context_id, ''])

    def _on_add_route(self, message: Message) -> None:
        context_id = int(message.decode())
        router = self._router
        stream = router.stream_to(message.src_id)
        if router.upstream is None:
            own = self._reserved.get(context_id) is stream
        else:
            # Numbers are given out in order: a smaller one is this context's own, or that of one above it.
            own = (not message.from_above and context_id > router.context_id
                   and router.stream_to(context_id) in (stream, router.upstream))
        if own:
            self._reserved.pop(context_id, None)
            router.register(context_id, stream)
        else:
            router.complain(message.src_id, 'announced a context that is not its own', ' (%d)' % context_id)

    def _on_del_route(self, message: Message) -> None:
        context_id, reason = message.decode()
        if message.from_above:
            self._drop(context_id, 0)
        elif self._router.stream_to(context_id) is self._router.stream_to(message.src_id):
            self._router.lose(context_id, str(reason)[:1000])
