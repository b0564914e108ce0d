"""Calls into contexts, answered in the broker's thread."""

from collections.abc import Callable
from typing import Any

from ansible_mitogen.mux.usage import NOBODY, Usage
from mitogen.core import handles
from mitogen.core.messages import pack_value


def call_then(context: Any, module: str, function: str, args: list[Any], then: Callable[[Any], None],
              usage: Usage = NOBODY) -> None:
    """Call a function in a context, and ``then(message)`` when the answer is there.

    :param usage: whose round trip it is; by default nobody waits for the answer.

    The message's `decode` returns the function's result, or raises
    :class:`mitogen.core.errors.CallError`, or :class:`mitogen.core.errors.ChannelError`
    when the context is gone.

    :raises mitogen.core.errors.PayloadError: an argument may not cross the wire.
    """
    router = context.router

    def answered(message: Any) -> None:
        router.del_handler(handle)
        usage.received += len(message.data)
        then(message)

    kind, packed = pack_value([module, function, args, {}])
    handle = router.add_handler(answered, source=context.context_id)
    router.send_packed(context.context_id, handles.CALL_FUNCTION, kind, packed, handle)
    usage.add_trip(len(packed))
