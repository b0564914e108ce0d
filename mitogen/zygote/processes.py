"""The process of a job, seen from the zygote: its stdio, its report, its end."""

import json
import mmap
import os
import struct
import tempfile
from typing import Any, Dict, List, Optional

from mitogen.zygote.jobs import Job

#: What is read at once.
_READ_SIZE = 128 * 1024
#: The most that a pipe holds when its writer has gone; what comes later is from what the job left behind.
_PIPE_SIZE = 1 << 20
#: Room for a report: the names of the modules that a child found.
_REPORT_SIZE = 64 * 1024


class Report:
    """Memory that a child shares with the zygote, for one message. It takes no file descriptor and never blocks."""

    #: Size of the message; one more than the exit code, if that is settled; size of what is attached, at the very end.
    _head = struct.Struct('=III')

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _REPORT_SIZE)

    def write(self, message: bytes, code: Optional[int] = None) -> None:
        """Leave a message; nothing, if it is too long.

        :param code: the process has nothing left to do but to end with this exit code.
        """
        end = self._head.size + len(message)
        if end <= _REPORT_SIZE:
            self._memory[self._head.size:end] = message
            self._head.pack_into(self._memory, 0, len(message), 0 if code is None else code + 1, 0)

    def fail(self, exc: BaseException) -> None:
        """Leave the message that the process could not become the job's."""
        self.write(json.dumps({'error': 'it could not be started: %s' % exc}).encode())

    def read(self) -> bytes:
        """Return the message."""
        size = self._head.unpack_from(self._memory)[0]
        return self._memory[self._head.size:self._head.size + size]

    def settled_code(self) -> Optional[int]:
        """Return the exit code of a process that has nothing left to do but to end; None of any other."""
        code = self._head.unpack_from(self._memory)[1]
        return code - 1 if 0 < code <= 256 else None

    def attach(self, content: bytes) -> None:
        """Leave something besides the message that was written; nothing, if both together are too long."""
        size, code, _ = self._head.unpack_from(self._memory)
        if self._head.size + size + len(content) <= _REPORT_SIZE:
            self._memory[_REPORT_SIZE - len(content):] = content
            self._head.pack_into(self._memory, 0, size, code, len(content))

    def attached(self) -> bytes:
        """Return what was attached, b'' if nothing was."""
        size = self._head.unpack_from(self._memory)[2]
        return self._memory[-size:] if 0 < size <= _REPORT_SIZE - self._head.size else b''

    def close(self) -> None:
        """Free the memory."""
        self._memory.close()


class Process:
    """The process of a job.

    Its output comes through pipes or a terminal, which are read until the
    process itself has ended: a daemon that it leaves behind does not delay
    the answer. (Files would not do for commands: `echo > /dev/stderr`
    truncates a file.)

    :param job: the job.
    :raises OSError: out of file descriptors.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pid = 0
        self.report: Any = None
        #: What the zygote knew when it was forked off, if it tells which memory its job writes to.
        self.told_state: Any = None
        #: What becomes the descriptors 0, 1 and 2 of the process.
        self.stdio: List[int] = []
        #: Where its output comes from: descriptor here to descriptor there.
        self.readers: Dict[int, int] = {}
        #: What is still to be typed into its terminal.
        self.typing = b''
        #: A terminal whose other end nobody has open hangs up, for good. The kernel takes that to be so already when
        #: the last but one is closed, as a shell does that looks at /dev/tty: so the zygote has it open, too.
        self._terminal: List[int] = []
        try:
            self._open(job.request)
        except OSError:
            self.abandon()
            raise

    def _open(self, request: Dict[str, object]) -> None:
        content: bytes = request.get('stdin') or b''  # type: ignore[assignment]
        if request.get('tty'):
            master, slave = os.openpty()
            self.stdio = [slave, slave, slave]
            self._terminal = [slave]
            self.readers[master] = 1
            self.typing = content + b'\x04'
        else:
            self.stdio.append(file_with(content) if content else os.open(os.devnull, os.O_RDONLY))
            for fd in (1, 2):
                ours, theirs = os.pipe()
                self.readers[ours] = fd
                self.stdio.append(theirs)
        for fd in self.readers:
            os.set_blocking(fd, False)

    def abandon(self) -> None:
        """Close all: there will be no process."""
        self.close_stdio()
        self._release_terminal()
        for fd in list(self.readers):
            self.close(fd)

    def close_stdio(self) -> None:
        """Close the process's own ends; that of a terminal when the process has ended."""
        for fd in set(self.stdio).difference(self._terminal):
            os.close(fd)
        self.stdio = []

    def _release_terminal(self) -> None:
        for fd in self._terminal:
            os.close(fd)
        self._terminal = []

    def close(self, fd: int) -> None:
        """Close a descriptor that is read from."""
        del self.readers[fd]
        os.close(fd)

    def read(self, fd: int) -> int:
        """Take what is there; return its size, 0 at the end, -1 if there is nothing now."""
        try:
            content = os.read(fd, _READ_SIZE)
        except BlockingIOError:
            return -1
        except OSError:  # EIO: nobody has the terminal open any more
            return 0
        if not self.job.is_finished:
            self.job.output[self.readers[fd]] += content
        return len(content)

    def type(self, fd: int) -> None:
        """Type what the terminal takes."""
        try:
            self.typing = self.typing[os.write(fd, self.typing):]
        except BlockingIOError:
            pass
        except OSError:
            self.typing = b''

    def drain(self) -> List[int]:
        """Take what it left, once it has ended; return the descriptors whose other ends nobody else has open."""
        self._release_terminal()
        ended = []
        for fd in self.readers:
            size, total = 1, 0
            while size > 0 and total < _PIPE_SIZE:
                size = self.read(fd)
                total += size
            if size == 0:
                ended.append(fd)
        return ended


def file_with(content: bytes) -> int:
    """Return a descriptor of a file that has no name, to be read from its start."""
    if hasattr(os, 'memfd_create'):
        fd = os.memfd_create('stdin')
    else:
        fd, path = tempfile.mkstemp()
        os.unlink(path)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view):]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def kill_group(pid: int, number: int) -> None:
    """Send a signal to the process group that a job's process leads, or is about to."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, number)
            return
        except OSError:
            continue


def remove_scratch(path: str) -> None:
    """Remove a job's scratch folder, if it made one."""
    if path and os.path.isdir(path):
        import shutil
        shutil.rmtree(path, ignore_errors=True)


def close_files(*keep: int) -> None:
    """Close all file descriptors but the standard ones and those to keep."""
    try:
        fds = [int(name) for name in os.listdir('/dev/fd')]
    except OSError:
        fds = list(range(1024))
    for fd in fds:
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                continue  # the one of the listing itself
