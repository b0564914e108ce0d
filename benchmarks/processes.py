"""Reading of the process table, and becoming the reaper of orphans.

This module is also imported by `benchmarks.supervise`, which must start fast: standard library only.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

CLOCK_TICKS = os.sysconf('SC_CLK_TCK')


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it, so that their CPU time is counted here.

    Kept over exec, not inherited by children.
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Make this process get SIGTERM when its parent is killed."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f'prctl({option})')


def read_stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty if the process is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
            return file.read().rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants(root: int) -> list[int]:
    """Return the process IDs below `root`, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit() and (fields := read_stat(int(entry))) and fields[0] != 'Z':
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def command_line(pid: int) -> str:
    """Return the command line of a process, cut to what identifies it."""
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            return file.read().replace(b'\0', b' ').decode('utf-8', 'replace').strip()[:120]
    except (FileNotFoundError, ProcessLookupError):
        return ''


def memory(pid: int) -> int:
    """Return the proportional share of memory of a process, in KiB; 0 if it is gone."""
    try:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            return next((int(line.split()[1]) for line in file if line.startswith('Pss:')), 0)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def reaped_cpu(pid: int) -> float:
    """Return the CPU seconds of all children that process `pid` has waited for."""
    fields = read_stat(pid)
    return (int(fields[13]) + int(fields[14])) / CLOCK_TICKS if fields else 0.0


def send_signal(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process which still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until_alone(root: int, seconds: float) -> list[int]:
    """Wait until `root` has no process below it; return those which are there after `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := descendants(root)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def end_descendants(root: int, seconds: float = 3) -> None:
    """End everything below `root`: SIGTERM, and SIGKILL for what is there after `seconds`."""
    send_signal(descendants(root), signal.SIGTERM)
    send_signal(wait_until_alone(root, seconds), signal.SIGKILL)
