"""Serving modules to children from what the parent sends."""

import zlib
from typing import Any, Dict, List, Optional

from mitogen.core import handles
from mitogen.core.errors import Error
from mitogen.core.importer import ModuleCode, unpack_modules
from mitogen.core.messages import Message
from mitogen.core.router import ANYONE

#: Most questions of one neighbour that wait for an answer from above.
MAX_WAITING = 1000


def pack_modules(modules: Dict[str, Optional[ModuleCode]]) -> Dict[str, Any]:
    """Return the LOAD_MODULE payload for modules by name; None for one that does not exist."""
    listing: List[Any] = []
    blob: List[bytes] = []
    for name, code in modules.items():
        if code is None:
            listing.append([name, '', False, -1])
        else:
            listing.append([name, code.origin, code.is_package, len(code.source)])
            blob.append(code.source)
    return {'modules': listing, 'blob': zlib.compress(b''.join(blob), 9)}


class Forwarder:
    """Answer children's requests for modules: from what was imported here, else from above.

    :param econtext: this context.
    """

    def __init__(self, econtext: Any) -> None:
        self._router = econtext.router
        self._importer = econtext.importer
        self._waiting: Dict[Any, int] = {}
        self._router.add_handler(self._on_get_module, handles.GET_MODULE, source=ANYONE)

    def _on_get_module(self, message: Message) -> None:
        request = message.decode()
        known = self._importer.known(request) if isinstance(request, str) else None
        if known is not None:
            message.reply(pack_modules({request: known}))
            return
        stream = self._router.stream_to(message.src_id)
        if self._waiting.get(stream, 0) >= MAX_WAITING:
            self._router.complain(message.src_id, 'asked for more modules at once than can be got')
            return
        self._waiting[stream] = self._waiting.get(stream, 0) + 1

        def answered(answer: Message) -> None:
            self._waiting[stream] -= 1
            if not self._waiting[stream]:
                del self._waiting[stream]
            try:
                value = answer.decode()
            except Error as exc:
                message.reply(exc)
                return
            if isinstance(request, str):
                # Not what there is not: any number of names may be asked for.
                self._importer.keep({name: code for name, code in unpack_modules(value).items() if code is not None})
            message.reply(value)
        parent = self._router.upstream.remote_id
        handle = self._router.add_handler(answered, persist=False, source=parent)
        self._router.send(parent, handles.GET_MODULE, request, handle)
