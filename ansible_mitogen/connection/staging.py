"""Chores that wait for the next command or module of their task, to be done in the same message.

They were answered as if they had succeeded. If one has not, what had asked for it is called once more, and this time
its commands run one by one: so it takes the ways out that it has, and says what it has to say.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ansible_mitogen.connection.housekeeping import Chore
from ansible_mitogen.mux.api import Step

#: More bytes of files than this do not wait: they must fit into one message, beside a module's arguments.
MAX_CONTENT = 256 * 1024


class _Waiting(NamedTuple):
    step: Step
    size: int
    replay: Callable[[], object]


class Staging:
    """What waits, and the temporary folder that it is about."""

    def __init__(self) -> None:
        #: The folder that was promised, and has not been removed.
        self.folder = ''
        self._waiting: list[_Waiting] = []
        self._replay: Callable[[], object] | None = None
        self._hand_over = False

    @property
    def steps(self) -> list[Step]:
        """What waits, in order."""
        return [waiting.step for waiting in self._waiting]

    @contextmanager
    def deferring(self, replay: Callable[[], object], hand_over: bool = False) -> Iterator[None]:
        """A context in which chores may wait.

        :param replay: has the chores done one by one.
        :param hand_over: a folder made here is removed by what runs in it.
        """
        self._replay, self._hand_over = replay, hand_over
        try:
            yield
        finally:
            self._replay = None

    def accepts(self, chore: Chore) -> bool:
        """Let a chore wait, if it may; the removal of the folder is not for this method."""
        if self._replay is None:
            return False
        step = chore.step
        if step[0] == 'make_folder':
            # One that has been handed over is no concern of this task any more.
            if self.folder and self._waiting:
                return False
            self.folder = chore.paths[0]
            step = (*step, self._hand_over)
        elif step[0] == 'remove_folder' or not all(map(self.holds, chore.paths)):
            return False
        self._waiting.append(_Waiting(step, 0, self._replay))
        return True

    def holds(self, path: str) -> bool:
        """Whether a path is the folder, or is in it."""
        return bool(self.folder) and (path == self.folder or path.startswith(self.folder + '/'))

    def removes(self, chore: Chore) -> bool:
        """Whether a chore is the removal of the folder, and may be done without anyone waiting for it."""
        return self._replay is not None and chore.step[0] == 'remove_folder' and chore.paths == (self.folder,)

    def has_room(self, size: int) -> bool:
        """Whether a file of so many bytes may wait too."""
        return sum(waiting.size for waiting in self._waiting) + size <= MAX_CONTENT

    def add_file(self, path: str, mode: int, content: bytes, replay: Callable[[], object]) -> None:
        """Let a file wait."""
        self._waiting.append(_Waiting(('put_file', path, mode, content), len(content), replay))

    def forget_folder(self) -> bool:
        """The folder is not wanted any more, and nothing that waits; returns whether it has been made."""
        was_made = not any(waiting.step[0] == 'make_folder' for waiting in self._waiting)
        self.folder = ''
        self._waiting.clear()
        return was_made

    def done(self) -> None:
        """All that waited has been done."""
        self._waiting.clear()

    def replay(self, step: int = 0) -> None:
        """Have what waits done one by one, from that step on."""
        replays = list(dict.fromkeys(waiting.replay for waiting in self._waiting[step:]))
        if any(waiting.step[0] == 'make_folder' for waiting in self._waiting[step:]):
            self.folder = ''
        self._waiting.clear()
        for replay in replays:
            replay()
