"""Answering children's requests for modules, at the root of a tree."""

import threading
from typing import Any, Dict, List, Optional, Set, Tuple

from mitogen.core import handles
from mitogen.core.errors import Error, FrameError
from mitogen.core.importer import PIECE, ModuleCode
from mitogen.core.messages import Message
from mitogen.core.router import ANYONE, MAIN, Context
from mitogen.parent.forwarder import pack_modules
from mitogen.parent.modules import ModuleFinder, inside

#: Sources in one LOAD_MODULE: well under the limit of a frame, also when they do not compress.
BATCH_SIZE = 512 * 1024

#: Longest name of a module that is looked for: to look takes time for each of its parts.
MAX_NAME = 500


class ModuleResponder:
    """Answer children's requests for modules.

    :param router: the root's router.
    :param prefixes: names, with all below them, that children may have; None
        for any that is not part of the standard library.
    """

    def __init__(self, router: Any, prefixes: Optional[List[str]] = None) -> None:
        self._router = router
        self._prefixes = prefixes
        self._finder = ModuleFinder()
        self._lock = threading.Lock()
        #: Modules by name, and sets of them packed: all targets get the same.
        self._found: Dict[str, ModuleCode] = {}
        self._packed: Dict[Tuple[str, ...], Any] = {}
        #: Names that a first hop has been sent.
        self._sent: Dict[int, Set[str]] = {}
        #: How many requests were answered.
        self.requests = 0
        router.add_handler(self._on_get_module, handles.GET_MODULE, source=ANYONE)

    def allowed(self, name: str) -> bool:
        """Whether children may have the module."""
        return len(name) <= MAX_NAME and (self._prefixes is None or any(
            (name + '.').startswith(prefix + '.') for prefix in self._prefixes))

    def _find(self, name: str) -> Optional[ModuleCode]:
        code = self._found.get(name)
        if code is None:
            code = self._read(name)
            # Not what was not found: a target may ask for any number of names.
            if code is not None:
                self._found[name] = code
        return code

    def _read(self, name: str) -> Optional[ModuleCode]:
        if not self.allowed(name):
            return None
        found = self._finder.find('__main__' if name == MAIN else name)
        if found is None:
            return None
        source = found.source
        if name.partition('.')[0] == 'mitogen':
            # Imported late, as few need it: targets get nearly all of ours in bundles.
            from mitogen.shrink import shrink_source
            source = shrink_source(source.decode('utf-8')).encode('utf-8')
        return ModuleCode(found.origin, found.is_package, source)

    def _on_get_module(self, message: Message) -> None:
        request = message.decode()
        self.requests += 1
        if isinstance(request, str):
            name, path, offset = request, None, 0
        else:
            name, path, offset = request
        if not self.allowed(name) or path is not None and not inside(path):
            self._router.complain(message.src_id, 'asked for code that it may not have', ' (%.100s)' % name)
        if isinstance(request, str):
            self._answer_module(message, request)
        else:
            content = self._finder.data(name, path) if self.allowed(name) else None
            message.reply(content[offset:offset + PIECE] if isinstance(content, bytes) else content)

    def _answer_module(self, message: Message, name: str) -> None:
        hop = self._router.stream_to(message.src_id).remote_id
        code = self._find(name)
        modules: Dict[str, Optional[ModuleCode]] = {name: code}
        size = len(code.source) if code is not None else 0
        with self._lock:
            sent = self._sent_to(hop)
            if code is not None:
                sent.add(name)
                for other in self._finder.related('__main__' if name == MAIN else name):
                    more = None if other in sent else self._find(other)
                    if more is not None:
                        if size + len(more.source) > BATCH_SIZE:
                            break
                        size += len(more.source)
                        sent.add(other)
                        modules[other] = more
        try:
            message.reply(pack_modules(modules))
        except FrameError as exc:
            message.reply(Error('module %s is too large to be sent: %s' % (name, exc)))

    def _sent_to(self, hop: int) -> Set[str]:
        if hop not in self._sent:
            self._sent[hop] = set()
            self._router.on_context_lost(hop, lambda context_id, reason: self._sent.pop(context_id, None))
        return self._sent[hop]

    def preload(self, context: Context, names: Any) -> None:
        """Send modules that a context is about to import, if it has not got them. From any thread.

        To its first hop, which passes them on: however many contexts are behind that, it gets each module once.
        """
        stream = self._router.stream_to(context.context_id)
        if stream is None:
            return
        hop = stream.remote_id
        with self._lock:
            sent = self._sent_to(hop)
            wanted = tuple(name for name in names if name not in sent)
            sent.update(wanted)
            passed = self._sent_to(context.context_id)
            behind = [name for name in names if name not in passed] if hop != context.context_id else []
            passed.update(behind)
        # Without the lock: the first time takes long, and the broker's thread must not wait for it.
        if wanted and wanted not in self._packed:
            self._packed[wanted] = pack_modules({name: self._find(name) for name in wanted})
        if wanted:
            self._router.send(hop, handles.LOAD_MODULE, self._packed[wanted])
        if behind:
            self._router.send(hop, handles.FORWARD_MODULES, [context.context_id, behind])
