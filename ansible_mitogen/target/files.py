"""Files written whole or not at all, and read in chunks.

A transfer is made of many short calls of :func:`perform`, so that a large one never occupies
the context for long: the caller keeps a few of them under way at a time.
"""

import errno
import os
import stat
import tempfile
from typing import Any, Dict, List, Optional

#: Read at a time; content that is shorter comes with the first answer.
CHUNK = 128 * 1024

#: What makes the directory of a file no place for a temporary one, while the file itself may well be writable.
_NO_ROOM_BESIDE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)

#: O_NONBLOCK: opening a FIFO that no one reads must fail rather than wait for ever.
_IN_PLACE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class Destination:
    """A file being written under a temporary name beside its own.

    It is written in place if it exists and is no plain file (a symbolic link, a device, a FIFO),
    has other names, belongs to someone else whom it could not be given to, or lies where no file
    can be made.

    :param path: its name; None for a temporary file that stays under its temporary name.
    :param mode: permissions, from which the umask is taken. None keeps those of the file that is
        there, or is 0666 for a new one.
    :raises OSError: it cannot be written.
    """

    def __init__(self, path: Optional[str], mode: Optional[int] = None) -> None:
        self._temporary: Optional[str] = None
        if path is None:
            fd, self.path = tempfile.mkstemp(prefix='.ansible-mitogen-')
            self._temporary = self.path
        else:
            self.path = path
            fd = self._open(path, mode)
        self._file = os.fdopen(fd, 'wb', 0)

    def _open(self, path: str, mode: Optional[int]) -> int:
        try:
            present: Optional[os.stat_result] = os.lstat(path)
        except FileNotFoundError:
            present = None
        if present is not None and (not stat.S_ISREG(present.st_mode) or present.st_nlink > 1):
            return self._open_in_place(path, mode)
        # Not longer than the name itself by much, and hidden: a directory may be one of snippets that a service reads.
        directory, name = os.path.split(path)
        temporary = os.path.join(directory, '.%.100s.%s' % (name, os.urandom(6).hex()))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        private = present is not None
        try:
            fd = os.open(temporary, flags, 0o600 if private else 0o666 if mode is None else mode)
        except OSError as exc:
            if exc.errno in _NO_ROOM_BESIDE:
                return self._open_in_place(path, mode)
            raise
        try:
            if present is not None:
                _make_alike(fd, present, mode)
        except OSError:
            os.close(fd)
            os.unlink(temporary)
            return self._open_in_place(path, mode)
        self._temporary = temporary
        return fd

    @staticmethod
    def _open_in_place(path: str, mode: Optional[int]) -> int:
        fd = os.open(path, _IN_PLACE, 0o666 if mode is None else mode)
        os.set_blocking(fd, True)
        return fd

    def write(self, content: bytes) -> None:
        """Add `content`, all of it."""
        view = memoryview(content)
        while view:
            view = view[self._file.write(view):]

    def commit(self) -> None:
        """Give the file its name."""
        # Some file systems report a full disk or an exceeded quota only here.
        self._file.close()
        if self._temporary is not None and self._temporary != self.path:
            os.rename(self._temporary, self.path)
        self._temporary = None

    def abandon(self) -> None:
        """Leave nothing of it behind, so far as it was not written in place."""
        self._file.close()
        if self._temporary is not None:
            os.unlink(self._temporary)
            self._temporary = None


def current_umask() -> int:
    """Return the umask of this process."""
    try:
        with open('/proc/self/status', 'rb') as status:
            for line in status:
                if line.startswith(b'Umask:'):
                    return int(line.split()[1], 8)
    except OSError:
        # Not Linux.
        pass
    # By setting it, which other threads may notice.
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _make_alike(fd: int, present: os.stat_result, mode: Optional[int]) -> None:
    """Give the new file at `fd` the owner and permissions of the one that it will replace."""
    created = os.fstat(fd)
    if (created.st_uid, created.st_gid) != (present.st_uid, present.st_gid):
        os.fchown(fd, present.st_uid, present.st_gid)
    if mode is None:
        os.fchmod(fd, stat.S_IMODE(present.st_mode))
    else:
        os.fchmod(fd, mode & ~current_umask())


def write_whole(path: Optional[str], mode: Optional[int], content: bytes) -> str:
    """Write a file whole or not at all, and return its path.

    :param path: as for :class:`Destination`.
    :raises OSError: it cannot be written.
    """
    destination = Destination(path, mode)
    try:
        destination.write(content)
        destination.commit()
    except OSError:
        destination.abandon()
        raise
    return destination.path


class Transfers:
    """The transfers under way in a context, by the caller's number for each."""

    def __init__(self) -> None:
        self._written: Dict[int, Destination] = {}
        self._read: Dict[int, int] = {}
        self._temporary: List[str] = []

    def put(self, path: Optional[str], mode: Optional[int], content: bytes) -> str:
        """Write a file whole, and return its path."""
        return self._remember(path, write_whole(path, mode, content))

    def begin_put(self, number: int, path: Optional[str], mode: Optional[int]) -> None:
        """Start to write a file."""
        self._written[number] = Destination(path, mode)

    def write(self, number: int, content: bytes) -> None:
        """Add to it."""
        self._written[number].write(content)

    def end_put(self, number: int, path: Optional[str]) -> str:
        """Give the file its name, and return its path."""
        destination = self._written[number]
        destination.commit()
        del self._written[number]
        return self._remember(path, destination.path)

    def begin_fetch(self, number: int, path: str) -> List[Any]:
        """Return the permissions of a file, and its first chunk; one that is short is all there is."""
        # Not blocking: a FIFO that no one writes is empty rather than waited for.
        self._read[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        return [stat.S_IMODE(os.fstat(self._read[number]).st_mode), self.read(number)]

    def read(self, number: int) -> bytes:
        """Return the next chunk. After a short one the transfer is over, and chunks are empty."""
        if number not in self._read:
            return b''
        pieces, wanted = [], CHUNK
        while wanted:
            piece = os.read(self._read[number], wanted)
            if not piece:
                os.close(self._read.pop(number))
                break
            pieces.append(piece)
            wanted -= len(piece)
        return b''.join(pieces)

    def abandon(self, number: int) -> None:
        """Forget a transfer and what has been written of it. One that is over is no error."""
        if number in self._written:
            self._written.pop(number).abandon()
        if number in self._read:
            os.close(self._read.pop(number))

    def abandon_all(self) -> None:
        """Leave nothing behind, when the context ends."""
        for number in [*self._written, *self._read]:
            self.abandon(number)
        for path in self._temporary:
            try:
                os.unlink(path)
            except OSError:
                # Whoever it was made for has removed it.
                pass

    def _remember(self, asked_for: Optional[str], written: str) -> str:
        if asked_for is None:
            self._temporary.append(written)
        return written


_transfers = Transfers()


def perform(step: str, *args: Any, econtext: Any) -> List[Any]:
    """Do one step of a transfer: call that method of :class:`Transfers`.

    :param econtext: the context that this runs in; what is not finished is removed when it ends.
    :returns: ``[True, its result]``, or ``[False, errno, message]``.
    """
    if _transfers.abandon_all not in econtext.at_end:
        econtext.at_end.append(_transfers.abandon_all)
    try:
        return [True, getattr(_transfers, step)(*args)]
    except OSError as exc:
        return [False, exc.errno or 0, exc.strerror or str(exc)]
    except KeyError:
        # An earlier step failed, and was answered so.
        return [False, errno.EBADF, 'the transfer is over']


perform.takes_econtext = True  # type: ignore[attr-defined]
