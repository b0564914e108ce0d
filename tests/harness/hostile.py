"""A child that is started like any other, greets, and then speaks the wire by hand to do harm.

    python hostile.py ATTACK

Its parent sends it a first message: DATA with what the attack wants to know. The attack's
outcome, or nothing, is sent to the mailbox that this message names for an answer.
"""

import functools
import json
import os
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from mitogen.core import frames, handles, payload
from mitogen.core.frames import DATA, DEAD, ERROR, RAW, Frame, pack
from mitogen.core.router import MAX_REQUEST

ATTACKS: dict[str, Callable[['Wire', Any], Any]] = {}

#: A mailbox of the hostile child itself.
MINE = 5000

MIB = 1 << 20


def attack(func: Callable[['Wire', Any], Any]) -> Callable[['Wire', Any], Any]:
    """Make a function an attack of its name."""
    ATTACKS[func.__name__] = func
    return func


def greet(**fields: Any) -> None:
    """Print the greeting, true or not."""
    greeting = {'version': list(sys.version_info[:3]), 'executable': sys.executable, 'chosen': 'hostile',
                'pid': os.getpid(), 'uid': os.getuid(), **fields}
    sys.stdout.write('MITOGEN-1 %s\n' % json.dumps(list(greeting.values())))
    sys.stdout.flush()


class Wire:
    """The stream to the parent."""

    def __init__(self) -> None:
        self.socket = socket.socket(fileno=os.dup(0))
        self.socket.setblocking(True)
        read = self.socket.makefile('rb', 0).read
        _, config = (self._exactly(read, int(self._exactly(read, 8))) for _ in range(2))
        told = json.loads(config)
        self.id: int = told['context_id']
        if told.get('zygote_id'):
            self._exactly(read, int(self._exactly(read, 8)))
        self._parser = frames.FrameParser()
        self._frames: list[Frame] = []

    @staticmethod
    def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
        block = b''
        while len(block) < size:
            block += read(size - len(block))
        return block

    def frame(self, handle: int, value: Any = None, dst: int = 0, src: int | None = None, auth: int = 0,
              reply_to: int = 0, kind: int = DATA, data: bytes | None = None) -> bytes:
        """Return the bytes of a frame."""
        return pack(Frame(dst, self.id if src is None else src, auth, handle, reply_to, kind,
                          payload.encode(value) if data is None else data))

    def send(self, handle: int, value: Any = None, **fields: Any) -> None:
        """Send a frame."""
        self.socket.sendall(self.frame(handle, value, **fields))

    def flood(self, frame: bytes, count: int) -> None:
        """Send the same frame over and over."""
        block = frame * min(count, max(1, MIB // len(frame)))
        for _ in range(0, count, len(block) // len(frame)):
            self.socket.sendall(block)

    def read(self) -> Frame:
        """Return the next frame from the parent; ends the process at the end of the stream."""
        while not self._frames:
            received = self.socket.recv(MIB)
            if not received:
                os._exit(0)
            self._frames += self._parser.feed(received)
        return self._frames.pop(0)

    def frames(self) -> Iterator[Frame]:
        """Return what comes from the parent, for ever."""
        while True:
            yield self.read()

    def ask(self, handle: int, value: Any, **fields: Any) -> Any:
        """Send a request, and return what is answered; None for a DEAD message."""
        self.send(handle, value, reply_to=MINE, **fields)
        for frame in self.frames():
            if frame.handle == MINE:
                break
        return None if frame.kind == DEAD else frame.payload if frame.kind == RAW else payload.decode(frame.payload)


@functools.cache
def bomb(size: int = 1 << 27) -> bytes:
    """Return what decompresses to so many zeros."""
    squeezer = zlib.compressobj(9)
    return b''.join(squeezer.compress(bytes(MIB)) for _ in range(size // MIB)) + squeezer.flush()


# What breaks the stream


@attack
def bad_magic(wire: Wire, told: Any) -> None:
    wire.socket.sendall(b'Last login: yesterday, from somewhere nice and warm\n' * 3)


@attack
def unknown_kind(wire: Wire, told: Any) -> None:
    wire.socket.sendall(struct.pack('>HBxIIIIII', frames.MAGIC, 9, 0, wire.id, 0, 100, 0, 0))


@attack
def oversize_frame(wire: Wire, told: Any) -> None:
    wire.socket.sendall(struct.pack('>HBxIIIIII', frames.MAGIC, RAW, 0, wire.id, 0, 100, 0, (1 << 32) - 1))
    for _ in range(500):
        wire.socket.sendall(bytes(MIB))


@attack
def truncated_frame(wire: Wire, told: Any) -> None:
    wire.socket.sendall(wire.frame(100, 'x' * 1000)[:-1])
    os._exit(0)


@attack
def own_end(wire: Wire, told: Any) -> None:
    wire.send(handles.DEL_ROUTE, [wire.id, 'I am not here'])


# What it may not say


@attack
def forged_source(wire: Wire, told: Any) -> None:
    for src in (told['honest'], 0, wire.id + 7777, (1 << 32) - 1):
        wire.flood(wire.frame(told['answer'], 'forged', src=src), 500)


@attack
def answers_of_others(wire: Wire, told: Any) -> None:
    wire.flood(wire.frame(told['answer'], 'forged'), 500)
    wire.flood(wire.frame(told['answer'], kind=DEAD, data=b'forged'), 500)


@attack
def commands_to_the_master(wire: Wire, told: Any) -> None:
    for handle in (handles.CALL_FUNCTION, handles.SHUTDOWN, handles.LOAD_MODULE, handles.PUSH_CODE, handles.RUN,
                   handles.FORWARD_MODULES, handles.CANCEL_CALL, handles.CANCEL, handles.ACK, 0, 1, 999):
        wire.send(handle, ['os', 'mkdir', [told['mark']], {}])
        wire.send(handle, {'modules': [['os', 'x', False, 1]], 'members': [[1, 'os.py', 1]], 'blob': bomb()})


@attack
def commands_to_others(wire: Wire, told: Any) -> None:
    for _ in range(100):
        wire.send(handles.CALL_FUNCTION, ['os', 'mkdir', [told['mark']], {}], dst=told['honest'])
        wire.send(handles.SHUTDOWN, dst=told['honest'])
        wire.send(handles.DEL_ROUTE, [wire.id, ''], dst=told['honest'])


@attack
def code_of_others(wire: Wire, told: Any) -> dict[str, Any]:
    return {str(request): wire.ask(handles.GET_MODULE, request) for request in told['requests']}


@attack
def routes_of_others(wire: Wire, told: Any) -> None:
    for number in (told['honest'], 0, wire.id, *range(wire.id + 100, wire.id + 5000)):
        wire.send(handles.ADD_ROUTE, number)
    wire.send(handles.DEL_ROUTE, [told['honest'], 'it fell over'])


# What would take memory, or everybody's time


@attack
def a_million_messages(wire: Wire, told: Any) -> None:
    wire.flood(wire.frame(told['open'], 1), 1000000)


@attack
def answers_unread(wire: Wire, told: Any) -> None:
    """Ask without reading the answers, until nothing more is taken; then read them."""
    wire.socket.settimeout(1)
    block = b''.join(wire.frame(4711, 'x', reply_to=MINE) for _ in range(1000))
    sent = 0
    try:
        while sent < 1 << 31:
            sent += wire.socket.send(block)
    except OSError:
        wire.socket.settimeout(None)
    # The rest of the frame that was cut.
    unsent = -sent % len(block)
    import threading
    threading.Thread(target=wire.socket.sendall, args=(block[-unsent:] if unsent else b'',)).start()
    for _ in range(sent // (len(block) // 1000)):
        wire.read()


@attack
def deep_nesting(wire: Wire, told: Any) -> None:
    for text in (b'[' * 300000 + b']' * 300000, b'{"a":' * 150000 + b'1' + b'}' * 150000,
                 b'{"!":["t",[' * 90000 + b']]}' * 90000, b'9' * 1000000, b'[' * 1000000,
                 # What the interpreter alone would still take.
                 b'[' * 200 + b']' * 200, b'9' * 1000):
        text = text[:MAX_REQUEST - 4]
        for handle in (handles.FORWARD_LOG, handles.GET_MODULE, handles.ADD_ROUTE, handles.DEL_ROUTE,
                       handles.ALLOCATE_ID, told['open']):
            wire.send(handle, data=struct.pack('>I', len(text)) + text)


@attack
def wide_json(wire: Wire, told: Any) -> None:
    """As many objects as a frame can hold."""
    for item in (b'[]', b'{}', b'{"!":["s",[]]}', b'{"!":["c",1,""]}'):
        for size, count in ((frames.MAX_PAYLOAD, 2), (MAX_REQUEST, 4)):
            text = b'["x",20,[' + b','.join([item] * ((size - 20) // (len(item) + 1))) + b']]'
            for _ in range(count):
                for handle in (handles.FORWARD_LOG, handles.GET_MODULE):
                    wire.send(handle, data=struct.pack('>I', len(text)) + text)


@attack
def references(wire: Wire, told: Any) -> None:
    """Name contexts that are not there, and those that will be."""
    for start in range(0, 160000, 8000):
        wire.send(handles.GET_MODULE, [payload.ContextRef(start + number, 'evil') for number in range(8000)])


@attack
def many_ids(wire: Wire, told: Any) -> list[Any]:
    """Take all context IDs, announce them, and offend in the name of each."""
    taken = []
    for _ in range(300):
        first = wire.ask(handles.ALLOCATE_ID, 1000)
        if isinstance(first, int):
            taken.append(first)
            for number in range(first, first + 1000):
                wire.socket.sendall(wire.frame(handles.ADD_ROUTE, number) + wire.frame(77, src=number)
                                    + wire.frame(handles.FORWARD_LOG, 5, src=number)
                                    + wire.frame(handles.DEL_ROUTE, [1, ''], src=number))
    return taken


@attack
def log_flood(wire: Wire, told: Any) -> None:
    for level in (10 ** 600, -10 ** 600, 1e999, 'high', None, [20]):
        wire.send(handles.FORWARD_LOG, ['.'.join('abcdefgh' * 20), level, 'odd'])
    for number in range(60000):
        wire.send(handles.FORWARD_LOG, ['name%d' % number, number % 200 - 50, 'text %s %d \33[2J' * 20])
    text = 'x' * 200000
    for _ in range(100):
        wire.send(handles.FORWARD_LOG, ['big', 40, text])


@attack
def stderr_flood(wire: Wire, told: Any) -> None:
    for block in (b'line\n' * 200000, b'no newline ' * 90000):
        for _ in range(30 if 'no' in block.decode() else 1):
            os.write(2, block)


@attack
def code_flood(wire: Wire, told: Any) -> int:
    """Ask for what is not there under very many names, and for what is there very often."""
    import threading
    requests: list[Any] = ['a.' * 499000 + 'a', 'x' * 1000000, ['a.' * 499000 + 'a', 'x', 0], [{}, 1, 2], 5,
                           ['mitogen', '../' * 300000, 0], ['mitogen', 'x/' * 400000, 0], ['mitogen', 7, 0]]
    names = ['missing_%d_%s' % (number, 'x' * 400) for number in range(20000)]
    packed = [wire.frame(handles.GET_MODULE, name, reply_to=MINE) for name in requests + names]
    packed += [wire.frame(handles.GET_MODULE, name, reply_to=MINE) for name in told['modules'] * 5]

    def ask() -> None:
        for frame in packed:
            wire.socket.sendall(frame)
        wire.send(4712, reply_to=MINE + 1)
    threading.Thread(target=ask).start()
    answers = 0
    for frame in wire.frames():
        if frame.handle == MINE + 1:
            return answers
        answers += 1
    return answers


# As a gateway


@attack
def end_of_a_sibling(wire: Wire, told: Any) -> None:
    """Take the place of contexts behind the same gateway, and tell of their end, to the gateway and to the root."""
    for dst in (told['gateway'], 0):
        for number in (told['sibling'], told['gateway']):
            wire.send(handles.ADD_ROUTE, number, dst=dst)
            wire.send(handles.DEL_ROUTE, [number, 'it fell over'], dst=dst)
        for number in range(wire.id + 1, wire.id + 15000):
            wire.send(handles.ADD_ROUTE, number, dst=dst)
    for number in range(wire.id + 1, wire.id + 50):
        wire.send(handles.DEL_ROUTE, [number, 'it fell over'], dst=told['gateway'])


@attack
def commands_to_the_gateway(wire: Wire, told: Any) -> None:
    blob = bomb()
    for _ in range(20):
        wire.send(handles.CALL_FUNCTION, ['os', 'mkdir', [told['mark']], {}], dst=told['gateway'])
        wire.send(handles.SHUTDOWN, dst=told['gateway'])
        wire.send(handles.LOAD_MODULE, {'modules': [['os', 'x', False, 1]], 'blob': blob}, dst=told['gateway'])
        wire.send(handles.PUSH_CODE, {'members': [[1, 'os.py', 1]], 'blob': blob}, dst=told['gateway'])


@attack
def flood_of_the_gateway(wire: Wire, told: Any) -> None:
    """More than the gateway can pass on while the master is busy; and what it would have to remember."""
    wire.flood(wire.frame(4711, kind=RAW, data=bytes(MIB)), 150)
    for number in range(10000):
        wire.send(handles.GET_MODULE, 'missing_%d_%s' % (number, 'x' * 400), dst=told['gateway'], reply_to=MINE)


@attack
def lying_gateway(wire: Wire, told: Any) -> None:
    """Answer requests to open a context with what was told."""
    lies = told['lies']
    for frame in wire.frames():
        if frame.handle == handles.CALL_FUNCTION:
            _, function, args, _ = payload.decode(frame.payload)
            if function == 'open_here':
                wire.send(handles.ADD_ROUTE, args[1])
                wire.send(frame.reply_to, lies.pop(0))


# Before the greeting


def flood_before_greeting() -> None:
    """Print without end."""
    block = b'nothing to see here ' * 50000
    while True:
        os.write(1, block)
        os.write(2, block)


def lies_in_greeting() -> None:
    """Print what looks like greetings, and then a true one."""
    for text in ('[' * 60000, '[[1e999],1,2,3,4]', '[[3,11],"x","y",1e999,0]', '{}', '[3,11]', '["3"]', '[[3],0,0,0]',
                 '[[%s],"","",1,1]' % ('9' * 50000), '[null,"","",1,1]'):
        sys.stdout.write('MITOGEN-1 %s\n' % text)
    greet()


def main(name: str) -> None:
    """Carry the attack out, and then wait for the end."""
    if name == 'flood_before_greeting':
        flood_before_greeting()
    elif name == 'lies_in_greeting':
        lies_in_greeting()
    else:
        greet()
    wire = Wire()
    func = ATTACKS.get(name)
    first = wire.read()
    outcome = None if func is None else func(wire, payload.decode(first.payload))
    wire.send(first.reply_to, outcome)
    for frame in wire.frames():
        if frame.handle == handles.CALL_FUNCTION:
            wire.send(frame.reply_to, kind=ERROR, data=payload.encode(['SomeError', 'no', 'trace']))
        elif frame.handle == handles.SHUTDOWN:
            time.sleep(60)


if __name__ == '__main__':
    main(sys.argv[1])
