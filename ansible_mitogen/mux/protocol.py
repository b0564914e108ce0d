"""What clients and the multiplexer say to each other on the UNIX socket, as bytes. No I/O here.

The frames of the wire between contexts are used (:mod:`mitogen.core.frames`): `handle` says what
the message is, `reply_to` is the number of the request that it belongs to, and the context IDs are 0.
A client has one request under way at a time.
A request may also have a field ``label``: what it costs is counted for that.
"""

from collections.abc import Iterator
from types import NoneType
from typing import Any, NamedTuple

from mitogen.core import payload
from mitogen.core.errors import PayloadError
from mitogen.core.frames import DATA, RAW, Frame, pack

#: How the key begins of a hop that leads to an account of the host before it, or of the controller.
ACCOUNT = 'account '

#: Name of the socket in its directory.
SOCKET_NAME = 'mux'

#: Content of files and attachments is cut into frames of this size.
CHUNK = 128 * 1024

#: More content than this does not ride along in one message of a transfer, or of a job's stdin.
INLINE = 128 * 1024

#: Longest `stdin` and arguments of a job: both must fit into one frame to the target, with what else is in it.
MAX_JOB_INPUT = 512 * 1024

#: Attachments of one request are kept in memory until it is whole. The largest legitimate one is a module's zip.
MAX_ATTACHED = 64 << 20

#: Longest text in an answer. Some of it is what targets say.
MAX_TEXT = 64 * 1024

# Requests of the client.
OPEN = 1  #: ``{hops: [[...]...]}``; answered by PROMPT any number of times, then OPENED or FAILED
TYPE = 2  #: ``{text: bytes|None}``: answer to PROMPT
ABANDON = 3  #: ``{}``: answer to PROMPT; the hop is given up, FAILED follows
ATTACH = 4  #: raw: a piece of the zip of the MODULE or KEEP request that follows
MODULE = 5  #: fields of a module call; answered by NEED_ZIP, or output and DONE or FAILED
COMMAND = 6  #: ``{context, argv, stdin, stdin_path, tty, env, cwd, ...}``; answered like MODULE
PUT = 7  #: ``{context, path, mode, content}``; `content` is None when CHUNKs and END follow; answered by DONE, FAILED
CHUNK_OF_FILE = 8  #: raw, both ways
END_OF_FILE = 9  #: ``{}``
FETCH = 10  #: ``{context, path}``; answered by CHUNKs, then DONE or FAILED
CLOSE = 11  #: ``{context}``; answered by DONE
SHUTDOWN = 12  #: ``{}``; answered by DONE
STAGE = 13  #: ``{context, steps, wait}``: see :mod:`ansible_mitogen.target.staging`; answered by DONE, FAILED
HOME = 14  #: ``{context, name}``; answered by DONE with ``{path, round_trips}``, or FAILED
USAGE = 15  #: ``{}``; answered by DONE with the costs of the request's label so far, which are forgotten then
CLOSE_IDLE = 16  #: ``{}``; answered by DONE
CLOSE_ACCOUNTS = 17  #: ``{context}``; answered by DONE
KEEP = 18  #: ``{zip_id}``: a zip that later requests will name, attached; answered by DONE, FAILED

# Answers of the multiplexer.
PROMPT = 20  #: ``{hop, output}``
OPENED = 21  #: fields of a context's description
NEED_ZIP = 22  #: ``{zip_id}``: the request must be sent again, with that zip attached
OUTPUT = 23  #: raw: output of a job that has much, all of stdout and then all of stderr; DONE tells how much was which
DONE = 24  #: result fields; depends on the request
FAILED = 25  #: ``{error, ...}``, see the constants below

#: What FAILED's `error` may be, and which other fields come with it.
HOP_FAILED = 'hop'  #: hop, kind, message, output, status
CONTEXT_LOST = 'lost'  #: message, started
JOB_FAILED = 'job'  #: message
TRANSFER_FAILED = 'transfer'  #: message, errno
STAGE_FAILED = 'stage'  #: message, errno, step
ABANDONED = 'abandoned'  #: message

#: What a client sends for a request that is under way.
CONTINUATIONS = frozenset([TYPE, ABANDON, CHUNK_OF_FILE, END_OF_FILE])

#: The types of the fields of :class:`HopSpec`.
_HOP_TYPES: tuple[Any, ...] = (list, str, str, bool, bool, (int, float), (str, NoneType), (dict, NoneType), list)

_RAW_KINDS = frozenset([ATTACH, CHUNK_OF_FILE, OUTPUT])
_KINDS = frozenset(range(OPEN, KEEP + 1)) | frozenset(range(PROMPT, FAILED + 1))


class Packet(NamedTuple):
    """One message on the socket: what it is, the request it belongs to, and its decoded content."""

    what: int
    request: int
    body: Any


def encode(what: int, request: int, body: Any) -> bytes:
    """Return the bytes of one message; `body` is bytes for the raw kinds, else plain data.

    :raises mitogen.core.errors.Error: it cannot be sent: too large, or not plain data.
    """
    if what in _RAW_KINDS:
        return pack(Frame(0, 0, 0, what, request, RAW, body))
    return pack(Frame(0, 0, 0, what, request, DATA, payload.encode(body)))


def encode_pieces(what: int, request: int, content: bytes) -> Iterator[bytes]:
    """Yield the messages that carry `content` of any size as raw pieces."""
    view = memoryview(content)
    for start in range(0, len(content), CHUNK):
        yield encode(what, request, bytes(view[start:start + CHUNK]))


_CONTEXT = {'context': list}
#: `before`: steps done first, by the context that is so many levels `above` the one that runs the job.
_JOB = {**_CONTEXT, 'env': dict, 'cwd': (str, NoneType), 'before': list, 'above': int}

#: The fields that a request must have, and their types.
FIELDS: dict[int, dict[str, Any]] = {
    OPEN: {'hops': list},
    TYPE: {'text': (bytes, NoneType)},
    MODULE: {**_JOB, 'zip_id': str, 'module_fqn': str, 'params': str, 'profile': str, 'rlimit_nofile': int,
             'date_time': object, 'extensions': dict, 'style': str, 'mends': list, 'interpreter': str,
             'other': (dict, NoneType)},
    COMMAND: {**_JOB, 'argv': list, 'stdin': bytes, 'stdin_path': (str, NoneType), 'tty': bool},
    PUT: {**_CONTEXT, 'path': (str, NoneType), 'mode': (int, NoneType), 'content': (bytes, NoneType)},
    FETCH: {**_CONTEXT, 'path': str},
    CLOSE: _CONTEXT,
    CLOSE_ACCOUNTS: _CONTEXT,
    STAGE: {**_CONTEXT, 'steps': list, 'wait': bool},
    HOME: {**_CONTEXT, 'name': str},
    KEEP: {'zip_id': str},
}

#: The fields of the other module that a MODULE request may name, see :class:`ansible_mitogen.mux.api.Either`.
OTHER_FIELDS: dict[str, Any] = {
    'zip_id': str, 'module_fqn': str, 'params': str, 'profile': str, 'rlimit_nofile': int, 'date_time': object,
    'extensions': dict, 'style': str, 'mends': list, 'unchanged': dict}


def decode(frame: Frame) -> Packet:
    """Return what `frame` says.

    :raises mitogen.core.errors.PayloadError: it is none of this protocol's messages.
    """
    if frame.handle not in _KINDS or frame.kind != (RAW if frame.handle in _RAW_KINDS else DATA):
        raise PayloadError('message %d of kind %d is not known' % (frame.handle, frame.kind))
    if frame.kind == RAW:
        return Packet(frame.handle, frame.reply_to, frame.payload)
    body = payload.decode(frame.payload)
    if not isinstance(body, dict):
        raise PayloadError('message %d holds no fields' % frame.handle)
    _check(frame.handle, body, FIELDS.get(frame.handle, {}))
    if body.get('other') is not None:
        _check(frame.handle, body['other'], OTHER_FIELDS)
    return Packet(frame.handle, frame.reply_to, body)


def _check(what: int, fields: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, types in wanted.items():
        if name not in fields or not isinstance(fields[name], types):
            raise PayloadError('message %d has no proper field %s' % (what, name))


def decode_hops(listing: list[Any]) -> 'list[HopSpec]':
    """Return the hops of an OPEN request.

    :raises mitogen.core.errors.PayloadError: they are malformed, or there is none.
    """
    hops = []
    for fields in listing:
        if not isinstance(fields, list) or len(fields) != len(_HOP_TYPES) or not all(
                map(isinstance, fields, _HOP_TYPES)) or not all(
                    isinstance(word, str) for word in fields[0] + fields[-1]):
            raise PayloadError('a malformed hop')
        hops.append(HopSpec(*fields))
    if not hops:
        raise PayloadError('a request to open no hop')
    return hops


class HopSpec(NamedTuple):
    """A hop as it comes from the client; see :class:`ansible_mitogen.mux.api.Hop`."""

    argv: list[str]
    name: str
    key: str
    needs_tty: bool
    may_prompt: bool
    deadline: float
    cwd: str | None
    env: dict[str, str] | None
    sources: list[str]


def hop_failed(hop: int, kind: str, message: str, output: bytes = b'', status: int | None = None) -> dict[str, Any]:
    """The fields of FAILED that become :class:`ansible_mitogen.mux.api.HopFailed`."""
    return {'error': HOP_FAILED, 'hop': hop, 'kind': kind, 'message': message[:MAX_TEXT], 'output': output[-MAX_TEXT:],
            'status': status}


def context_lost(message: str, started: bool) -> dict[str, Any]:
    """The fields of FAILED that become :class:`ansible_mitogen.mux.api.ContextLost`."""
    return {'error': CONTEXT_LOST, 'message': message[:MAX_TEXT], 'started': started}


def job_failed(message: str) -> dict[str, Any]:
    """The fields of FAILED that become :class:`ansible_mitogen.mux.api.JobFailed`."""
    return {'error': JOB_FAILED, 'message': message[:MAX_TEXT]}


def transfer_failed(message: str, errno: int = 0) -> dict[str, Any]:
    """The fields of FAILED that become :class:`ansible_mitogen.mux.api.TransferFailed`."""
    return {'error': TRANSFER_FAILED, 'message': message[:MAX_TEXT], 'errno': errno}


def stage_failed(message: str, errno: int, step: int) -> dict[str, Any]:
    """The fields of FAILED that become :class:`ansible_mitogen.mux.api.StageFailed`."""
    return {'error': STAGE_FAILED, 'message': message[:MAX_TEXT], 'errno': errno, 'step': step}
