"""The wire format, as documented, is the one that is spoken."""

import re
import struct
from pathlib import Path

from mitogen.core.frames import DATA, DEAD, ERROR, HEADER_SIZE, MAGIC, MAX_PAYLOAD, RAW, Frame, pack
from mitogen.core.payload import decode, encode

WIRE = Path(__file__).parents[2] / 'docs/how/wire.rst'

ROW = re.compile(r'   \* - (\d+)\n     - (\d+)\n     - ``(\w+)``\n')


def documented_layout() -> dict[str, tuple[int, int]]:
    """Return offset and size of each field of the header."""
    table = WIRE.read_text().split('* - Offset')[1].split('The header has')[0]
    return {name: (int(offset), int(size)) for offset, size, name in ROW.findall(table)}


def test_the_documented_offsets_are_those_of_a_frame() -> None:
    numbers = {'kind': ERROR, 'dst': 0x01020304, 'src': 0x11121314, 'auth': 0x21222324, 'handle': 0x31323334,
               'reply_to': 0x41424344}
    packed = pack(Frame(payload=b'four', **numbers))
    expected = {**numbers, 'magic': MAGIC, 'size': 4}
    layout = documented_layout()
    found = {name: int.from_bytes(packed[offset:offset + size], 'big') for name, (offset, size) in layout.items()}
    assert found == expected
    assert packed[3] == 0
    assert packed[HEADER_SIZE:] == b'four'


def test_the_documented_numbers_are_those_of_the_code() -> None:
    text = WIRE.read_text()
    assert 'The header has %d bytes' % HEADER_SIZE in text
    assert '0x%X' % MAGIC in text
    assert MAX_PAYLOAD == 1 << 20 and 'at most 1 MiB' in text
    kinds = re.findall(r'   \* - (\d)\n     - ``(\w+)``\n', text)
    assert kinds == [(str(number), name) for number, name in ((RAW, 'RAW'), (DATA, 'DATA'), (ERROR, 'ERROR'),
                                                               (DEAD, 'DEAD'))]


def test_the_picture_of_a_payload_shows_a_real_one() -> None:
    picture = (WIRE.parents[1] / 'images/payload.svg').read_text()
    value = {'name': 'motd', 'content': b'Hello\n', 'tail': b'ok'}
    packed = encode(value)
    assert decode(packed) == value
    (size,) = struct.unpack_from('>I', packed)
    assert packed[:4].hex(' ') in picture
    assert packed[4:4 + size].startswith(b'{"name":"motd","content":{"!":["b",0,6]}')
    assert packed[4 + size:] == b'Hello\nok'
