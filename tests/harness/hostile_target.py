"""A target that is opened by the multiplexer like any other, and then answers what it likes.

    python hostile_target.py ATTACK

It plays the agent and its zygote.
"""

import json
import os
import struct
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from mitogen.core import frames, handles, payload
from mitogen.core.frames import DATA, DEAD, ERROR, RAW
from tests.harness.hostile import MIB, MINE, Wire, greet

RESULT = {'job': 1, 'rc': 0, 'stdout': b'lies', 'stderr': b'', 'stdout_streamed': 0, 'stderr_streamed': 0, 'ms': 1.0,
          'imported': [], 'accounts': 0}

#: What a job, a call or a transfer may be answered with: kind and payload.
ANSWERS: dict[str, tuple[int, bytes]] = {
    'no_fields': (DATA, payload.encode(None)),
    'a_number_of_bytes': (DATA, payload.encode(dict(RESULT, stdout=1 << 42))),
    'a_number_too_long': (DATA, struct.pack('>I', 640) + b'9' * 640),
    'an_endless_time': (DATA, payload.encode(dict(RESULT, ms=float('inf')))),
    'a_huge_status': (DATA, payload.encode(dict(RESULT, rc=1 << 2000))),
    'the_largest_result': (DATA, payload.encode(dict(RESULT, stdout=bytes(frames.MAX_PAYLOAD - 300)))),
    'no_text': (DEAD, b'\xff' * frames.MAX_PAYLOAD),
    'a_long_error': (ERROR, payload.encode(['', 'x' * (frames.MAX_PAYLOAD - 100), ''])),
    'an_odd_mode': (DATA, payload.encode([True, [float('inf'), b'']])),
    'an_odd_errno': (DATA, payload.encode([False, 10 ** 600, 'x' * 500000])),
    'an_odd_chunk': (DATA, payload.encode([True, [0, 1 << 42]])),
    'noise': (DATA, b'\xff' * 1000),
}


def main(attack: str) -> None:
    """Carry the attack out whenever something is asked."""
    greet()
    wire = Wire()
    found: dict[str, Any] = {}
    writing = threading.Lock()
    for frame in wire.frames():
        if frame.handle == MINE:
            found.setdefault('code', []).extend(payload.decode(frame.payload)['members'])
            continue
        if frame.handle == handles.SHUTDOWN:
            os._exit(0)
        if frame.handle not in (handles.RUN, handles.CALL_FUNCTION):
            continue
        with writing:
            if attack in ANSWERS:
                kind, data = ANSWERS[attack]
                wire.send(frame.reply_to, src=frame.dst, kind=kind, data=data)
            elif attack == 'endless_output':
                wire.flood(wire.frame(frame.reply_to, src=frame.dst, kind=RAW, data=bytes(MIB // 2)), 600)
            elif attack == 'code':
                # What it was sent, very often; and what it was not.
                wire.flood(wire.frame(handles.GET_CODE, list(range(40)) * 300, reply_to=4000), 20)
                wire.send(handles.GET_CODE, list(range(200)), reply_to=MINE)
                answer = wire.read()
                while answer.handle != MINE:
                    answer = wire.read()
                members = [path for _, path, _ in payload.decode(answer.payload)['members']]
                result = dict(RESULT, stdout=json.dumps(members).encode())
                wire.send(frame.reply_to, result, src=frame.dst)
            elif attack == 'everything':
                honest = frame.dst - 10
                for number in range(1, 30):
                    if number not in (wire.id, wire.id + 1):
                        wire.send(handles.RUN, {'job': 1}, dst=number)
                        wire.send(handles.SHUTDOWN, dst=number)
                        wire.send(handles.DEL_ROUTE, [number, 'gone'])
                        wire.send(frame.reply_to, RESULT, src=number)
                for name in ('ansible', '__main__', 'mitogen/../../../etc/passwd'):
                    wire.send(handles.GET_MODULE, name, reply_to=4001)
                for number in range(6000):
                    wire.send(handles.FORWARD_LOG, ['n%d' % number, number, 'x' * 400])
                    wire.send(handles.GET_MODULE, 'mitogen.m%d' % number, reply_to=4001)
                wire.send(frame.reply_to, dict(RESULT, stdout=b'%d' % honest), src=frame.dst)


if __name__ == '__main__':
    main(sys.argv[1])
