"""Serving modules to children from what the parent sends."""

import zlib
from typing import Any, Dict, List, Optional, Set, Tuple

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
    """Serve children's requests for modules: from what was imported here, else from above. Each comes once.

    :param econtext: this context.
    """

    def __init__(self, econtext: Any) -> None:
        self._router = econtext.router
        self._importer = econtext.importer
        #: How many questions of a neighbour wait.
        self._waiting: Dict[Any, int] = {}
        #: Questions for a module that the parent has been asked for, with the neighbours that they came from.
        self._asked: Dict[str, List[Tuple[Message, Any]]] = {}
        #: Names that a neighbour has been sent unasked.
        self._sent: Dict[int, Set[str]] = {}
        self._router.add_handler(self._on_get_module, handles.GET_MODULE, source=ANYONE)
        self._router.add_handler(self._on_forward, handles.FORWARD_MODULES)

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
        askers = [(message, stream)]
        if isinstance(request, str) and self._asked.setdefault(request, askers) is not askers:
            self._asked[request] += askers
            return

        def answered(answer: Message) -> None:
            if isinstance(request, str):
                del self._asked[request]
            try:
                value: Any = answer.decode()
            except Error as exc:
                value = exc
            else:
                if isinstance(request, str):
                    # Not what there is not: any number of names may be asked for.
                    self._importer.keep({name: code for name, code in unpack_modules(value).items() if code})
            for asker, neighbour in askers:
                self._served(neighbour)
                asker.reply(value)
        parent = self._router.upstream.remote_id
        handle = self._router.add_handler(answered, persist=False, source=parent)
        self._router.send(parent, handles.GET_MODULE, request, handle)

    def _served(self, stream: Any) -> None:
        self._waiting[stream] -= 1
        if not self._waiting[stream]:
            del self._waiting[stream]

    def _on_forward(self, message: Message) -> None:
        context_id, names = message.decode()
        stream = self._router.stream_to(context_id)
        if stream in (None, self._router.upstream):
            return
        if stream.remote_id not in self._sent:
            self._sent[stream.remote_id] = set()
            self._router.on_context_lost(stream.remote_id, lambda gone, reason: self._sent.pop(gone, None))
        sent = self._sent[stream.remote_id]
        modules = {name: self._importer.known(name) for name in names if name not in sent}
        lacking = {name: code for name, code in modules.items() if code is not None}
        sent.update(lacking)
        if lacking:
            self._router.send(stream.remote_id, handles.LOAD_MODULE, pack_modules(lacking))
        if stream.remote_id != context_id:
            self._router.send(stream.remote_id, handles.FORWARD_MODULES, [context_id, names])
