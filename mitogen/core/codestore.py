"""Numbered members (pieces of code) that a parent pushed, kept for the zygotes and children that ask."""

import zlib
from typing import Any, Dict, List, Set, Tuple

from mitogen.core import handles
from mitogen.core.messages import Message
from mitogen.core.router import ANYONE

#: Bytes of sources in one answer: well under the limit of a frame.
BATCH_SIZE = 512 * 1024


class CodeStore:
    """Keep members by number; answer those who ask; ask the parent for what is missing.

    :param router: the router of this process.
    """

    def __init__(self, router: Any) -> None:
        self._router = router
        self._members: Dict[int, Tuple[str, bytes]] = {}
        #: What the parent has been asked for, and who waits: each member comes once, however many want it.
        self._asked: Set[int] = set()
        self._waiting: List[Tuple[Message, List[int]]] = []
        router.add_handler(self._on_push, handles.PUSH_CODE)
        router.add_handler(self._on_get, handles.GET_CODE, source=ANYONE)

    def _on_push(self, message: Message) -> None:
        push = message.decode()
        blob = zlib.decompress(push['blob'])
        offset = 0
        for number, path, size in push['members']:
            self._members[number] = (path, blob[offset:offset + size])
            offset += size

    def _on_get(self, message: Message) -> None:
        # Each once: a list of the same number would be answered by more than memory holds.
        numbers = list(dict.fromkeys(message.decode()))
        missing = [number for number in numbers if number not in self._members]
        if not missing:
            self._answer(message, numbers)
            return
        self._waiting.append((message, numbers))
        wanted = [number for number in missing if number not in self._asked]
        if wanted:
            self._ask(wanted)

    def _ask(self, wanted: List[int]) -> None:
        def arrived(answer: Message) -> None:
            part: Dict[str, Any] = {'members': [], 'last': True} if answer.is_dead else answer.decode()
            for number, path, source in part['members']:
                self._members[number] = (path, source)
            if part['last']:
                self._router.del_handler(handle)
                self._asked.difference_update(wanted)
                self._answer_waiting()
        self._asked.update(wanted)
        handle = self._router.add_handler(arrived, source=self._router.upstream.remote_id)
        self._router.send(self._router.upstream.remote_id, handles.GET_CODE, wanted, handle)

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for message, numbers in waiting:
            if self._asked.isdisjoint(numbers):
                self._answer(message, numbers)
            else:
                self._waiting.append((message, numbers))

    def _answer(self, message: Message, numbers: List[int]) -> None:
        batch: List[Any] = []
        size = 0
        for number in numbers:
            path, source = self._members.get(number, ('', b''))
            if path:
                if batch and size + len(source) > BATCH_SIZE:
                    message.reply({'members': batch, 'last': False})
                    batch, size = [], 0
                batch.append([number, path, source])
                size += len(source)
        message.reply({'members': batch, 'last': True})
