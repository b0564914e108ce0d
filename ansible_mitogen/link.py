"""This process's link to the multiplexer of the run.

All processes of one ansible-playbook, the main one and its workers, share one
multiplexer. It lives as long as the main process does, its *owner*.
"""

import atexit
import multiprocessing
import os
import threading

from ansible_mitogen.mux.api import ContextInfo
from ansible_mitogen.mux.client import MuxClient, Waiting
from ansible_mitogen.mux.launcher import ensure_mux, find_mux, remove_dead

#: Name of a file for the multiplexer's log. By default it keeps none.
LOG_VARIABLE = 'MITOGEN_MUX_LOG'

#: The main process, once it has said so.
_owner = 0

#: The socket of the owner's multiplexer, as far as this process or the one it was forked from has asked for it.
_path = ''

#: What surrounds the waits of all clients, if someone wants to know of them.
_waiting: Waiting | None = None

#: One client for each thread: a client serves one request at a time.
_clients = threading.local()

#: What all of them have opened.
_known: dict[tuple[str, ...], ContextInfo] = {}


def start(forks: int) -> None:
    """Make this process the owner and start its multiplexer, without waiting for it. Further calls do nothing.

    :param forks: how many connections it opens at a time.
    """
    global _owner
    if _owner != os.getpid():
        _owner = os.getpid()
        atexit.register(_shut_down, _owner, _ensure(forks))


def surround_waits(waiting: Waiting) -> None:
    """Have each wait for the multiplexer, in any thread, happen inside of a context manager."""
    global _waiting
    _waiting = waiting


def owner_pid() -> int:
    """Return the process ID of the main process of this run."""
    if _owner:
        return _owner
    parent = multiprocessing.parent_process()
    return parent.pid or os.getppid() if parent is not None else os.getpid()


def client(forks: int) -> MuxClient:
    """Return this thread's client of the multiplexer, which is started if it does not run.

    :param forks: how many connections it opens at a time, if it must be started.
    """
    return _client_at(_path or _ensure(forks))


def running_client() -> MuxClient | None:
    """Return this thread's client of the multiplexer; None if none has been started."""
    path = _path or find_mux(owner_pid())
    return None if path is None else _client_at(path)


def _client_at(path: str) -> MuxClient:
    mine: MuxClient | None = getattr(_clients, 'client', None)
    if mine is None or mine.path != path:
        # It listens before it is started: if nobody does, then it is gone.
        mine = _clients.client = MuxClient(path, deadline=0, waiting=_waiting, known=_known)
    return mine


def forget() -> None:
    """Drop what is known of the multiplexer: it is gone. The next who wants it starts another."""
    global _path
    _path = ''
    _clients.client = None
    _known.clear()


def _ensure(forks: int) -> str:
    global _path
    _path = ensure_mux(owner_pid(), forks, os.environ.get(LOG_VARIABLE, ''))
    return _path


def _shut_down(pid: int, path: str) -> None:
    # Forked workers inherit what is registered here.
    if os.getpid() == pid:
        MuxClient(path, deadline=0).shutdown()
        remove_dead(pid)
