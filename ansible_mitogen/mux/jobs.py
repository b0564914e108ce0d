"""Running commands and modules in zygotes: requests of clients become RUN frames, replies become answers.

All of it happens in the broker's thread, with no hand-over between threads.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

from ansible_mitogen.mux import protocol
from ansible_mitogen.mux.bundles import Bundle
from ansible_mitogen.mux.hops import Entry
from ansible_mitogen.mux.session import Exchange
from ansible_mitogen.mux.staging import NOTHING, Before
from mitogen.core import handles
from mitogen.core.errors import CallError, ChannelError, Error
from mitogen.core.frames import RAW
from mitogen.core.messages import pack_value
from mitogen.zygote.jobs import OUTDATED, WINDOW

#: What a module's process calls first; see :mod:`ansible_mitogen.target.runner`.
ENTRY = 'ansible_mitogen.target.runner:run_module'

#: The same, where one of two modules is run.
EITHER_ENTRY = 'ansible_mitogen.target.runner:run_either'

#: Numbers of jobs; one sequence for all zygotes.
_numbers = itertools.count(1)

#: Runs a command with a file for its stdin: more of it than fits into one message. The file is removed first.
_WITH_STDIN_FILE = """\
import os, pwd, sys
path, argv = sys.argv[1], sys.argv[2:]
os.dup2(os.open(path, os.O_RDONLY), 0)
os.unlink(path)
argv[0] = argv[0] or pwd.getpwuid(os.getuid()).pw_shell or '/bin/sh'
os.execvp(argv[0], argv)
"""


def command_payload(job: int, fields: dict[str, Any], executable: str) -> dict[str, Any]:
    """Return the RUN payload for a COMMAND request.

    :param executable: the interpreter of the context that runs it.
    """
    argv = fields['argv']
    if fields['stdin_path'] is not None:
        argv = [executable, '-c', _WITH_STDIN_FILE, fields['stdin_path'], *argv]
    return {'job': job, 'kind': 'command', 'argv': argv, 'stdin': fields['stdin'], 'tty': fields['tty'],
            'env': fields['env'], 'cwd': fields['cwd'], 'umask': None}


#: The arguments of the entry, as far as they are the caller's.
_ARGUMENTS = ('module_fqn', 'params', 'profile', 'style', 'rlimit_nofile', 'date_time', 'extensions', 'mends')


def module_payload(job: int, fields: dict[str, Any], bundle: Bundle, entry: Entry) -> dict[str, Any]:
    """Return the RUN payload for a MODULE request.

    :param bundle: with all that the module needs, and the other one if there is one.
    :param entry: the context that it is for, which is told once what it is to preload.
    """
    preload = [name for name in bundle.preload if name not in entry.preloaded]
    entry.preloaded.update(preload)
    function, args = ENTRY, {name: fields[name] for name in _ARGUMENTS}
    other = fields['other']
    if other is not None:
        function = EITHER_ENTRY
        args = {'usual': args, 'other': {name: other[name] for name in _ARGUMENTS}, 'unchanged': other['unchanged']}
    return {'job': job, 'kind': 'module', 'members': bundle.ranges, 'entry': function, 'args': args,
            'preload': preload, 'env': fields['env'], 'cwd': fields['cwd'], 'umask': None}


class Job:
    """One run in a zygote, until its last reply.

    :param began: when the request came, by the monotonic clock.
    :param retire: called with the context if it is out of date.
    :param on_result: called with the result's fields.
    """

    def __init__(self, exchange: Exchange, entry: Entry, began: float, retire: Callable[[Entry], None],
                 on_result: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.number = next(_numbers)
        self._exchange = exchange
        self._entry = entry
        self._context = entry.context
        self._router = entry.context.router
        self._zygote_id = entry.context.info['zygote_id']
        self._began = began
        self._retire = retire
        self._on_result = on_result
        self._sent = 0.0
        self._handle = 0
        self._unread = 0
        self._round_trips = 0
        self._files_sent = 0
        self._bytes_sent = 0
        self._cancelled = False
        self._over = False

    def count(self, pushes: list[dict[str, Any]]) -> None:
        """Note what had to be sent before."""
        self._files_sent += sum(len(push['members']) for push in pushes)
        self._bytes_sent += sum(len(push['blob']) for push in pushes)

    def start(self, payload: dict[str, Any], round_trips: int, before: Before = NOTHING) -> None:
        """Send it to the zygote.

        :param round_trips: how many it takes, with those that have been needed before.
        :param before: what is to be done first, in the same message.
        :raises mitogen.core.errors.Error: the payload may not cross the wire.
        """
        self._round_trips = round_trips
        self._sent = time.monotonic()
        self._handle = self._router.add_handler(self._on_reply, source=self._zygote_id)
        try:
            kind, packed = pack_value(payload)
            if before.steps:
                before.perform([self._zygote_id, handles.RUN, self._handle, packed], self._on_staged)
            else:
                self._router.send_packed(self._zygote_id, handles.RUN, kind, packed, self._handle)
        except Error:
            self._router.del_handler(self._handle)
            raise
        self._exchange.usage.add_trip(len(packed))
        self._entry.take()
        self._exchange.on_cancel = self._cancel

    def _on_staged(self, failure: dict[str, Any] | None) -> None:
        """What is done before it has been done, or has failed."""
        if failure is not None:
            self._fail(failure)
        elif self._cancelled:
            # The request to end it may have come before the one to start it.
            self._cancel()

    def _fail(self, failure: dict[str, Any]) -> None:
        if not self._over:
            self._end()
            self._exchange.fail(failure)

    def _end(self) -> None:
        self._over = True
        self._router.del_handler(self._handle)
        self._entry.release()

    def _on_reply(self, message: Any) -> None:
        if self._over:
            return
        self._exchange.usage.received += len(message.data)
        if message.frame.kind == RAW:
            self._unread += 1
            if self._unread > WINDOW:
                # It does not wait for the client to read, and would fill memory.
                self._break('sent more output than may be under way')
                return
            self._exchange.send(protocol.OUTPUT, message.data)
            if self._cancelled:
                self._acknowledge()
            else:
                self._exchange.when_drained(self._acknowledge)
            return
        try:
            result = message.decode()
            answer = self._completed(result)
            if self._on_result is not None:
                self._on_result(result)
        except ChannelError as exc:
            self._end()
            self._exchange.fail(protocol.context_lost(str(exc), started=True))
        except CallError as exc:
            self._end()
            if exc.type_name == OUTDATED:
                self._retire(self._entry)
                self._exchange.fail(protocol.context_lost('the connection is out of date', started=False))
            else:
                self._exchange.fail(protocol.job_failed(exc.message))
        except (Error, LookupError, TypeError, ValueError):
            self._break('sent a result that cannot be understood')
        else:
            self._end()
            self._exchange.finish(protocol.DONE, answer)

    def _break(self, offence: str) -> None:
        """The zygote has broken the protocol: nothing more is taken from it for this job."""
        self._end()
        self._router.complain(self._context.context_id, offence)
        self._router.send(self._zygote_id, handles.CANCEL, {'job': self.number})
        self._exchange.fail(protocol.job_failed('%s %s' % (self._context.name, offence)))

    def _completed(self, result: dict[str, Any]) -> dict[str, Any]:
        ms, rc, streamed = result['ms'], result['rc'], result['stdout_streamed']
        out, err, accounts = result['stdout'], result['stderr'], result['accounts']
        # Not converted: bytes() of a number makes that many.
        if not (type(out) is bytes and type(err) is bytes and type(rc) is int and 0 <= rc < 1 << 16
                and type(ms) in (int, float) and abs(ms) < 1e12 and type(streamed) is int and 0 <= streamed < 1 << 63
                and type(accounts) is int):
            raise TypeError('fields of other types')
        self._entry.accounts_are(accounts)
        wire = (time.monotonic() - self._sent) * 1000 - ms
        usage = self._exchange.usage
        usage.run_ms += ms
        usage.wire_ms += wire
        usage.queued_ms += (self._sent - self._began) * 1000
        return {
            'rc': rc, 'stdout': out, 'stderr': err, 'ms': ms, 'round_trips': self._round_trips,
            'executable': self._context.info['executable'], 'files_sent': self._files_sent,
            'bytes_sent': self._bytes_sent, 'stdout_streamed': streamed,
            'timings': {'queued': round((self._sent - self._began) * 1000, 3), 'wire': round(wire, 3)},
        }

    def _acknowledge(self) -> None:
        if self._unread:
            self._router.send(self._zygote_id, handles.ACK, {'job': self.number, 'chunks': self._unread})
            self._unread = 0

    def _cancel(self) -> None:
        """The client is gone: so shall the job be."""
        self._cancelled = True
        # What the client was too slow to read holds up the job's end.
        self._acknowledge()
        self._router.send(self._zygote_id, handles.CANCEL, {'job': self.number})
