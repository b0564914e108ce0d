"""Processes: starting them under a warden, and looking at the tree below one."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

WARDEN = Path(__file__).with_name('warden.py')


class Process(NamedTuple):
    """One line of the process table."""

    pid: int
    parent: int
    uid: int
    command: str


def process_table() -> dict[int, Process]:
    """All living processes of the machine, by pid. Zombies are left out."""
    table = {}
    for entry in os.listdir('/proc'):
        if not entry.isdigit():
            continue
        folder = '/proc/' + entry
        try:
            # Without buffers, and paths as texts: tests that wait for a process look at the table all the time.
            with open(folder + '/stat', 'rb', 0) as stat:
                state, parent = stat.read().rpartition(b')')[2].split(None, 2)[:2]
            if state == b'Z':
                continue
            with open(folder + '/cmdline', 'rb', 0) as cmdline:
                command = cmdline.read().replace(b'\0', b' ').decode('utf-8', 'replace').strip()
            uid = os.stat(folder).st_uid
        except OSError:
            continue
        table[int(entry)] = Process(int(entry), int(parent), uid, command)
    return table


def descendants(root: int) -> list[Process]:
    """Living processes below `root`, parents before their children."""
    by_parent: dict[int, list[Process]] = {}
    for process in process_table().values():
        by_parent.setdefault(process.parent, []).append(process)
    found, queue = [], [root]
    while queue:
        children = by_parent.get(queue.pop(0), [])
        found += children
        queue += [child.pid for child in children]
    return found


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what `condition()` returns as soon as that is true.

    :raises AssertionError: it was not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {seconds} s: {what}')
        time.sleep(0.03)


@dataclass
class Ending:
    """How a warded command ended, and the processes that it left behind."""

    status: int
    left: list[tuple[int, str]]
    seconds: float


class Warded:
    """A command under a warden.

    :param grace: seconds that the command's own children have to go away after it has ended.
    :param private: folders laid over others (`{over: folder}`) for the command alone; see :attr:`is_private`.
    :param output: file that receives stdout and stderr. (A pipe would be kept open by what is left behind.)
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        output: Path,
        errors: Path | None = None,
        grace: float = 0,
        private: Mapping[str, Path] | None = None,
    ) -> None:
        read_fd, write_fd = os.pipe()
        self.command = list(command)
        self._grace = grace
        folders = json.dumps([[str(folder), over] for over, folder in (private or {}).items()])
        self._started = time.monotonic()
        with output.open('ab') as stdout, (errors or output).open('ab') as stderr:
            self._warden = subprocess.Popen(
                [sys.executable, '-I', '-S', str(WARDEN), str(write_fd), str(grace), folders, *command],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[write_fd],
                start_new_session=True,
            )
        os.close(write_fd)
        self._report_fd = read_fd
        self._unread = b''
        #: Whether the machine allowed folders of its own to the command.
        self.is_private: bool = self._next('private', 30)
        self.pid: int = self._next('pid', 30)

    def _next(self, key: str, timeout: float) -> Any:
        """The next line of the report.

        :raises TimeoutError: it did not come.
        """
        deadline = time.monotonic() + timeout
        while b'\n' not in self._unread:
            ready = select.select([self._report_fd], [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                raise TimeoutError(f'no {key} of {" ".join(self.command)} after {timeout} s')
            chunk = os.read(self._report_fd, 65536)
            if not chunk:
                raise AssertionError(f'the warden of {self.command[0]} was killed')
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b'\n')
        return json.loads(line)[key]

    def tree(self) -> list[Process]:
        """The command and all that it started, as far as it lives."""
        return descendants(self._warden.pid)

    def wait(self, timeout: float) -> Ending:
        """Wait for the end of the command, and of its children.

        :raises TimeoutError: the command was still running; everything has been killed.
        """
        try:
            status = self._next('status', timeout)
        except TimeoutError as error:
            table = '\n'.join(f'{process.pid} {process.parent} {process.command[:200]}' for process in self.tree())
            self.kill()
            raise TimeoutError(f'{error}\n{table}') from None
        seconds = time.monotonic() - self._started
        left = [(pid, command) for pid, command in self._next('left', self._grace + 30)]
        self._warden.wait()
        os.close(self._report_fd)
        return Ending(status, left, seconds)

    def interrupt(self) -> None:
        """What a terminal does at Ctrl-C."""
        os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """End the command and everything below it, if that has not been done."""
        if self._warden.poll() is not None:
            return
        self._warden.terminate()
        self._warden.wait()
        os.close(self._report_fd)
