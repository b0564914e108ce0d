"""Waiting for many mailboxes at once."""

import threading
import time
from collections import deque
from typing import Any, Deque, Dict, Iterable, Iterator, Optional

from mitogen.core.errors import Error, TimeoutError
from mitogen.core.messages import Receiver


class Select:
    """Tell which of many receivers has a message.

    Iterating yields each receiver that has one; read it by ``receiver.get()``.
    While a receiver belongs to a select, nobody else reads it.

    ::

        calls = [context.call_async(os.getpid) for context in contexts]
        for receiver in Select(calls):
            print(receiver.get())

    :param receivers: the first to be added.
    :param oneshot: forget each receiver when it is returned: for answers to
        calls. Else it stays until it is closed.
    """

    def __init__(self, receivers: Iterable[Receiver] = (), oneshot: bool = True) -> None:
        self._oneshot = oneshot
        self._receivers: Dict[int, Receiver] = {}
        self._ready: Deque[Receiver] = deque()
        self._changed = threading.Semaphore(0)
        for receiver in receivers:
            self.add(receiver)

    def __len__(self) -> int:
        return len(self._receivers)

    def add(self, receiver: Receiver) -> None:
        """Wait for one more.

        :raises Error: it belongs to a select already.
        """
        if receiver.notify is not None:
            raise Error('%r is notified by something else already' % receiver)
        self._receivers[id(receiver)] = receiver
        receiver.notify = lambda: self._note(receiver)
        # What came before that has notified nobody.
        if not receiver.empty():
            self._note(receiver)

    def remove(self, receiver: Receiver) -> None:
        """Wait for it no longer."""
        if self._receivers.pop(id(receiver), None) is not None:
            receiver.notify = None

    def _note(self, receiver: Receiver) -> None:
        self._ready.append(receiver)
        self._changed.release()

    def get(self, timeout: Optional[float] = None) -> Receiver:
        """Return a receiver whose ``get()`` does not wait.

        :param timeout: seconds to wait for one; by default for ever.
        :raises TimeoutError: there was none in time.
        :raises Error: there is none to wait for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if not self._receivers:
                raise Error('there is nothing to wait for')
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._changed.acquire(timeout=left):
                raise TimeoutError('no message within %s s' % timeout)
            receiver = self._ready.popleft()
            # Noted twice, or read or removed since.
            if id(receiver) in self._receivers and not receiver.empty():
                if self._oneshot:
                    self.remove(receiver)
                return receiver

    def __iter__(self) -> Iterator[Receiver]:
        """Receivers that have a message, until none is left."""
        while self._receivers:
            receiver = self.get()
            yield receiver
            if receiver.closed:
                self.remove(receiver)

    def close(self) -> None:
        """Forget all receivers."""
        for receiver in list(self._receivers.values()):
            self.remove(receiver)

    def __enter__(self) -> 'Select':
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()
