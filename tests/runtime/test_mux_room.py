"""What is closed to make room, and how often that is looked at; and whether there are descriptors."""

import os
import resource
from typing import Any

import pytest

from ansible_mitogen.mux import descriptors, room
from ansible_mitogen.mux.descriptors import Descriptors
from ansible_mitogen.mux.room import Room

NOW = 10_000.0


class Open:
    """An open context, as far as that matters here."""

    def __init__(self, last_used: float, busy: int = 0, parent: Any = None) -> None:
        self.last_used, self.busy, self.parent = last_used, busy, parent


def test_hosts_that_come_round_again_are_kept() -> None:
    entries: Any = [Open(NOW - room.HOST_IDLE_SECONDS + 1 + number / 100) for number in range(room.MANY_HOSTS)]
    assert Room(lambda: True).to_close(entries, None, NOW) == []


def test_hosts_that_do_not_are_closed_if_they_are_many() -> None:
    old = Open(NOW - room.HOST_IDLE_SECONDS - 1)
    busy = Open(NOW - room.HOST_IDLE_SECONDS - 1, busy=1)
    new = [Open(NOW) for _ in range(room.MANY_HOSTS - 2)]
    entries: Any = [old, busy, *new]
    assert Room(lambda: True).to_close(entries, None, NOW) == [old]
    assert Room(lambda: True).to_close(entries[:-1], None, NOW) == []


def test_not_every_host_is_looked_at_for_every_other() -> None:
    looked: list[int] = []

    class Counted(list[Any]):
        def __iter__(self) -> Any:
            looked.append(len(self))
            return super().__iter__()

    entries: Any = Counted(Open(NOW) for _ in range(1000))
    place = Room(lambda: True)
    for number in range(1000):
        place.to_close(entries, None, NOW + number / 1000)
    assert len(looked) == 1
    place.to_close(entries, None, NOW + room.LOOK_SECONDS)
    assert len(looked) == 2


def test_without_descriptors_the_host_that_was_idle_for_longest_goes() -> None:
    child = Open(0.0)
    oldest, other, busy = Open(2.0), Open(3.0), Open(1.0, busy=1)
    child.parent = oldest
    assert Room(lambda: False).to_close([child, other, oldest, busy], None, NOW) == [oldest]  # type: ignore[list-item]
    assert Room(lambda: False).to_close([busy], None, NOW) == []  # type: ignore[list-item]


def test_a_gateway_is_kept_within_its_number() -> None:
    gateway: Any = Open(NOW)
    entries: Any = [Open(NOW - 1 - number / 1000, parent=gateway) for number in range(room.MAX_CHILDREN)]
    assert Room(lambda: True).to_close([gateway, *entries], gateway, NOW) == [entries[-1]]
    assert Room(lambda: True).to_close([gateway, *entries[1:]], gateway, NOW) == []


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The limits that the process seems to have, how many descriptors are taken, and how often these were counted."""
    state: dict[str, Any] = {'limits': (1000, 1000), 'taken': 10, 'counted': 0}

    def count() -> int:
        state['counted'] += 1
        return state['taken']

    monkeypatch.setattr(descriptors, '_taken', count)
    monkeypatch.setattr(resource, 'getrlimit', lambda kind: state['limits'])
    monkeypatch.setattr(resource, 'setrlimit', lambda kind, limits: state.update(limits=limits))
    return state


def test_there_is_never_room_for_more_than_the_limit_allows(limits: dict[str, Any]) -> None:
    watched = Descriptors()
    opened = 0
    while watched.have_room():
        opened += 1
        limits['taken'] += descriptors._PER_CHILD
        assert limits['taken'] < 1000
    assert opened > 100
    assert limits['counted'] < opened / 3


def test_the_limit_is_raised_when_it_is_reached(limits: dict[str, Any]) -> None:
    watched = Descriptors()
    limits.update(limits=(100, 1000), taken=50)
    assert watched.have_room()
    assert limits['limits'] == (1000, 1000)


def test_another_limit_is_noticed_at_once(limits: dict[str, Any]) -> None:
    watched = Descriptors()
    assert watched.have_room()
    limits['limits'] = (70, 70)
    assert not watched.have_room()


@pytest.mark.skipif(not os.path.isdir('/dev/fd'), reason='the system does not list descriptors')
def test_descriptors_are_counted() -> None:
    before = descriptors._taken()
    more = [os.dup(0) for _ in range(5)]
    try:
        assert descriptors._taken() == before + 5
    finally:
        for fd in more:
            os.close(fd)
