"""Forking a context off this process, without starting an interpreter."""

import io
import json
import logging
import os
import signal
import socket
import sys
import traceback
from typing import NoReturn, Tuple

from mitogen.core import external
from mitogen.core.broker import abandon_all
from mitogen.core.importer import Importer
from mitogen.parent.bootstrap import GREETING
from mitogen.parent.reaper import forget_children


def fork_child(stderr: int) -> Tuple[int, socket.socket]:
    """Fork a child that greets and becomes a context, with all that is imported here.

    Of the threads of this process only the calling one is in the child, so
    locks that others hold at that moment stay locked there: fork before
    threads of your own do much, or from a context that has none.

    :param stderr: descriptor of its stderr.
    :returns: its process ID, and the other end of the socket that is its stdin and stdout.
    """
    ours, theirs = socket.socketpair()
    # What stands there unwritten would be written twice.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    pid = os.fork()
    if not pid:
        _become_context(ours, theirs, stderr)
    theirs.close()
    return pid, ours


def _become_context(ours: socket.socket, sock: socket.socket, stderr: int) -> NoReturn:
    """Do in the child what the first stage does in a fresh interpreter."""
    try:
        ours.close()
        abandon_all()  # Python 3.6 has no hook that would have seen to it
        for target, fd in enumerate((sock.fileno(), sock.fileno(), stderr)):
            os.dup2(fd, target)
        # They are children of the process that forked.
        forget_children()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        logging.getLogger().handlers[:] = []
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Importer)]
        greeting = [sys.version_info[:3], sys.executable, 'fork', os.getpid(), os.getuid()]
        os.write(1, GREETING + json.dumps(greeting).encode() + b'\n')
        stdin = io.BufferedReader(io.FileIO(0, 'rb', False), 1)
        bundle, config_text = (stdin.read(int(stdin.read(8))) for _ in range(2))
        config = json.loads(config_text.decode())
        external.main(config, bundle, stdin.read(int(stdin.read(8))) if config.get('zygote_id') else b'')
    except BaseException:
        os.write(2, traceback.format_exc().encode('utf-8', 'replace'))
    finally:
        os._exit(1)
