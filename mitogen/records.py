"""Log records of children, at the root of a tree."""

import logging
import time
from typing import Any, Dict, Set

from mitogen.core import handles
from mitogen.core.external import MAX_TEXT
from mitogen.core.messages import OVERHEAD, Message
from mitogen.core.router import ANYONE

#: A neighbour, with all behind it, may send so many bytes of records at once, and so many in a second for ever.
BURST = 16 * 1024 * 1024
RATE = 1024 * 1024

#: What a bracket counts: lists of lists take far longer to decode than text does.
BRACKET = 50

#: Loggers are kept for ever by the logging library, and so are the levels that they were asked about.
MAX_NAMES = 50
MAX_ALL_NAMES = 1000
MAX_LEVEL = 100

#: A terminal would obey these; a record's text keeps its lines and tabs.
_CONTROL = {number: '\\x%02x' % number for number in [*range(32), *range(127, 160)] if chr(number) not in '\n\t'}


class _Allowance:
    """What one neighbour may still send."""

    def __init__(self) -> None:
        self.names: Set[str] = set()
        self._left = float(BURST)
        self._when = time.monotonic()

    def spend(self, size: int) -> bool:
        """Take `size` bytes off it; return whether there were so many left."""
        now = time.monotonic()
        self._left = min(float(BURST), self._left + (now - self._when) * RATE)
        self._when = now
        enough = self._left >= size
        if enough:
            self._left -= size
        return enough


class RecordSink:
    """Log what children log, under loggers named ``mitogen.ctx.`` and their own.

    Of a child that logs without end, what is over ``RATE`` is dropped.

    :param router: the root's router.
    """

    def __init__(self, router: Any) -> None:
        self._router = router
        self._allowances: Dict[int, _Allowance] = {}
        self._names: Set[str] = set()
        router.add_handler(self._on_log, handles.FORWARD_LOG, source=ANYONE)

    def _on_log(self, message: Message) -> None:
        record = message.data
        cost = OVERHEAD + len(record) + BRACKET * (record.count(b'[') + record.count(b'{'))
        if not self._allowance(message.src_id).spend(cost):
            self._router.complain(message.src_id, 'sends more log records than are kept')
            return
        name, level, text = message.decode()
        if not (isinstance(name, str) and isinstance(level, int) and isinstance(text, str)):
            raise TypeError('no record')
        # No arguments: what comes from below is never used as a format.
        self._logger(self._allowance(message.src_id), name).log(
            max(0, min(MAX_LEVEL, level)), '%s',
            '%s: %s' % (self._router.name_of(message.src_id), text[:MAX_TEXT].translate(_CONTROL)))

    def _allowance(self, context_id: int) -> _Allowance:
        hop: int = self._router.stream_to(context_id).remote_id
        found = self._allowances.get(hop)
        if found is None:
            found = self._allowances[hop] = _Allowance()
            self._router.on_context_lost(hop, self._forget)
        return found

    def _forget(self, context_id: int, reason: str) -> None:
        self._allowances.pop(context_id, None)

    def _logger(self, allowance: _Allowance, name: str) -> logging.Logger:
        """Return the logger of that name, or the one of all if there are too many."""
        known = name in self._names
        if not known and (len(name) > 100 or name.count('.') > 10 or len(allowance.names) >= MAX_NAMES
                          or len(self._names) >= MAX_ALL_NAMES):
            return logging.getLogger('mitogen.ctx')
        if not known:
            allowance.names.add(name)
            self._names.add(name)
        return logging.getLogger('mitogen.ctx.' + name)
