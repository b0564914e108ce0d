"""What several threads may not do at the same time."""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


class SharedLocks:
    """Locks for what ansible-core, and plugins of others, do as if there was one thread only.

    A fork renews them: their holders are not in the child.
    """

    #: Loading plugins: a module that is being loaded would be given to others half-initialised, and caches half-filled.
    loading: Any
    #: Putting a host's variables together or changing them, which calls vars plugins, and running plugins that are not
    #: ansible-core's. One lock for all: such a plugin may ask for variables, and these may hold templates that call it.
    #: Whoever holds it may take `loading` too, never the other way round.
    serial: Any
    #: Making syntax trees, where Python is not up to it. Whoever holds it takes no other.
    parsing: Any

    _NAMES = ('serial', 'loading', 'parsing')

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        for name in self._NAMES:
            setattr(self, name, threading.RLock())

    @contextmanager
    def all_held(self, patience: float) -> Iterator[None]:
        """Hold those which can be got within `patience` seconds each: what they guard is then in order in a child."""
        with ExitStack() as held:
            for name in self._NAMES:
                lock: Any = getattr(self, name)
                if lock.acquire(timeout=patience):
                    held.callback(lock.release)
            yield

    def guard(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, called by one thread at a time, under the lock of that name."""
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with getattr(self, name):
                return function(*args, **kwargs)

        return guarded
