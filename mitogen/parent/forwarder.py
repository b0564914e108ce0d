"""Serving modules to children from what the parent sends."""

import zlib
from typing import Any, Dict, List, Optional

from mitogen.core import handles
from mitogen.core.importer import ModuleCode
from mitogen.core.messages import Message
from mitogen.core.router import ANYONE


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
        self._router.add_handler(self._on_get_module, handles.GET_MODULE, source=ANYONE)

    def _on_get_module(self, message: Message) -> None:
        request = message.decode()
        known = self._importer.known(request) if isinstance(request, str) else None
        if known is not None:
            message.reply(pack_modules({request: known}))
            return

        def answered(answer: Message) -> None:
            value = None if answer.is_dead else answer.decode()
            if isinstance(request, str) and value is not None:
                self._importer.take(value)
            message.reply(value)
        parent = self._router.upstream.remote_id
        handle = self._router.add_handler(answered, persist=False, source=parent)
        self._router.send(parent, handles.GET_MODULE, request, handle)
