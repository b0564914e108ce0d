"""The blocking client of the multiplexer: what connection plugins use."""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple, NoReturn

from ansible_mitogen.mux import protocol
from ansible_mitogen.mux.api import (
    Before,
    Completed,
    ContextInfo,
    ContextLost,
    Either,
    Hop,
    HopFailed,
    JobFailed,
    ModuleCall,
    MuxError,
    MuxGone,
    StageFailed,
    Step,
    TransferFailed,
)
from ansible_mitogen.target.files import Destination, current_umask
from ansible_mitogen.target.runner import OTHER_RAN
from mitogen.core.errors import Error as RuntimeFault
from mitogen.core.frames import FrameParser

__all__ = ['Completed', 'ContextInfo', 'ContextLost', 'Hop', 'HopFailed', 'JobFailed', 'ModuleCall', 'MuxClient',
           'MuxError', 'MuxGone', 'TransferFailed']

#: Types into a hop: gets the hop's index and all that it printed since the last answer, returns what to type, or None.
#: It may raise to give the hop up.
Dialogue = Callable[[int, bytes], bytes | None]

#: Surrounds the wait for an answer: gets what ends it from another thread.
Waiting = Callable[[Callable[[], None]], AbstractContextManager[None]]

#: Pause between attempts to connect while the multiplexer is starting, in seconds.
_RETRY = 0.005

NOTHING = Before()


class _Ahead(NamedTuple):
    """A context that was asked for, without waiting for it."""

    keys: tuple[str, ...]
    dialogue: Dialogue
    exchange: '_Exchange'


class MuxClient:
    """A connection to the multiplexer.

    It connects on first use. One request at a time: threads that share a client wait for each
    other. After a fork the child gets a connection of its own. When an exception such as
    KeyboardInterrupt leaves a method early, the connection is closed, which cancels the request
    on the target; the next request connects anew.

    Besides what is said of each method, all raise :class:`MuxGone`, and those that take a
    context raise :class:`ContextLost`.

    :param path: the multiplexer's socket.
    :param deadline: seconds to wait for it to listen.
    :param waiting: called for a context manager around each wait for an answer.
    :param known: contexts that clients of this multiplexer have opened, by the keys of their hops; shared with others.
    """

    #: What the costs of further requests are counted for; '' for nothing.
    label = ''

    def __init__(self, path: str, deadline: float = 10, waiting: Waiting | None = None,
                 known: dict[tuple[str, ...], ContextInfo] | None = None) -> None:
        self._known = {} if known is None else known
        self.path = path
        self.deadline = deadline
        self.waiting: Waiting = waiting or _just_wait
        self._sock: socket.socket | None = None
        self._pid = 0
        self._gone = ''
        self._request = 0
        self._parser = FrameParser()
        self._received: list[protocol.Packet] = []
        self._ahead: _Ahead | None = None
        self._lock = threading.Lock()

    def known(self, hops: Sequence[Hop]) -> ContextInfo | None:
        """Return the context at the end of `hops` if it was open the last time that someone here asked for it.

        It may have been closed since. Whoever uses it is told so, before anything is done. None also if the multiplexer
        is gone, of which :meth:`open` tells.
        """
        found = self._known.get(_keys(hops))
        return found if found is not None and self._ahead is None and self._is_served() else None

    def _is_served(self) -> bool:
        with self._lock:
            try:
                poll = select.poll()
                poll.register(self._connect(), select.POLLIN)
            except MuxGone:
                return False
            # Between requests there is nothing to be read but the end.
            return not poll.poll(0)

    def forget(self, context: ContextInfo) -> None:
        """A context has proved to be closed."""
        if self._known.get(context.keys) == context:
            self._known.pop(context.keys, None)

    def open(self, hops: Sequence[Hop], dialogue: Dialogue) -> ContextInfo:
        """Return the context at the end of `hops`, which is opened unless it is open.

        :param dialogue: called for hops that may prompt; what it raises is raised here.
        :raises HopFailed: one of them could not be opened.
        """
        keys = _keys(hops)
        with self._lock, self._asked_ahead(keys) or self._ask(hops) as exchange:
            return self._wait_for(exchange, keys, dialogue)

    def open_ahead(self, hops: Sequence[Hop], dialogue: Dialogue) -> None:
        """Ask for the context at the end of `hops` without waiting for it: the next call of :meth:`open` does.

        It need not be for the same hops. Any other request gives this one up.
        """
        with self._lock:
            self._ahead = _Ahead(_keys(hops), dialogue, self._ask(hops))

    def _ask(self, hops: Sequence[Hop]) -> '_Exchange':
        exchange = _Exchange(self)
        try:
            exchange.send(protocol.OPEN, {'hops': [
                [list(hop.argv), hop.name, hop.key, hop.needs_tty, hop.may_prompt, hop.deadline, hop.cwd,
                 None if hop.env is None else dict(hop.env), list(hop.sources)] for hop in hops]})
        except BaseException:
            # Half of a request may have been sent.
            self._disconnect()
            raise
        return exchange

    def _asked_ahead(self, keys: tuple[str, ...]) -> '_Exchange | None':
        """Return the exchange in which the context with `keys` has been asked for; None if it has not."""
        ahead = self._ahead
        if ahead is None or not ahead.exchange.is_current():
            return None
        if ahead.keys == keys:
            self._ahead = None
            return ahead.exchange
        if ahead.keys == keys[:len(ahead.keys)]:
            # The first part of the same way: if that fails, all of it does.
            self._ahead = None
            with ahead.exchange as exchange:
                self._wait_for(exchange, ahead.keys, ahead.dialogue)
        return None

    def _wait_for(self, exchange: '_Exchange', keys: tuple[str, ...], dialogue: Dialogue) -> ContextInfo:
        raised: list[BaseException] = []
        while True:
            try:
                what, _, body = exchange.receive()
            except MuxError:
                if raised:
                    raise raised[0] from None
                raise
            if what == protocol.OPENED:
                body['python_version'] = tuple(body['python_version'])
                context = ContextInfo(**body, keys=keys)
                # What opening it was like is of interest once.
                self._known[keys] = replace(context, fresh=False, timings={}, said=b'')
                return context
            try:
                text = dialogue(body['hop'], body['output'])
            except Exception as exc:
                raised.append(exc)
                exchange.send(protocol.ABANDON, {})
            else:
                exchange.send(protocol.TYPE, {'text': text})

    def run_module(self, context: ContextInfo, call: ModuleCall, before: Before = NOTHING,
                   either: Either | None = None) -> Completed:
        """Run a module in a process forked from the context's warm one.

        :param before: what is done first, in the same message.
        :param either: a module that is perhaps run instead. (It is not if the two cannot be sent together.)
        :raises StageFailed: a step of `before` failed.
        :raises HopFailed: the interpreter asked for cannot be started there, or the call is too
            large: run it through a shell.
        :raises JobFailed: it could not be started.
        """
        if len(call.params) > protocol.MAX_JOB_INPUT:
            raise HopFailed(0, 'spawn', 'the arguments of %s are too large to be sent in one message' % call.module_fqn)
        fields = {
            'context': _reference(context), 'zip_id': call.zip_id, 'module_fqn': call.module_fqn,
            'params': call.params, 'profile': call.profile, 'rlimit_nofile': call.rlimit_nofile,
            'date_time': call.date_time, 'extensions': dict(call.extensions), 'style': call.style,
            'mends': list(call.mends), 'env': dict(call.env), 'cwd': call.cwd, 'interpreter': call.interpreter,
            **_fields(before), 'other': None if either is None else _other(either),
        }
        zips = {call.zip_id: call.zip_base64}
        if either is not None:
            zips[either.call.zip_id] = either.call.zip_base64
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.MODULE, fields)
            answer = exchange.receive_completed()
            while not isinstance(answer, Completed):
                if answer not in zips:
                    raise MuxError('the multiplexer did not keep the zip of %s' % call.module_fqn)
                exchange.attach(zips.pop(answer))
                exchange.send(protocol.MODULE, fields)
                answer = exchange.receive_completed()
        if either is not None and answer.stdout.startswith(OTHER_RAN):
            return replace(answer, stdout=answer.stdout[len(OTHER_RAN):], other_ran=True)
        return answer

    def keep_zip(self, zip_id: str, zip_base64: str) -> None:
        """Have the multiplexer take a module's zip to pieces before the module is run.

        :raises JobFailed: it cannot.
        """
        with self._lock, _Exchange(self) as exchange:
            exchange.attach(zip_base64)
            exchange.send(protocol.KEEP, {'zip_id': zip_id})
            exchange.receive()

    def run_command(self, context: ContextInfo, argv: Sequence[str], stdin: bytes = b'', tty: bool = False,
                    env: dict[str, str] | None = None, cwd: str | None = None, before: Before = NOTHING) -> Completed:
        """Run a command on the target.

        :param before: what is done first, in the same message.
        :raises StageFailed: a step of `before` failed.
        :param argv: executed directly; ``argv[0] == ''`` means the account's login shell.
        :param tty: on a terminal of its own; its stdout and stderr are then one.
        :raises JobFailed: it could not be started.
        :raises TransferFailed: `stdin` is large, and could not be stored on the target.
        """
        fields = {'context': _reference(context), 'argv': list(argv), 'stdin': stdin, 'stdin_path': None, 'tty': tty,
                  'env': dict(env or {}), 'cwd': cwd, **_fields(before)}
        with self._lock:
            if len(stdin) > protocol.MAX_JOB_INPUT:
                with _Exchange(self) as exchange:
                    exchange.send(protocol.PUT, {'context': _reference(context), 'path': None, 'mode': 0o600,
                                                 'content': None})
                    pieces = (stdin[at:at + protocol.CHUNK] for at in range(0, len(stdin), protocol.CHUNK))
                    fields.update(stdin=b'', stdin_path=exchange.send_file(pieces))
            with _Exchange(self) as exchange:
                exchange.send(protocol.COMMAND, fields)
                completed = exchange.receive_completed()
                if not isinstance(completed, Completed):
                    raise MuxError('unexpected answer to a command')
                return completed

    def stage(self, context: ContextInfo, steps: Sequence[Step], wait: bool = True) -> None:
        """Do steps in a context, without a job.

        :param wait: for their end. Else what goes wrong is in the log of the multiplexer.
        :raises StageFailed: one of them failed.
        """
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.STAGE, {'context': _reference(context), 'steps': [list(step) for step in steps],
                                           'wait': wait})
            exchange.receive()

    def home_of(self, context: ContextInfo, name: str) -> tuple[str, int]:
        """Return what a shell in the context makes of ``~name``, and the round trips that it took.

        :param name: an account there; '' for the context's own.
        """
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.HOME, {'context': _reference(context), 'name': name})
            body = exchange.receive().body
            return body['path'], body['round_trips']

    def put_file(self, context: ContextInfo, source_path: str, target_path: str, mode: int | None = None) -> None:
        """Copy a local file to the target, through a temporary name beside `target_path` where that is possible.

        :param mode: permissions, from which the account's umask is taken; None keeps those of a file
            that is there.
        :raises OSError: the local file cannot be read.
        :raises TransferFailed: the remote one cannot be written.
        """
        with open(source_path, 'rb', buffering=0) as source, self._lock, _Exchange(self) as exchange:
            first = _read_full(source, protocol.INLINE)
            small = len(first) < protocol.INLINE
            exchange.send(protocol.PUT, {'context': _reference(context), 'path': target_path, 'mode': mode,
                                         'content': first if small else None})
            if small:
                exchange.receive()
            else:
                exchange.send_file(_pieces_of_file(first, source))

    def fetch_file(self, context: ContextInfo, source_path: str, target_path: str) -> None:
        """Copy a file of the target to a local one, with its permissions if there is none yet.

        :raises OSError: the local file cannot be written.
        :raises TransferFailed: the remote one cannot be read.
        """
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.FETCH, {'context': _reference(context), 'path': source_path})
            packet = exchange.receive()
            # Only now: a file that cannot be fetched leaves none behind.
            is_new = not os.path.lexists(target_path)
            destination = Destination(target_path)
            try:
                while packet.what == protocol.CHUNK_OF_FILE:
                    destination.write(packet.body)
                    packet = exchange.receive()
                destination.commit()
                if is_new:
                    # As sftp does: those of the file there, less the umask, and writable.
                    os.chmod(target_path, (packet.body['mode'] | 0o200) & 0o777 & ~current_umask())
            except BaseException:
                destination.abandon()
                raise

    def usage_of(self, label: str) -> dict[str, float]:
        """Return the costs that were counted for a label, and have them forgotten.

        The names are those of the fields of :class:`ansible_mitogen.mux.usage.Usage`.
        """
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.USAGE, {'label': label})
            body: dict[str, float] = exchange.receive().body
            return body

    def close_context(self, context: ContextInfo) -> None:
        """End that context and all that were opened through it. One that is gone already is no error."""
        self.forget(context)
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.CLOSE, {'context': _reference(context)})
            exchange.receive()

    def close_idle(self) -> None:
        """End the contexts of hosts that nothing is under way on, but for those which batch after batch has used."""
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.CLOSE_IDLE, {})
            exchange.receive()

    def close_accounts(self, context: ContextInfo) -> None:
        """End the idle contexts of other accounts of the host that a context is on."""
        with self._lock, _Exchange(self) as exchange:
            exchange.send(protocol.CLOSE_ACCOUNTS, {'context': _reference(context)})
            exchange.receive()

    def shutdown(self) -> None:
        """End the multiplexer, with all contexts. One that is gone already is no error."""
        with self._lock:
            try:
                with _Exchange(self) as exchange:
                    exchange.send(protocol.SHUTDOWN, {})
                    exchange.receive()
            except MuxGone:
                pass
            self._disconnect()

    def interrupt(self) -> None:
        """End a request that another thread waits for: it gets :class:`MuxGone` there, and is cancelled."""
        sock = self._sock
        if sock is not None:
            _end_connection(sock)

    def close(self) -> None:
        """Close the connection; contexts stay open."""
        with self._lock:
            self._disconnect()

    def _connect(self) -> socket.socket:
        if self._gone:
            raise MuxGone(self._gone)
        if self._sock is not None and self._pid == os.getpid():
            return self._sock
        self._disconnect()
        give_up = time.monotonic() + self.deadline
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.path)
                break
            except (FileNotFoundError, ConnectionRefusedError) as exc:
                sock.close()
                if time.monotonic() > give_up:
                    self._lost('the multiplexer does not listen on %s: %s' % (self.path, exc.strerror))
                time.sleep(_RETRY)
            except BaseException:
                sock.close()
                raise
        self._sock, self._pid = sock, os.getpid()
        self._parser = FrameParser()
        self._received = []
        return sock

    def _disconnect(self) -> None:
        if self._sock is not None:
            # In a forked child this closes the child's copy only: the parent's connection lives on. In the process that
            # made it the connection ends, whoever else was forked with a copy.
            if self._pid == os.getpid():
                _end_connection(self._sock)
            self._sock.close()
            self._sock = None

    def _lost(self, message: str) -> NoReturn:
        self._gone = message
        self._disconnect()
        raise MuxGone(message)


class _Exchange:
    """One request with its answers. Leaving it early breaks the connection: no answer is taken for another's."""

    def __init__(self, client: MuxClient) -> None:
        if client._ahead is not None:
            if client._ahead.exchange.is_current():
                client._disconnect()
            client._ahead = None
        self._client = client
        self._sock = client._connect()
        self._ended = False
        client._request += 1
        self.request = client._request

    def __enter__(self) -> '_Exchange':
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._ended:
            self._client._disconnect()

    def is_current(self) -> bool:
        """Whether the connection that it belongs to is still that of its client."""
        return self._client._sock is self._sock and self._client._pid == os.getpid()

    def send(self, what: int, body: dict[str, Any]) -> None:
        if self._client.label and what not in protocol.CONTINUATIONS:
            body.setdefault('label', self._client.label)
        try:
            encoded = protocol.encode(what, self.request, body)
        except RuntimeFault as exc:
            raise MuxError('cannot send the request: %s' % exc) from exc
        self.send_bytes(encoded)

    def send_bytes(self, encoded: bytes) -> None:
        try:
            self._sock.sendall(encoded)
        except OSError as exc:
            self._client._lost('the multiplexer went away: %s' % exc.strerror)

    def receive(self) -> protocol.Packet:
        """Return the next answer; FAILED is raised as the exception it stands for."""
        client = self._client
        while not client._received:
            try:
                with client.waiting(client.interrupt):
                    got = self._sock.recv(4 * protocol.CHUNK)
            except OSError as exc:
                client._lost('the multiplexer went away: %s' % exc.strerror)
            if not got:
                client._lost('the multiplexer went away')
            try:
                client._received = [protocol.decode(frame) for frame in client._parser.feed(got)]
            except RuntimeFault as exc:
                client._lost('the multiplexer sent what cannot be understood: %s' % exc)
        packet = client._received.pop(0)
        self._ended = packet.what in (protocol.DONE, protocol.OPENED, protocol.FAILED)
        if packet.what == protocol.FAILED:
            raise _failure(packet.body)
        return packet

    def receive_completed(self) -> Completed | str:
        """Collect the output of a job; if a zip must be sent first, return its ID."""
        output: list[bytes] = []
        while True:
            what, _, body = self.receive()
            if what == protocol.NEED_ZIP:
                return str(body['zip_id'])
            if what == protocol.DONE:
                break
            output.append(body)
        if output:
            streamed = b''.join(output)
            cut = body['stdout_streamed']
            body['stdout'] = streamed[:cut] + body['stdout']
            body['stderr'] = streamed[cut:] + body['stderr']
        del body['stdout_streamed']
        return Completed(**body)

    def attach(self, zip_base64: str) -> None:
        """Send what belongs to the request that follows."""
        for piece in protocol.encode_pieces(protocol.ATTACH, self.request, zip_base64.encode('ascii')):
            self.send_bytes(piece)

    def send_file(self, pieces: Iterator[bytes]) -> str:
        """Send the content announced by a PUT, and return the path it got."""
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        for piece in pieces:
            # An early answer can only be a failure: the rest need not be sent.
            if poller.poll(0):
                break
            self.send_bytes(protocol.encode(protocol.CHUNK_OF_FILE, self.request, piece))
        else:
            self.send(protocol.END_OF_FILE, {})
        return str(self.receive().body['path'])


def _just_wait(interrupt: Callable[[], None]) -> AbstractContextManager[None]:
    return nullcontext()


def _end_connection(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was faster.
        pass


def _keys(hops: Sequence[Hop]) -> tuple[str, ...]:
    return tuple(hop.key for hop in hops)


def _reference(context: ContextInfo) -> list[object]:
    return [context.mux, context.context_id]


def _fields(before: Before) -> dict[str, Any]:
    return {'before': [list(step) for step in before.steps], 'above': before.above}


def _other(either: Either) -> dict[str, Any]:
    call = either.call
    return {'zip_id': call.zip_id, 'module_fqn': call.module_fqn, 'params': call.params, 'profile': call.profile,
            'rlimit_nofile': call.rlimit_nofile, 'date_time': call.date_time, 'extensions': dict(call.extensions),
            'style': call.style, 'mends': list(call.mends),
            'unchanged': {'path': either.path, 'follow': either.follow, 'size': either.size, 'sha1': either.sha1}}


def _failure(body: dict[str, Any]) -> MuxError:
    error = body['error']
    if error == protocol.HOP_FAILED:
        return HopFailed(body['hop'], body['kind'], body['message'], body['output'], body['status'])
    if error == protocol.CONTEXT_LOST:
        return ContextLost(body['message'], body['started'])
    if error == protocol.STAGE_FAILED:
        return StageFailed(body['message'], body['errno'], body['step'])
    if error == protocol.TRANSFER_FAILED:
        return TransferFailed(body['message'], body['errno'])
    if error == protocol.JOB_FAILED:
        return JobFailed(body['message'])
    return MuxError(body['message'])


def _read_full(source: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: a FIFO gives less at a time."""
    pieces, wanted = [], size
    while wanted:
        piece = source.read(wanted)
        if not piece:
            break
        pieces.append(piece)
        wanted -= len(piece)
    return b''.join(pieces)


def _pieces_of_file(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    piece = first
    while piece:
        yield piece
        piece = _read_full(source, protocol.CHUNK)
