"""Numbered members (pieces of code) that a parent pushed, kept for the zygotes and children that ask."""

import zlib
from typing import Any, Dict, List, Tuple

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

        def arrived(answer: Message) -> None:
            if answer.is_dead:
                self._router.del_handler(handle)
                return
            part = answer.decode()
            for number, path, source in part['members']:
                self._members[number] = (path, source)
            if part['last']:
                self._router.del_handler(handle)
                self._answer(message, numbers)
        handle = self._router.add_handler(arrived, source=self._router.upstream.remote_id)
        self._router.send(self._router.upstream.remote_id, handles.GET_CODE, missing, handle)

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
