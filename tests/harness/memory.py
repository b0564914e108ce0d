"""How much memory a process has taken at its peak (Linux)."""

import os
import re
from pathlib import Path

_begun: dict[int, int] = {}


def _status(pid: int, field: str) -> int:
    found = re.search(r'^%s:\s*(\d+) kB$' % field, Path('/proc/%d/status' % pid).read_text(), re.MULTILINE)
    assert found
    return int(found.group(1)) * 1024


def reset_peak(pid: int = 0) -> None:
    """Begin to measure a process, by default this one."""
    pid = pid or os.getpid()
    # 5 sets the peak to what is there now.
    Path('/proc/%d/clear_refs' % pid).write_text('5')
    _begun[pid] = _status(pid, 'VmRSS')


def peak_growth(pid: int = 0) -> int:
    """Return by how many bytes it has grown since, at its peak."""
    pid = pid or os.getpid()
    return _status(pid, 'VmHWM') - _begun[pid]
