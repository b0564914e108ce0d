"""Run one command and account for all that it starts: ``python supervise.py JSON``.

A process of its own, because it adopts orphans: the ssh clients of ControlPersist and every daemon that an engine
detaches are waited for here, so their CPU time is in the sum, and none outlives the run.
"""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

if __package__ in (None, ''):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmarks.processes import (
    adopt_orphans,
    command_line,
    descendants,
    end_descendants,
    end_with_parent,
    memory,
    wait_until_alone,
)

#: An engine's helpers may need this long to see that the run is over; what is there afterwards is reported.
GRACE = 1.0

#: Seconds between looks at the memory.
MEMORY_PAUSE = 0.5

#: Stock's and ours; what stands in for one in a simulation ends at once.
SSH_CLIENT = re.compile(r'(\S*/)?ssh[ :]')

#: How ssh names the process that ControlPersist leaves on purpose.
CONTROL_MASTER = re.compile(r'ssh: .* \[mux\]$')


class MemoryWatch:
    """Looks at the memory of all processes below this one, ssh clients left out, as long as it is open."""

    def __init__(self) -> None:
        self.peak_kib = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> 'MemoryWatch':
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(MEMORY_PAUSE):
            pids = [pid for pid in descendants(os.getpid()) if not SSH_CLIENT.match(command_line(pid))]
            self.peak_kib = max(self.peak_kib, sum(map(memory, pids)))


def run(argv: list[str], cwd: str, env: dict[str, str], log: str, timeout: float,
        watch_memory: bool = False) -> dict[str, object]:
    """Run `argv` and return its exit status, times in seconds and what it left behind.

    :param watch_memory: also return the peak of its memory. To look at it costs this process CPU time.
    """
    adopt_orphans()
    timed_out = threading.Event()

    def abandon() -> None:
        timed_out.set()
        end_descendants(os.getpid())

    timer = threading.Timer(timeout, abandon)
    timer.daemon = True
    watch = MemoryWatch()
    with open(log, 'wb') as output, watch if watch_memory else contextlib.nullcontext():
        start = time.perf_counter()
        child = subprocess.Popen(
            argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        timer.start()
        status = child.wait()
        wall = time.perf_counter() - start
    timer.cancel()
    left = [line for line in map(command_line, wait_until_alone(os.getpid(), GRACE)) if not CONTROL_MASTER.match(line)]
    end_descendants(os.getpid())
    _reap_orphans()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        'status': status,
        'timed_out': timed_out.is_set(),
        'wall': wall,
        'user': usage.ru_utime,
        'system': usage.ru_stime,
        'left': left,
        'peak_kib': watch.peak_kib,
    }


def _reap_orphans() -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            if not descendants(os.getpid()):
                return
            time.sleep(0.01)


def main() -> int:
    """Read the run from the command line and print what was measured as JSON."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    end_with_parent()
    try:
        json.dump(run(**json.loads(sys.argv[1])), sys.stdout)
    finally:
        end_descendants(os.getpid())
    return 0


if __name__ == '__main__':
    sys.exit(main())
