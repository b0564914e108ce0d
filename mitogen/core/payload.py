"""Typed data as bytes: JSON, with a tagged form for what JSON lacks.

Layout: the length of the JSON text (4 bytes, big endian), the text, then the
contents of all `bytes` objects one after the other. In the text, an object
whose only key is ``"!"`` stands for a value that JSON has no form for:

====================  =======================================
``["b", off, len]``   bytes, at an offset in what follows the text
``["t", [...]]``      tuple
``["s", [...]]``      set
``["m", [[k, v]]]``   dict with keys that are no strings, or with a key ``"!"``
``["c", id, name]``   :class:`ContextRef`
``["h", id, handle]`` :class:`MailboxRef`
====================  =======================================

Nothing else can be made by decoding: a hostile peer gets plain data at most,
and no more of it than it has sent. A type's subclasses arrive as the type
itself, a bytearray as bytes, a frozenset as a set, a named tuple as a tuple.
"""

import json
import struct
from typing import Any, List, NamedTuple

from mitogen.core.errors import PayloadError

#: Deeper nesting than this is an attack: each level takes stack, here and in whoever walks the value.
MAX_DEPTH = 100

#: A number longer than this is an attack, as parsing decimal digits takes quadratic time.
MAX_DIGITS = 640
_MAX_BITS = 2048

#: More keys or set members than this must be strings, bytes or small numbers: others can be made to collide.
MAX_ODD_KEYS = 1000

_LENGTH = struct.Struct('>I')

ContextRef = NamedTuple('ContextRef', [('context_id', int), ('name', str)])
ContextRef.__doc__ = 'A reference to a context, as it crosses the wire.'
MailboxRef = NamedTuple('MailboxRef', [('context_id', int), ('handle', int)])
MailboxRef.__doc__ = 'A reference to a mailbox of a context, as it crosses the wire.'


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise PayloadError('a number of %d digits' % len(digits))
    return int(digits)


_JSON_ENCODER = json.JSONEncoder(separators=(',', ':'))
_JSON_DECODER = json.JSONDecoder(parse_int=_parse_int)


def encode(value: Any) -> bytes:
    """Return `value` as bytes.

    :raises PayloadError: it holds an object of a type that may not cross.
    """
    blobs: List[bytes] = []
    offset = 0

    def convert(obj: Any, depth: int) -> Any:
        nonlocal offset
        if obj is None or isinstance(obj, (str, float)):
            return obj
        if isinstance(obj, int):
            if obj.bit_length() > _MAX_BITS:
                raise PayloadError('a number of %d bits' % obj.bit_length())
            return obj
        depth += 1
        if depth > MAX_DEPTH:
            raise PayloadError('data nested too deeply')
        if isinstance(obj, (bytes, bytearray, memoryview)):
            blob = bytes(obj)
            blobs.append(blob)
            offset += len(blob)
            return {'!': ['b', offset - len(blob), len(blob)]}
        if isinstance(obj, list):
            return [convert(item, depth) for item in obj]
        if isinstance(obj, dict):
            if '!' not in obj and all(isinstance(key, str) for key in obj):
                return {key: convert(item, depth) for key, item in obj.items()}
            return {'!': ['m', [[convert(k, depth), convert(v, depth)] for k, v in obj.items()]]}
        if hasattr(obj, '__wire_ref__'):
            obj = obj.__wire_ref__()
        if isinstance(obj, ContextRef):
            return {'!': ['c', obj.context_id, obj.name]}
        if isinstance(obj, MailboxRef):
            return {'!': ['h', obj.context_id, obj.handle]}
        if isinstance(obj, tuple):
            return {'!': ['t', [convert(item, depth) for item in obj]]}
        if isinstance(obj, (set, frozenset)):
            return {'!': ['s', [convert(item, depth) for item in obj]]}
        raise PayloadError('cannot send an object of type %s: %.100r' % (type(obj).__name__, obj))

    text = _JSON_ENCODER.encode(convert(value, 0)).encode('ascii')
    return b''.join([_LENGTH.pack(len(text)), text] + blobs)


def decode(data: bytes) -> Any:
    """Return the value that :func:`encode` made `data` from.

    :raises PayloadError: `data` is malformed.
    """
    unused = len(data)

    def restore(obj: Any, depth: int) -> Any:
        nonlocal unused
        if type(obj) not in (list, dict):
            return obj
        depth += 1
        if depth > MAX_DEPTH:
            raise PayloadError('data nested too deeply')
        if type(obj) is list:
            return [restore(item, depth) for item in obj]
        if '!' not in obj:
            return {key: restore(item, depth) for key, item in obj.items()}
        (tagged,) = obj.values()
        tag, rest = tagged[0], tagged[1:]
        if tag == 'b':
            off, size = rest
            if type(off) is not int or type(size) is not int or not 0 <= off <= off + size <= len(blobs):
                raise PayloadError('bytes outside the payload')
            # Each byte that was sent makes one: else a small payload could fill memory.
            unused -= size
            if unused < 0:
                raise PayloadError('bytes used twice')
            return bytes(blobs[off:off + size])
        if tag == 'c':
            ident, name = rest
            if not _is_id(ident) or type(name) is not str:
                raise PayloadError('malformed reference')
            return ContextRef(ident, name)
        if tag == 'h':
            ident, handle = rest
            if not _is_id(ident) or not _is_id(handle):
                raise PayloadError('malformed reference')
            return MailboxRef(ident, handle)
        (items,) = rest
        if type(items) is not list:
            raise PayloadError('malformed tag')
        if tag == 't':
            return tuple([restore(item, depth) for item in items])
        if tag == 's':
            return set(_checked([restore(item, depth) for item in items]))
        if tag == 'm':
            keys = _checked([restore(key, depth) for key, _ in items])
            return dict(zip(keys, [restore(item, depth) for _, item in items]))
        raise PayloadError('unknown tag %.20r' % (tag,))

    try:
        (size,) = _LENGTH.unpack_from(data)
        if size > len(data) - 4:
            raise PayloadError('the text is cut short')
        blobs = memoryview(data)[4 + size:]
        unused = len(blobs)
        return restore(_JSON_DECODER.decode(str(data[4:4 + size], 'ascii')), 0)
    except PayloadError:
        raise
    except RecursionError:
        raise PayloadError('data nested too deeply') from None
    except (ValueError, TypeError, KeyError, IndexError, struct.error) as exc:
        raise PayloadError('malformed payload: %.200s' % (exc,)) from None


def _is_id(number: Any) -> bool:
    return type(number) is int and 0 <= number < 1 << 32


def _checked(keys: List[Any]) -> List[Any]:
    if len(keys) > MAX_ODD_KEYS and not all(
            type(key) in (str, bytes) or type(key) is int and -1 << 60 < key < 1 << 60 for key in keys):
        raise PayloadError('too many keys of their types')
    return keys
