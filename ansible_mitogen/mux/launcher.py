"""Having a multiplexer run for this ansible-playbook: one, whichever of its processes needs it first."""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import tempfile
from typing import Any

from ansible_mitogen.mux.protocol import SOCKET_NAME

#: A socket's path may not be longer; macOS has the least.
MAX_PATH = 103

#: What the multiplexer runs as: an interpreter that takes nothing from its environment, and neither `site` nor the
#: current directory, which keeps its start short. It finds itself where this module is, after the standard library.
_START = 'import sys; sys.path += sys.argv.pop(1).split("\\n"); ' \
    'from ansible_mitogen.mux.__main__ import main; main(sys.argv[1:])'

#: Multiplexers that this process started. Kept, so that they are reaped when they end before it.
_started: list[subprocess.Popen[bytes]] = []


def ensure_mux(owner_pid: int, forks: int, log_path: str = '') -> str:
    """Return the socket path of the owner's multiplexer, which is started if it does not run.

    It may be called from any process and thread. The socket can be connected to at once.

    :param owner_pid: the process that the multiplexer serves, and does not outlive.
    :param forks: how many connections it opens at the same time.
    :param log_path: file for its log; by default there is none.
    :raises OSError: it cannot be started, or its directory is not safe to use.
    """
    while True:
        directory = make_directory(owner_pid)
        path = os.path.join(directory, SOCKET_NAME)
        if accepts(path):
            return path
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            # A multiplexer that ended meanwhile has removed the directory, and maybe someone made it anew.
            try:
                current = os.path.samestat(os.fstat(fd), os.stat(directory))
            except FileNotFoundError:
                current = False
            if current:
                if not accepts(path):
                    _start(directory, owner_pid, forks, log_path)
                return path
        finally:
            os.close(fd)


def find_mux(owner_pid: int) -> str | None:
    """Return the socket path of the owner's multiplexer if it runs; nothing is started."""
    path = os.path.join(_directory(owner_pid), SOCKET_NAME)
    return path if accepts(path) else None


def remove_dead(owner_pid: int) -> None:
    """Remove the socket of the owner's multiplexer if nobody listens: it was killed, and could not do so itself."""
    directory = _directory(owner_pid)
    path = os.path.join(directory, SOCKET_NAME)
    if accepts(path):
        return
    for remove, name in ((os.unlink, path), (os.rmdir, directory)):
        try:
            remove(name)
        except OSError:
            # It ended properly, and has removed it.
            continue


def _directory(owner_pid: int) -> str:
    name = f'ansible-mitogen-{os.getuid()}-{owner_pid}-{start_time(owner_pid)}'
    parent = tempfile.gettempdir()
    if len(os.fsencode(os.path.join(parent, name, SOCKET_NAME))) > MAX_PATH:
        parent = '/tmp'
    return os.path.join(parent, name)


def make_directory(owner_pid: int) -> str:
    """Return the directory for the owner's socket, made if it is not there.

    :raises PermissionError: someone else has made it, or may write to it.
    """
    directory = _directory(owner_pid)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        # It was removed in this moment, by a multiplexer that ended.
        return make_directory(owner_pid)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, 'it is not a private directory of this user', directory)
    return directory


def start_time(pid: int) -> str:
    """Return what tells a process from an earlier one with the same ID, as far as the system says."""
    try:
        with open('/proc/%d/stat' % pid, 'rb') as file:
            # The name, in parentheses, may hold spaces and parentheses.
            return file.read().rpartition(b')')[2].split()[19].decode()
    except (OSError, IndexError):
        return '0'


def accepts(path: str) -> bool:
    """Whether someone listens there."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.ECONNREFUSED):
                return False
            # A full queue is a sign of life.
            if exc.errno != errno.EAGAIN:
                raise
    return True


def _start(directory: str, owner_pid: int, forks: int, log_path: str) -> None:
    path = os.path.join(directory, SOCKET_NAME)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    roots = _import_roots()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen(1024)
        options: dict[str, Any] = {'--socket-dir': directory, '--owner-pid': owner_pid, '--forks': forks,
                                   '--listen-fd': sock.fileno()}
        if log_path:
            options['--log'] = os.path.abspath(log_path)
        words = [str(word) for option in options.items() for word in option]
        _started[:] = [process for process in _started if process.poll() is None]
        _started.append(subprocess.Popen(
            [sys.executable, '-I', '-S', '-c', _START, '\n'.join(roots), *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[sock.fileno()], start_new_session=True))


def _import_roots() -> list[str]:
    """Return the directories that our packages are imported from."""
    import mitogen
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    roots = [here]
    there = os.path.dirname(os.path.dirname(os.path.abspath(mitogen.__file__)))
    if there != here:
        roots.append(there)
    return roots
