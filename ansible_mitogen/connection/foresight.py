"""Two modules in one round trip: a look at a file, and what is run next if the file is what it should be."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

from ansible_mitogen.mux.api import Completed, Either, ModuleCall, Step

#: The module that looks.
STAT = 'ansible.modules.stat'

#: The one that is run next.
FILE = 'ansible.modules.file'


class Heard(Exception):
    """Ends a rehearsal: what was to be heard has been heard."""


class _Call(NamedTuple):
    cmd: str
    in_data: bytes | None


class Rehearsal:
    """Stands in for a host: remembers the first thing that it is asked to run, and goes no further."""

    call: _Call | None = None

    def hear(self, cmd: str, in_data: bytes | None) -> NoReturn:
        """Remember a call.

        :raises Heard: always.
        """
        if self.call is None:
            self.call = _Call(cmd, in_data)
        raise Heard


class Look(NamedTuple):
    """What a module looks at."""

    path: str
    #: A symbolic link counts as what it points to.
    follow: bool


class Foresight:
    """What is known of a file that is about to be copied, and what comes of it.

    :param size: of the local file, in bytes.
    :param sha1: of its content, in hex.
    :param rehearse: returns the module that would be run next if the file on the host had the same content.
    """

    def __init__(self, size: int, sha1: str, rehearse: Callable[[], ModuleCall | None]) -> None:
        self._size = size
        self._sha1 = sha1
        self._rehearse = rehearse
        self._next: ModuleCall | None = None
        self._outcome: Completed | None = None

    @classmethod
    def of_file(cls, path: str, sha1: str, rehearse: Callable[[], ModuleCall | None]) -> 'Foresight':
        """Return that of a local file."""
        return cls(os.stat(path).st_size, sha1, rehearse)

    @staticmethod
    def look(call: ModuleCall) -> Look | None:
        """Return what a module looks at that is about to run; None if it does something else."""
        if call.module_fqn != STAT:
            return None
        asked = json.loads(call.params)['ANSIBLE_MODULE_ARGS']
        if not isinstance(asked.get('path'), str) or not asked.get('get_checksum') or \
                asked.get('checksum_algorithm') != 'sha1':
            return None
        return Look(asked['path'], bool(asked.get('follow')))

    def either(self, call: ModuleCall, look: Look) -> Either | None:
        """Return what may be run instead of a module that looks; None if there is no such thing."""
        following = self._rehearse()
        if following is None or following.module_fqn != FILE or (
                following.env, following.interpreter, following.cwd) != (call.env, call.interpreter, call.cwd):
            return None
        self._next = following
        return Either(following, look.path, look.follow, self._size, self._sha1)

    @staticmethod
    def glances(look: Look | None) -> list[Step]:
        """Return the steps after which there is no need to look if one fails; none if only the module can tell."""
        # What a path that begins with another character is relative to, or expands to, is the module's affair.
        if look is None or not look.path.startswith('/') or '$' in look.path:
            return []
        return [('must_exist', look.path, look.follow)]

    @staticmethod
    def found_nothing() -> bytes:
        """Return what the look would have printed of a path at which there is nothing."""
        return json.dumps({'changed': False, 'stat': {'exists': False}}).encode()

    def found_unchanged(self, either: Either, outcome: Completed) -> bytes:
        """Take the outcome of what was run instead, and return what the look would have printed, as far as it matters.
        """
        self._outcome = outcome
        found = {'exists': True, 'isdir': False, 'isreg': True, 'islnk': False, 'path': either.path,
                 'size': self._size, 'checksum': self._sha1}
        return json.dumps({'changed': False, 'stat': found}).encode()

    def outcome_of(self, call: ModuleCall) -> Completed | None:
        """Return the outcome of a module if it has run already."""
        outcome, self._outcome = self._outcome, None
        if outcome is None or self._next is None or _comparable(call) != _comparable(self._next):
            return None
        return outcome


def _comparable(call: ModuleCall) -> ModuleCall:
    # The moment at which it was made.
    return replace(call, date_time=None)


@contextmanager
def borrowed(owner: Any, name: str, value: object) -> Iterator[None]:
    """Give an attribute another value for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
