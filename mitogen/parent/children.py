"""Starting child processes whose standard streams, and maybe terminal, are ours."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import tty
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from mitogen.core.errors import StreamError

#: Signals that a child finds at their default, whatever this process does with them.
DEFAULTED_SIGNALS = tuple(
    getattr(signal, name) for name in (
        'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGCHLD', 'SIGUSR1', 'SIGUSR2',
        'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGXFSZ')
    if hasattr(signal, name))

Child = NamedTuple('Child', [
    ('pid', int), ('stdio', socket.socket), ('tty', int), ('tty_slave', int), ('stderr', int),
])
Child.__doc__ = """A child with a terminal beside its standard streams, made by :func:`hybrid_create_child`.

`stdio` is the other end of its stdin and stdout, `stderr` the read end of its stderr, and `tty`
the master of its controlling terminal: closing that one hangs the child up. `tty_slave` is held
so that the master does not read as hung up while the child has not opened ``/dev/tty`` yet; it may
be closed when no more prompts are expected. Whoever started the child owns all of them.
"""

#: How a child is to be started: descriptors of stdin, stdout and stderr (None: inherited), and of the
#: slave of its controlling terminal (None: it has none).
_Wiring = NamedTuple('_Wiring', [
    ('stdin', int), ('stdout', int), ('stderr', Optional[int]), ('tty', Optional[int]),
])


def create_child(*args: str, stderr: Optional[int] = None, cwd: Optional[str] = None,
                 env: Optional[Mapping[str, str]] = None) -> Tuple[int, socket.socket]:
    """Start a program whose stdin and stdout are one end of a socket pair.

    Like all children it leads a session and a process group of its own, so
    that signals from the terminal do not reach it, and it can be ended
    together with whatever it started.

    :param args: the program and its arguments.
    :param stderr: descriptor to be its stderr; that of this process if None.
    :param cwd: where it starts; the current directory if None.
    :param env: its whole environment; that of this process if None.
    :returns: its process ID and the other end of the socket pair.
    :raises StreamError: it could not be started.
    """
    with _Descriptors() as mine, _Descriptors() as theirs:
        parent, child = socket.socketpair()
        mine.push(parent)
        theirs.push(child)
        pid = _spawn(args, _Wiring(child.fileno(), child.fileno(), stderr, None), cwd, env)
        mine.keep()
        return pid, parent


def tty_create_child(*args: str, cwd: Optional[str] = None,
                     env: Optional[Mapping[str, str]] = None) -> Tuple[int, int]:
    """Start a program on a new pseudo-terminal: its stdin, stdout, stderr and controlling TTY.

    The terminal is in raw mode without echo: what is typed is what is read.

    :returns: its process ID and the master's descriptor.
    :raises StreamError: it could not be started.
    """
    with _Descriptors() as mine, _Descriptors() as theirs:
        master, slave = _open_terminal(mine, theirs)
        pid = _spawn(args, _Wiring(slave, slave, slave, slave), cwd, env)
        mine.keep()
        return pid, master


def hybrid_create_child(*args: str, cwd: Optional[str] = None,
                        env: Optional[Mapping[str, str]] = None) -> Child:
    """Start a program that may ask for a password in whichever way it likes.

    Its stdin and stdout are a socket as with :func:`create_child`, its stderr
    is a pipe, and its controlling TTY, which ``/dev/tty`` opens, is a new
    pseudo-terminal in raw mode without echo.

    :raises StreamError: it could not be started.
    """
    with _Descriptors() as mine, _Descriptors() as theirs:
        parent, child = socket.socketpair()
        mine.push(parent)
        theirs.push(child)
        stderr_read, stderr_write = os.pipe()
        mine.callback(os.close, stderr_read)
        theirs.callback(os.close, stderr_write)
        master, slave = _open_terminal(mine, mine)
        pid = _spawn(args, _Wiring(child.fileno(), child.fileno(), stderr_write, slave), cwd, env)
        mine.keep()
        return Child(pid, parent, master, slave, stderr_read)


class _Descriptors(contextlib.ExitStack):
    """Descriptors to close at the end of a block, unless kept."""

    def keep(self) -> None:
        self.pop_all()


def _open_terminal(masters: contextlib.ExitStack, slaves: contextlib.ExitStack) -> Tuple[int, int]:
    try:
        master, slave = os.openpty()
    except OSError as exc:
        raise StreamError('no pseudo-terminal could be opened: %s' % exc.strerror) from None
    masters.callback(os.close, master)
    slaves.callback(os.close, slave)
    tty.setraw(slave, termios.TCSANOW)
    return master, slave


def _spawn(args: Sequence[str], wiring: _Wiring, cwd: Optional[str], env: Optional[Mapping[str, str]]) -> int:
    if cwd is not None and not os.path.isdir(cwd):
        raise StreamError('cannot start %s: no such directory: %s' % (args[0], cwd))
    program = _find_program(args[0], env)
    try:
        pid = None if cwd is not None else _posix_spawn(program, args, wiring, env)
        return _popen(program, args, wiring, cwd, env) if pid is None else pid
    except (OSError, subprocess.SubprocessError) as exc:
        raise StreamError('cannot start %s: %s' % (program, getattr(exc, 'strerror', None) or exc)) from None


def _find_program(name: str, env: Optional[Mapping[str, str]]) -> str:
    if os.path.dirname(name):
        return name
    for folder in os.get_exec_path(env):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise StreamError('cannot start %s: command not found' % name)


def _posix_spawn(program: str, args: Sequence[str], wiring: _Wiring, env: Optional[Mapping[str, str]]) -> Optional[int]:
    """Start a child without running any Python between fork and exec, nor copying page tables.

    :returns: None where this cannot be done.
    """
    # Python 3.7 has no posix_spawn. Elsewhere than on Linux there is no sure way to list descriptors, and opening a
    # terminal does not always give it to a session leader that has none.
    if not (sys.platform.startswith('linux') and hasattr(os, 'posix_spawn')):
        return None
    with contextlib.ExitStack() as copies:
        try:
            actions: List[Tuple[Any, ...]] = _close_inheritable()
            if wiring.tty is not None:
                actions.append((os.POSIX_SPAWN_OPEN, 0, os.ttyname(wiring.tty), os.O_RDWR, 0))
        except OSError:  # no /proc, or a container without the /dev/pts that the terminal is from
            return None
        sources = [_above_stdio(fd, copies) for fd in (wiring.stdin, wiring.stdout, _or_null(wiring.stderr, copies))]
        actions += [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(sources)]
        try:
            return os.posix_spawn(program, list(args), os.environ if env is None else env, file_actions=actions,
                                  setsid=True, setsigmask=(), setsigdef=DEFAULTED_SIGNALS)
        except NotImplementedError:  # a C library without POSIX_SPAWN_SETSID
            return None


def _popen(program: str, args: Sequence[str], wiring: _Wiring, cwd: Optional[str],
           env: Optional[Mapping[str, str]]) -> int:
    """Start a child by the standard library, where :func:`_posix_spawn` cannot."""
    # A thread's signal mask passes through exec, and subprocess does not reset it.
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        process = subprocess.Popen(
            args, executable=program, stdin=wiring.stdin, stdout=wiring.stdout, stderr=wiring.stderr,
            cwd=cwd, env=env, close_fds=True, start_new_session=True,
            preexec_fn=_after_fork(wiring.tty))  # noqa: PLW1509  (see there)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # Whoever asked for the child reaps it: Popen must not do so when it is collected.
    process.returncode = 0
    return process.pid


def _after_fork(tty_fd: Optional[int]) -> Optional[Callable[[], None]]:
    """Return what must run in the child before exec, or None if nothing must.

    Python code there can hang when another thread held a lock at the fork, so
    it is avoided unless it is the only way: to take a controlling terminal, or
    to stop ignoring a signal. It uses nothing but two C functions then.
    """
    ignored = [number for number in DEFAULTED_SIGNALS if signal.getsignal(number) == signal.SIG_IGN]
    # subprocess itself sees to these two.
    ignored = [number for number in ignored if number not in (signal.SIGPIPE, signal.SIGXFSZ)]
    if tty_fd is None and not ignored:
        return None

    def prepare(ioctl: Callable[..., Any] = fcntl.ioctl, set_handler: Callable[..., Any] = signal.signal) -> None:
        for number in ignored:
            set_handler(number, signal.SIG_DFL)
        if tty_fd is not None:
            ioctl(tty_fd, termios.TIOCSCTTY, 0)

    return prepare


def _close_inheritable() -> List[Tuple[Any, ...]]:
    """Return the actions that close what this process has itself inherited, or passes to other programs."""
    actions: List[Tuple[Any, ...]] = []
    for fd in map(int, os.listdir('/proc/self/fd')):
        try:
            if fd > 2 and os.get_inheritable(fd):
                actions.append((os.POSIX_SPAWN_CLOSE, fd))
        except OSError:  # closed by another thread, or the listing itself
            continue
    return actions


def _or_null(fd: Optional[int], copies: contextlib.ExitStack) -> int:
    """Return `fd`, or stderr if it is None, or the null device if there is no stderr."""
    if fd is not None:
        return fd
    try:
        os.fstat(2)
        return 2
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        copies.callback(os.close, null)
        return null


def _above_stdio(fd: int, copies: contextlib.ExitStack) -> int:
    """Return a copy of `fd` that wiring up the child's stdin and stdout does not overwrite."""
    if fd > 2:
        return fd
    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    copies.callback(os.close, copy)
    return copy
