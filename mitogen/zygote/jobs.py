"""What a job was asked for, how it stands, and the answer to it. No I/O here."""

import json
import os
import signal
from collections import deque
from typing import Any, Deque, Dict, List, Tuple

from mitogen.core import payload
from mitogen.core.frames import DATA, ERROR, RAW

#: Output up to this many bytes rides in the answer; more is streamed before it.
INLINE_SIZE = 256 * 1024
#: Bytes in one streamed chunk.
CHUNK_SIZE = 128 * 1024
#: Chunks that may be on their way: enough to fill the link, few enough to let others pass.
WINDOW = 8
#: Seconds between a polite and a forced end of a cancelled job.
KILL_DELAY = 2.0
#: Names of errors: the job could not be done, or its context is not what one that is opened now would be.
JOB_ERROR, OUTDATED = 'mitogen.zygote.JobError', 'mitogen.zygote.Outdated'
#: A shell says nothing about these: the user pressed Ctrl-C, or `head` had enough.
_SILENT = (signal.SIGINT, signal.SIGPIPE)
#: The usual ones, for Python 3.7 and earlier, which cannot tell.
_SIGNAL_TEXT = {1: 'Hangup', 6: 'Aborted', 9: 'Killed', 11: 'Segmentation fault', 15: 'Terminated'}


def exit_code(status: int) -> int:
    """Return a shell's `$?` for a wait status."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def death_notice(status: int) -> str:
    """Return what a shell prints about a process that ended with a wait status: '' unless a signal killed it."""
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) in _SILENT:
        return ''
    number = os.WTERMSIG(status)
    text = getattr(signal, 'strsignal', _SIGNAL_TEXT.get)(number) or 'Signal %d' % number
    return text + (' (core dumped)\n' if os.WCOREDUMP(status) else '\n')


def _accounts() -> int:
    """Return what changes whenever accounts do: whoever remembers home folders must look again."""
    try:
        return os.stat('/etc/passwd').st_mtime_ns
    except OSError:
        return 0


class Job:
    """One RUN request, from its arrival to the last byte of its answer.

    The request is a dict: `job` (a number, unique per requester), `kind`
    ('command' or 'module'), `env`, `cwd`, `umask`; for a command `argv` (an
    empty first word means the account's shell), `stdin` and `tty`; for a
    module `members` (ranges of numbers), `entry` ('package.module:function'),
    `args` (its keyword arguments) and `preload` (names of modules which the
    zygote may import into itself).

    :param source: ID of the context that asked.
    :param reply_to: its mailbox for the answer.
    :param request: the request.
    """

    def __init__(self, source: int, reply_to: int, request: Dict[str, Any]) -> None:
        self.source, self.reply_to, self.request = source, reply_to, request
        self.key = source, request['job']
        self.is_module = request['kind'] == 'module'
        self.output = {1: bytearray(), 2: bytearray()}
        self.pid = 0
        self.scratch = ''
        self.started = 0.0
        self._chunks: Deque[memoryview] = deque()
        self._unacknowledged = 0
        self._final: Any = None

    def finish(self, status: int, report: bytes, now: float) -> Dict[str, bool]:
        """Make the answer, after the process ended with a wait status.

        Returns the modules that the process found in its members, and whether it imported them.
        """
        notes = json.loads(report.decode()) if report else {}
        if 'error' in notes:
            self.fail(notes['error'])
            return {}
        found = notes.get('found', {})
        if self.is_module:
            self.output[2] += death_notice(status).encode()
        out, err = self.output[1], self.output[2]
        self.output = {}
        streamed = [0, 0]
        if len(out) + len(err) > INLINE_SIZE:
            for part in (out, err):
                view = memoryview(part)
                self._chunks += [view[i:i + CHUNK_SIZE] for i in range(0, len(view), CHUNK_SIZE)]
            streamed = [len(out), len(err)]
            out = err = bytearray()
        self._final = {
            'job': self.key[1], 'rc': exit_code(status), 'stdout': bytes(out), 'stderr': bytes(err),
            'stdout_streamed': streamed[0], 'stderr_streamed': streamed[1],
            'ms': round((now - self.started) * 1000, 3),
            'imported': [name for name, imported in found.items() if imported],
            'accounts': _accounts(),
        }
        return found

    def fail(self, message: str, error: str = JOB_ERROR) -> None:
        """Make the answer that the job could not be done; `error` is the name of its kind."""
        self._chunks.clear()
        self._final = [error, message, '']

    @property
    def is_finished(self) -> bool:
        """Whether there is an answer, of which more may be to send."""
        return self._final is not None

    def acknowledge(self, chunks: int) -> None:
        """Take note that chunks have arrived."""
        self._unacknowledged = max(0, self._unacknowledged - chunks)

    def next_payloads(self) -> Tuple[List[Tuple[int, bytes]], bool]:
        """Return what may be sent now as (kind, payload), and whether that is the end of the answer."""
        ready: List[Tuple[int, bytes]] = []
        while self._chunks and self._unacknowledged < WINDOW:
            ready.append((RAW, bytes(self._chunks.popleft())))
            self._unacknowledged += 1
        if self._chunks or self._final is None:
            return ready, False
        if isinstance(self._final, list):
            ready.append((ERROR, payload.encode(self._final)))
        else:
            ready.append((DATA, payload.encode(self._final)))
        return ready, True
