"""What `benchmarks.library` calls in a child context; it travels there, so it imports nothing of the benchmark."""

from typing import Any

from mitogen.core import Receiver, Sender
from mitogen.core.external import takes_econtext


def nothing() -> None:
    """Return at once."""


@takes_econtext
def drain(total: int, back: Sender, econtext: Any) -> int:
    """Receive `total` bytes at a mailbox whose sender goes to `back`; return how many came."""
    receiver = Receiver(econtext.router)
    back.send(receiver.to_sender())
    count = 0
    while count < total:
        count += len(receiver.get())
    receiver.close()
    return count


def import_package(name: str) -> int:
    """Import a package and return how many modules it consists of."""
    import importlib
    import sys

    importlib.import_module(name)
    return sum(module == name or module.startswith(name + '.') for module in sys.modules)
