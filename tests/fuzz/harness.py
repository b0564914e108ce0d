"""Coverage-guided fuzzing of what reads bytes from below, by atheris.

    python tests/fuzz/harness.py TARGET [libFuzzer's options and folders]

Ends with a traceback, and the input that led to it in a file named ``crash-…``, when a property does not hold.
"""

import logging
import struct
import sys
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=['mitogen']):
    from mitogen.core import frames, handles, payload
    from mitogen.core.errors import FrameError, PayloadError
    from mitogen.core.frames import HEADER_SIZE, MAX_PAYLOAD, Frame, FrameParser, pack
    from mitogen.core.messages import Receiver
    from mitogen.core.payload import ContextRef, MailboxRef
    from mitogen.core.router import MAX_OFFENDERS, Router
    from mitogen.parent.bootstrap import Greeting, GreetingParser
    from mitogen.parent.routes import Routes
    from mitogen.records import RecordSink
    from mitogen.responder import ModuleResponder

#: Everything that decoding may make.
PLAIN = (type(None), bool, int, float, str, bytes, list, tuple, dict, set, ContextRef, MailboxRef)


def parse(pieces: list[bytes]) -> tuple[list[Frame], str]:
    """Return the frames in a stream, and the fault that ended it."""
    parser = FrameParser()
    found: list[Frame] = []
    try:
        for piece in [*pieces, b'', b'']:
            found += parser.feed(piece)
            assert parser.pending <= HEADER_SIZE + MAX_PAYLOAD + len(piece)
    except FrameError as exc:
        return found, str(exc)
    return found, ''


def fuzz_frames(data: bytes) -> None:
    """However a stream is cut, the same comes out of it, and it is what was put in."""
    provider = atheris.FuzzedDataProvider(data)
    cuts = [provider.ConsumeIntInRange(0, 200) for _ in range(provider.ConsumeIntInRange(0, 8))]
    stream = provider.ConsumeBytes(provider.remaining_bytes())
    pieces, rest = [], stream
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    found, fault = parse([stream])
    assert parse([*pieces, rest]) == (found, fault)
    at = 0
    for frame in found:
        packed = pack(frame)
        # The byte that is not looked at.
        assert stream[at:at + 3] + b'\0' + stream[at + 4:at + len(packed)] == packed
        at += len(packed)


def check_plain(value: Any) -> None:
    """Check that decoding has made nothing but plain data."""
    assert type(value) in PLAIN, type(value)
    if type(value) in (list, tuple, set):
        for item in value:
            check_plain(item)
    elif type(value) is dict:
        for key, item in value.items():
            check_plain(key)
            check_plain(item)


def fuzz_payload(data: bytes) -> None:
    """Decoding gives plain data, which can be sent on, or a PayloadError."""
    if data[:1] == b'T' and len(data) > 2:
        # Most inputs get a length that fits: else few would come further than that.
        cut = data[1] % (len(data) - 1)
        data = struct.pack('>I', len(data) - 2 - cut) + data[2:]
    try:
        value = payload.decode(data)
    except PayloadError:
        return
    check_plain(value)
    try:
        sent = payload.encode(value)
    except PayloadError as exc:
        assert 'a number of' in str(exc), exc
        return
    assert len(sent) < 20 * len(data) + 100
    check_plain(payload.decode(sent))


def fuzz_greeting(data: bytes) -> None:
    """What a starting child prints is a greeting of the right types, or noise; little of it is kept."""
    parser = GreetingParser()
    greeting = parser.feed(data[:len(data) // 2]) or parser.feed(data[len(data) // 2:])
    assert len(parser.all_output()) <= 200000
    if greeting is not None:
        assert type(greeting) is Greeting
        assert all(type(part) is int for part in [*greeting.version, greeting.pid, greeting.uid])
        assert type(greeting.executable) is str
        assert type(greeting.chosen) is str


class Broker:
    """Runs what is deferred at once."""

    ended = False

    def __init__(self) -> None:
        self.at_end: list[Any] = []

    def is_current(self) -> bool:
        return True

    def defer(self, func: Any, *args: Any) -> None:
        func(*args)


class Neighbour:
    """A child's stream; keeps what is sent to it."""

    def __init__(self, remote_id: int) -> None:
        self.remote_id = remote_id
        self.sent: list[Frame] = []
        self.closed = ''

    def send(self, frame: Frame) -> None:
        pack(frame)
        self.sent.append(frame)

    def close(self, broker: Any, reason: str) -> None:
        self.closed = reason


class Complaints(logging.Handler):
    """Counts what is logged of children, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == 'mitogen.router' and record.args:
            what = str(record.args[1])  # type: ignore[index]
            self.count[what] = self.count.get(what, 0) + 1


HOSTILE, HONEST, BEHIND, EXPECTED = 1, 2, 3, 10
HANDLES = [value for name, value in vars(handles).items() if name.isupper() and isinstance(value, int)]
IDS = [0, HOSTILE, HONEST, BEHIND, EXPECTED, EXPECTED + 1, 11, 4711, 2 ** 32 - 1]
COMPLAINTS = Complaints()
TEXTS = ['mitogen', 'mitogen.core', 'os', '__main__', '../x', 'core/frames.py', '', 'a.b', '\0', '\ud800', 'x' * 600]


def make_value(provider: Any, depth: int = 0) -> Any:
    """Return data such as a child might send."""
    kind = provider.ConsumeIntInRange(0, 9 if depth < 3 else 5)
    if kind < 6:
        return (None, provider.PickValueInList(IDS), provider.PickValueInList(TEXTS), provider.ConsumeInt(8),
                provider.ConsumeFloat(), provider.ConsumeBytes(5))[kind]
    items = [make_value(provider, depth + 1) for _ in range(provider.ConsumeIntInRange(0, 4))]
    if kind == 6:
        return {provider.PickValueInList([*TEXTS, '!', 5]): item for item in items}
    return items if kind < 9 else tuple(items)


def fuzz_router(data: bytes) -> None:
    """A child can change nothing but its own: whatever it sends, to whatever mailbox, in whatever name."""
    provider = atheris.FuzzedDataProvider(data)
    COMPLAINTS.count.clear()
    root = Router(Broker(), 0)
    Routes(root)
    RecordSink(root)
    ModuleResponder(root, ['mitogen.core.handles', 'nothing'])
    root.add_handler(lambda message: message.reply(root.routes.give(message.src_id, int(message.decode()) % 5)),
                     handles.ALLOCATE_ID, source=-1)
    hostile, honest = Neighbour(HOSTILE), Neighbour(HONEST)
    for number, stream in ((HOSTILE, hostile), (HONEST, honest), (BEHIND, honest)):
        root.register(number, stream)
    root.routes.reserve(EXPECTED, HONEST)
    root.routes.reserve(EXPECTED + 1, HOSTILE)
    answer = Receiver(root, source=HONEST)
    own = Receiver(root, source=HOSTILE)
    contexts = len(root._contexts)
    while provider.remaining_bytes() and not hostile.closed:
        handle = provider.PickValueInList([*HANDLES, answer.handle, own.handle, 0, 999, 4711])
        kind = provider.PickValueInList([frames.DATA, frames.DATA, frames.RAW, frames.ERROR, frames.DEAD])
        try:
            content = provider.ConsumeBytes(40) if provider.ConsumeBool() else payload.encode(make_value(provider))
        except (PayloadError, UnicodeError, TypeError):
            continue
        ids = [provider.PickValueInList(IDS) for _ in range(3)]
        root.receive(Frame(ids[0], provider.PickValueInList([HOSTILE, ids[1]]), ids[2], handle,
                           provider.PickValueInList([0, 77, handle]), kind, content), hostile)
    assert answer.empty()
    assert not honest.sent
    for number, stream in ((HONEST, honest), (BEHIND, honest)):
        assert root.stream_to(number) is stream
    assert root.stream_to(EXPECTED) is None
    assert root.stream_to(0) is None
    assert len(root._contexts) == contexts
    assert all(count <= MAX_OFFENDERS for count in COMPLAINTS.count.values()), COMPLAINTS.count


TARGETS = {'frames': fuzz_frames, 'payload': fuzz_payload, 'greeting': fuzz_greeting, 'router': fuzz_router}


def main() -> None:
    """See the text at the top."""
    target = TARGETS[sys.argv.pop(1)]
    logger = logging.getLogger('mitogen')
    logger.addHandler(COMPLAINTS)
    logger.propagate = False
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
