"""Which open contexts are closed to make room for one more. No I/O here."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_mitogen.mux.hops import Entry

#: Contexts opened through one other are the become accounts of a host, two processes there for each, or the hosts
#: behind a gateway. Above the first number those that have been idle for so many seconds are closed when one more is
#: opened; above the second, which keeps a gateway within 1,024 descriptors, the one that has been idle for longest.
MANY_CHILDREN = 16
IDLE_SECONDS = 120.0
MAX_CHILDREN = 200

#: The same for those that are children of this process, each with an ssh client of some MiB. What a `serial` batch is
#: done with, is closed at its end. The others come back with the next task: which, with thousands of hosts, takes
#: minutes to come round. There is no upper limit but that of descriptors.
MANY_HOSTS = 200
HOST_IDLE_SECONDS = 600.0

#: Seconds between two looks at all hosts: with each that is opened it would be thousands times thousands.
LOOK_SECONDS = 1.0


class Room:
    """Decides who makes room.

    :param has_descriptors: tells whether this process has descriptors for one more child.
    """

    def __init__(self, has_descriptors: Callable[[], bool]) -> None:
        self._has_descriptors = has_descriptors
        self._next_look = 0.0

    def to_close(self, entries: Collection['Entry'], parent: 'Entry | None', now: float) -> list['Entry']:
        """Return which contexts to close before one more is opened.

        :param entries: all that are open.
        :param parent: the context that the one more is opened through; None if that is this process.
        :param now: time.monotonic().
        """
        if parent is not None:
            return _behind([entry for entry in entries if entry.parent is parent], now)
        doomed = self._old_hosts(entries, now)
        if not self._has_descriptors() and not doomed:
            return _longest_idle(_hosts(entries))
        return doomed

    def _old_hosts(self, entries: Collection['Entry'], now: float) -> list['Entry']:
        if now < self._next_look:
            return []
        self._next_look = now + LOOK_SECONDS
        hosts = _hosts(entries)
        return _idle_since(hosts, now - HOST_IDLE_SECONDS) if len(hosts) >= MANY_HOSTS else []


def _hosts(entries: Collection['Entry']) -> list['Entry']:
    return [entry for entry in entries if entry.parent is None]


def _behind(siblings: list['Entry'], now: float) -> list['Entry']:
    doomed = _idle_since(siblings, now - IDLE_SECONDS) if len(siblings) >= MANY_CHILDREN else []
    if len(siblings) >= MAX_CHILDREN and not doomed:
        return _longest_idle(siblings)
    return doomed


def _idle_since(entries: list['Entry'], moment: float) -> list['Entry']:
    return [entry for entry in entries if not entry.busy and entry.last_used < moment]


def _longest_idle(entries: list['Entry']) -> list['Entry']:
    idle = [entry for entry in entries if not entry.busy]
    return [min(idle, key=lambda entry: entry.last_used)] if idle else []
