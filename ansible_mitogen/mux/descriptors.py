"""How many file descriptors there are for more children."""

import os
import resource

#: Descriptors kept free: for clients, and for the several that a child needs while it is being started.
SPARE = 64

#: The most that a child takes for good, with a client that waits for it.
_PER_CHILD = 8


class Descriptors:
    """Watches the limit of this process, and raises it when that is needed."""

    def __init__(self) -> None:
        self._sure = 0
        self._limit = 0

    def have_room(self) -> bool:
        """Whether one more child may be started; raises the limit first if that helps.

        Not earlier: children inherit the limit, and in all but the largest runs they shall find the one
        that they would without us.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if self._sure > 0 and soft == self._limit:
            self._sure -= 1
            return True
        self._limit = soft
        free = soft - SPARE - _taken()
        if free > 0:
            # To count them takes as long as there are many. Before half of them can be taken there is no need to.
            self._sure = free // (2 * _PER_CHILD)
            return True
        if soft == hard:
            return False
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return False
        return True


def _taken() -> int:
    try:
        return len(os.listdir('/dev/fd'))
    except OSError:
        # No /proc here. The lowest free number is right, but for gaps below it.
        lowest = os.dup(0)
        os.close(lowest)
        return lowest
