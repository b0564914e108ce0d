"""Calls into contexts, answered in the broker's thread."""

from collections.abc import Callable
from typing import Any

from mitogen.core import handles


def call_then(context: Any, module: str, function: str, args: list[Any], then: Callable[[Any], None]) -> None:
    """Call a function in a context, and ``then(message)`` when the answer is there.

    The message's `decode` returns the function's result, or raises
    :class:`mitogen.core.errors.CallError`, or :class:`mitogen.core.errors.ChannelError`
    when the context is gone.

    :raises mitogen.core.errors.PayloadError: an argument may not cross the wire.
    """
    router = context.router

    def answered(message: Any) -> None:
        router.del_handler(handle)
        then(message)

    handle = router.add_handler(answered, source=context.context_id)
    context.send(handles.CALL_FUNCTION, [module, function, args, {}], handle)
