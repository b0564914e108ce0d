"""For programs that use the runtime by themselves."""

from typing import Any, Callable

from mitogen.core.broker import Broker
from mitogen.master import Router


def run_with_router(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return ``func(router, *args, **kwargs)``, called with a router of its own.

    All that was started through the router has ended when this returns.
    """
    broker = Broker()
    try:
        return func(Router(broker), *args, **kwargs)
    finally:
        broker.shutdown()
        broker.join()
