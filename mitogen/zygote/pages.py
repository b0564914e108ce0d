"""Memory that jobs write to is copied for the next one while that waits.

After a fork, parent and child share all memory until one of them writes to it: then the kernel copies that page, and
whoever writes has to wait. In Python to look at an object is to write to it. A job like the last ones writes to the
same pages as they did.
"""

import array
import os
import sys
from typing import Any, Iterable, List, Set, Tuple

#: `MADV_POPULATE_WRITE`, from Linux 5.14 on: have pages of one's own, as if one had written to them.
_POPULATE_WRITE = 23
#: Bits of an entry of ``/proc/self/pagemap`` (admin-guide/mm/pagemap.rst of the kernel): it is there, of a file, of one
#: process alone.
_PRESENT, _OF_FILE, _EXCLUSIVE = 1 << 63, 1 << 61, 1 << 56
_ALL, _WANTED = _PRESENT | _OF_FILE | _EXCLUSIVE, _PRESENT | _EXCLUSIVE
#: The most that is copied ahead, in pages.
_MAX_COPIED = 2048

_PAGE_SIZE = os.sysconf('SC_PAGE_SIZE')


class SharedPages:
    """Memory that a zygote shares with the processes that are forked off it, and what is known of who writes to it."""

    def __init__(self) -> None:
        self._state: Any = None
        self._ranges: List[Tuple[int, int]] = []
        self._own_ranges: List[Tuple[int, int]] = []
        self._advise: Any = None
        self._tidied_state: Any = None

    def are_wanted(self, state: Any) -> bool:
        """Whether a job shall tell which pages it has written to.

        :param state: what the zygote knew when the job's process was forked off.
        """
        ctypes = _imported_ctypes()
        if self._advise is None and ctypes is not None and sys.platform.startswith('linux'):
            self._advise = ctypes.PyDLL(None).madvise
            self._advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        return self._advise is not None and self._state != state and not is_busy()

    def give_back(self, state: Any) -> None:
        """Have the C library give memory back that nobody uses: to compile what the zygote knows took some MB more.

        So there is less for the kernel to share with each process that is forked off, and to take apart at its end.

        :param state: what the zygote knows.
        """
        ctypes = _imported_ctypes()
        if ctypes is not None and state != self._tidied_state:
            self._tidied_state = state
            trim = getattr(ctypes.PyDLL(None), 'malloc_trim', None)  # that of GNU has it
            if trim is not None:
                trim(0)

    @staticmethod
    def observe() -> 'Observation':
        """Begin to observe this process: a job begins now."""
        return Observation()

    def learn(self, state: Any, told: bytes) -> None:
        """Take what a job tells, by :meth:`Observation.told`."""
        self._state, self._ranges = state, _ranges(told)

    def learn_own(self) -> None:
        """Take note of what the zygote itself has written to since it forked the process off that waited until now.

        That process must not have ended: then all that they had in common is the zygote's own.
        """
        self._own_ranges = _ranges(as_ranges(own_pages()))

    def copy(self) -> None:
        """Have the pages copied that the last jobs wrote to, if the machine has nothing else to do.

        A kernel that cannot do that does nothing.
        """
        self._copy(self._ranges)

    def copy_own(self) -> None:
        """The same, in the zygote, for what it writes to itself when a job comes."""
        self._copy(self._own_ranges)

    def _copy(self, ranges: List[Tuple[int, int]]) -> None:
        if ranges and not is_busy():
            for address, size in ranges:
                self._advise(address, size, _POPULATE_WRITE)


class Observation:
    """Of what a process writes to, from now on."""

    def __init__(self) -> None:
        self._before = own_pages()

    def told(self) -> bytes:
        """Return what it has written to so far, for the zygote; b'' if that cannot be told."""
        return as_ranges(own_pages() - self._before)


def _imported_ctypes() -> Any:
    """Return the module `ctypes`, None if nobody has imported it.

    It is not imported for this: with some security policies that is noted as an attempt at something evil. But
    ansible-core's `basic` imports it, too.
    """
    return sys.modules.get('ctypes')


def is_busy() -> bool:
    """Whether each processor of the machine has something to do, besides this process."""
    try:
        with open('/proc/loadavg') as file:
            running = int(file.read().split()[3].partition('/')[0])
        return running > len(os.sched_getaffinity(0))
    except (OSError, ValueError, IndexError):
        return True


def _ranges(told: bytes) -> List[Tuple[int, int]]:
    """Return what was told; nothing, if it makes no sense: a job can write over it."""
    numbers = array.array('Q', told[:len(told) // 16 * 16])
    return list(zip(numbers[::2], numbers[1::2])) if sum(numbers[1::2]) <= _MAX_COPIED * _PAGE_SIZE else []


def own_pages() -> Set[int]:
    """Return the numbers of the pages that this process has to itself; none if that cannot be told.

    In a forked process these are what it has written to since then, and what its parent has.
    """
    found: Set[int] = set()
    try:
        with open('/proc/self/maps') as maps, open('/proc/self/pagemap', 'rb', buffering=0) as pagemap:
            areas = [[int(end, 16) for end in line.split()[0].split('-')] for line in maps if ' rw-p ' in line]
            for start, stop in areas:
                first = start // _PAGE_SIZE
                pagemap.seek(first * 8)
                entries = array.array('Q', pagemap.read((stop - start) // _PAGE_SIZE * 8))
                found.update(first + index for index, entry in enumerate(entries) if entry & _ALL == _WANTED)
    except Exception:
        return set()  # there is no such file, or the job has changed what is used here
    return found


def as_ranges(pages: Iterable[int]) -> bytes:
    """Return where pages are: addresses and sizes in bytes, one after the other."""
    runs: List[List[int]] = []
    for page in sorted(pages)[:_MAX_COPIED]:
        if runs and page == runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([page, page + 1])
    return array.array('Q', [size * _PAGE_SIZE for start, stop in runs for size in (start, stop - start)]).tobytes()
