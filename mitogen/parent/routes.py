"""Which contexts lie below, as their parents announce them; and context IDs for new ones."""

import threading
from typing import Any, Dict

from mitogen.core import handles
from mitogen.core.messages import Message
from mitogen.core.router import ANYONE, Context

#: Most contexts that one neighbour may lead to, those that it was given IDs for included.
MAX_BEHIND = 10000

#: Most IDs that one neighbour may ask for in its life: they are never used again, and there are 2^32 of them.
MAX_GIVEN = 1 << 24


class Routes:
    """What a process that has children, or is about to have some, knows of the tree below it.

    :param router: the router of this process, whose attribute `routes` it becomes.
    """

    def __init__(self, router: Any) -> None:
        self._router = router
        self._lock = threading.Lock()
        #: IDs of contexts that this process opens behind another one, and those given away, by the stream to be there.
        self._reserved: Dict[int, Any] = {}
        self._given: Dict[int, Any] = {}
        #: By neighbour: how many contexts it leads to or has IDs for, and how many IDs it has been given in all.
        self._behind: Dict[Any, int] = {}
        self._total: Dict[Any, int] = {}
        self._next_id = 1
        router.routes = self
        router.add_handler(self._on_add_route, handles.ADD_ROUTE, source=ANYONE)
        router.add_handler(self._on_del_route, handles.DEL_ROUTE, source=ANYONE)

    def allocate_id(self, count: int = 1) -> int:
        """Return the first of `count` consecutive context IDs that nobody else has.

        In a context that is not the root this asks the root, and waits for it.

        :raises CallError: the root gives this one, or the neighbour of the root before it, no more.
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
        """Let it no longer."""
        for number in range(context_id, context_id + count):
            self._reserved.pop(number, None)

    def give(self, context_id: int, count: int) -> int:
        """Return the first of `count` IDs for a context below that is about to have children. Broker thread only.

        :returns: 0 if it has got too many already.
        """
        stream = self._router.stream_to(context_id)
        behind, total = self._behind.get(stream, 0) + count, self._total.get(stream, 0) + count
        if behind > MAX_BEHIND or total > MAX_GIVEN:
            return 0
        self._behind[stream], self._total[stream] = behind, total
        first = self.allocate_id(count)
        self._given.update((number, stream) for number in range(first, first + count))
        return first

    def forget(self, stream: Any) -> None:
        """A neighbour is gone: it will announce nothing more."""
        for owners in (self._reserved, self._given):
            for number in [number for number, other in owners.items() if other is stream]:
                del owners[number]
        self._behind.pop(stream, None)
        self._total.pop(stream, None)

    def drop(self, context: Context) -> None:
        """Have a context that does not answer ended by its parent. From any thread."""
        self._router.broker.defer(self._drop, context.context_id, 0 if context.via is None else context.via.context_id)

    def _drop(self, context_id: int, parent_id: int) -> None:
        stream = self._router.stream_to(context_id)
        if stream is None:
            return  # it has ended meanwhile
        if stream.remote_id == context_id:
            stream.close(self._router.broker, 'it did not end when it was told to')
        elif parent_id:
            self._router.send(parent_id, handles.DEL_ROUTE, [context_id, ''])

    def _on_add_route(self, message: Message) -> None:
        context_id = int(message.decode())
        router = self._router
        stream = router.stream_to(message.src_id)
        if not self._may_lead(stream, context_id, message):
            router.complain(message.src_id, 'announced a context that is not its own', ' (%d)' % context_id)
        elif router.stream_to(context_id) is not stream:
            if self._given.pop(context_id, None) is None:
                self._behind[stream] = self._behind.get(stream, 0) + 1
            router.register(context_id, stream)
            router.on_context_lost(context_id, lambda context_id, reason: self._left(stream))

    def _may_lead(self, stream: Any, context_id: int, message: Message) -> bool:
        # Each neighbour speaks for what is behind it: those there could take each other's place.
        if message.from_above or message.src_id != stream.remote_id:
            return False
        present = self._router.stream_to(context_id)
        if present is stream or self._given.get(context_id) is stream:
            return True
        if self._behind.get(stream, 0) >= MAX_BEHIND:
            return False
        if self._router.upstream is None:
            return self._reserved.get(context_id) is stream
        # Numbers are given out in order: a smaller one is this context's own, or that of one above it.
        return context_id > self._router.context_id and present is self._router.upstream

    def _left(self, stream: Any) -> None:
        if stream in self._behind:
            self._behind[stream] -= 1

    def _on_del_route(self, message: Message) -> None:
        context_id, reason = message.decode()
        router = self._router
        stream = router.stream_to(message.src_id)
        if message.from_above:
            self._drop(context_id, 0)
        elif message.src_id != stream.remote_id:
            router.complain(message.src_id, 'told of the end of a context that is not its own')
        elif context_id == stream.remote_id:
            # Without its route it could neither be used nor be told to end.
            stream.close(router.broker, 'it said that it was gone')
        elif router.stream_to(context_id) is stream:
            router.lose(context_id, str(reason)[:1000])
