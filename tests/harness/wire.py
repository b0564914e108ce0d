"""What was sent to a context, as it was on the wire."""

from collections.abc import Iterator

from mitogen.core import payload
from mitogen.core.frames import DATA, FrameParser


def code_in(sent: bytes) -> Iterator[str]:
    """Yield the names of modules, and the paths of numbered members, in what a parent sent to a child, one by one.

    :param sent: all of it, from the first byte on.
    """
    # The blocks of the start, each after its length.
    while sent[:8].isdigit():
        sent = sent[8 + int(sent[:8]):]
    for frame in FrameParser().feed(sent):
        value = payload.decode(frame.payload) if frame.kind == DATA else None
        # What runs a job names members too, by their numbers.
        if isinstance(value, dict) and ('blob' in value or 'last' in value):
            yield from (path for _, path, _ in value.get('members', ()))
            yield from (name for name, _, _, size in value.get('modules', ()) if size >= 0)
