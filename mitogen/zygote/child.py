"""What happens first in the forked process of a job."""

import _signal  # type: ignore[import-not-found]  # the public module's functions take longer, for its enums
import os
from typing import Any, Dict, Iterable, List, NoReturn

from mitogen.zygote.processes import close_files

#: Signals that an interpreter ignores from its start, and that no program should inherit so.
_IGNORED = [getattr(_signal, name) for name in ('SIGPIPE', 'SIGXFSZ') if hasattr(_signal, name)]


def leave_zygote(keep: int, handled: Iterable[int]) -> None:
    """Leave what is the zygote's: session, signals, descriptors.

    :param keep: the descriptor that is needed still, besides stdio.
    :param handled: signals that the zygote handles, and the job does not.
    """
    os.setsid()
    _signal.set_wakeup_fd(-1)
    for number in handled:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    close_files(keep)


def enter(stdio: List[int], request: Dict[str, Any]) -> None:
    """Make this process the job's: stdio, terminal, environment, umask, folder.

    :param stdio: what become its descriptors 0, 1 and 2.
    """
    for target, fd in enumerate(stdio):
        os.dup2(fd, target)
    for fd in set(stdio):
        os.close(fd)
    if request.get('tty'):
        os.close(os.open(os.ttyname(0), os.O_RDWR))  # a session's first terminal becomes its controlling one
    os.environ.update(request.get('env') or {})
    if request.get('umask') is not None:
        os.umask(request['umask'])
    if request.get('cwd'):
        os.chdir(request['cwd'])


def exec_command(argv: List[str]) -> NoReturn:
    """Become a command."""
    for number in _IGNORED:
        _signal.signal(number, _signal.SIG_DFL)
    program = argv[0]
    if not program:
        import pwd
        try:
            program = pwd.getpwuid(os.getuid()).pw_shell
        except KeyError:
            program = ''
        program = program or '/bin/sh'
        argv = [os.path.basename(program)] + argv[1:]
    os.execvp(program, argv)
