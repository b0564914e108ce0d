"""Which command some code would start, without starting it."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Arguments of `Popen` that do not change what the command is; values of others may.
_HARMLESS = frozenset([
    'args', 'bufsize', 'close_fds', 'creationflags', 'cwd', 'encoding', 'env', 'errors', 'executable', 'pipesize',
    'restore_signals', 'shell', 'start_new_session', 'startupinfo', 'stderr', 'stdin', 'stdout', 'text',
    'universal_newlines',
])

#: Those that may be given without a name, in order.
_POSITIONAL = ('args', 'bufsize', 'executable', 'stdin', 'stdout', 'stderr', 'preexec_fn', 'close_fds', 'shell', 'cwd',
               'env', 'universal_newlines', 'startupinfo', 'creationflags', 'restore_signals', 'start_new_session',
               'pass_fds')


@dataclass(frozen=True)
class Command:
    """A command as it would have been started.

    :param env: what its environment has that this process's has not.
    """

    argv: tuple[str, ...]
    cwd: str | None = None
    env: Mapping[str, str] | None = None


class _CaughtError(BaseException):
    """Carries a command out of the code that wanted to start it: no ``except Exception`` may stop it."""

    def __init__(self, command: Command | None) -> None:
        super().__init__()
        self.command = command


class PopenWatch:
    """Looks at what is started by :class:`subprocess.Popen`, by a thread that asked for it, while it asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers = 0
        self._thread = threading.local()
        self._start: Any = None

    def capture(self, run: Callable[[], object], mark: str) -> Command | None:
        """Call `run` until it starts a command that has `mark` in its arguments, and return the command.

        Other commands are started as ever.

        :returns: None if it started none, or in a way that cannot be repeated elsewhere.
        """
        with self._watching(mark):
            try:
                run()
            except _CaughtError as caught:
                return caught.command
        return None

    @contextmanager
    def _watching(self, mark: str) -> Iterator[None]:
        with self._lock:
            self._watchers += 1
            if self._watchers == 1:
                self._start = subprocess.Popen.__init__
                subprocess.Popen.__init__ = self._make_start()  # type: ignore[method-assign]
        self._thread.mark = mark
        try:
            yield
        finally:
            self._thread.mark = None
            with self._lock:
                self._watchers -= 1
                if not self._watchers:
                    subprocess.Popen.__init__ = self._start  # type: ignore[method-assign]

    def _make_start(self) -> Callable[..., None]:
        start = self._start

        def __init__(popen: Any, *args: Any, **kwargs: Any) -> None:
            mark = getattr(self._thread, 'mark', None)
            if mark is not None:
                given = {**dict(zip(_POSITIONAL, args, strict=False)), **kwargs}
                if any(mark in word for word in _words(given.get('args', ()))):
                    raise _CaughtError(command_of(given))
            start(popen, *args, **kwargs)
        return __init__


def _words(args: Any) -> list[str]:
    return [os.fsdecode(word) for word in ([args] if isinstance(args, (str, bytes, os.PathLike)) else args)]


def command_of(given: Mapping[str, Any]) -> Command | None:
    """Return the command that arguments of `Popen` stand for; None if they ask for more than a command.

    :param given: the arguments by their names.
    """
    if any(value for name, value in given.items() if name not in _HARMLESS):
        return None
    argv = _words(given['args'])
    executable = given.get('executable')
    if given.get('shell'):
        argv = [os.fsdecode(executable or '/bin/sh'), '-c', *argv]
    elif executable is not None:
        argv[0] = os.fsdecode(executable)
    cwd, env = given.get('cwd'), given.get('env')
    more: dict[str, str] | None = None
    if env is not None:
        wanted = {os.fsdecode(name): os.fsdecode(value) for name, value in env.items()}
        more = {name: value for name, value in wanted.items() if os.environ.get(name) != value}
        gone = [word for name in sorted(set(os.environ) - set(wanted)) for word in ('-u', name)]
        argv[:0] = ['env', *gone] if gone else []
    return Command(tuple(argv), None if cwd is None else os.fsdecode(cwd), more)
