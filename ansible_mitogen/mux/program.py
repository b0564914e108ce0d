"""The multiplexer as a program: what it is made of, how it starts, how it ends."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_mitogen.mux.bundles import BundleStore, Member
from ansible_mitogen.mux.descriptors import Descriptors
from ansible_mitogen.mux.hops import HopTable
from ansible_mitogen.mux.owner import watch_owner
from ansible_mitogen.mux.protocol import SOCKET_NAME, HopSpec
from ansible_mitogen.mux.service import Service
from ansible_mitogen.mux.session import Listener
from mitogen.core.broker import Broker
from mitogen.parent.bootstrap import LATE_MEMBERS

LOG = logging.getLogger('mux')

#: Seconds that contexts get to end by themselves, and then their streams to be closed: both together, with what
#: follows, stay under a second.
END_GRACE = 0.4
CLOSE_GRACE = 0.2

#: Seconds until a context that was told to end has its stream closed. More than it gives what it started.
CLOSE_DEADLINE = 2.0

#: The members that every module needs besides what its zip holds.
COMMON = ('ansible_mitogen/__init__.py', 'ansible_mitogen/target/__init__.py', 'ansible_mitogen/target/mends.py',
          'ansible_mitogen/target/runner.py', *LATE_MEMBERS)

#: What ansible-core's `basic` imports of the standard library: before the first module comes, a target has the time for
#: it. Without `ctypes`, which some security policies note.
LIKELY = ('typing', 'inspect', 'copy', 'shlex', 'subprocess', 'datetime', 'locale', 'argparse', 'hashlib', 'pkgutil',
          'platform', 'grp', 'fcntl', 'syslog', 'dataclasses', 'urllib.parse', 'pathlib', 'decimal', 'runpy',
          'encodings.idna')

#: Modules that targets may ask for.
PREFIXES = ['mitogen', 'ansible_mitogen']


def common_members(root: str) -> list[Member]:
    """Return what every bundle has besides its zip.

    :param root: the directory that holds the packages `mitogen` and `ansible_mitogen`.
    """
    members = []
    for path in COMMON:
        with open(os.path.join(root, *path.split('/')), 'rb') as source:
            members.append(Member(path, source.read()))
    return members


class Mux:
    """The multiplexer.

    :param listening: its socket.
    :param socket_dir: the directory that holds the socket and nothing else; removed at the end.
    :param owner_pid: the process that it serves, and does not outlive.
    :param forks: how many contexts are opened at the same time.
    :param debug: whether records of all levels are wanted from targets.
    """

    def __init__(self, listening: socket.socket, socket_dir: str, owner_pid: int, forks: int, debug: bool) -> None:
        self._socket_dir = socket_dir
        self._forks = forks
        self._debug = debug
        self._listening = listening
        self._ended = threading.Event()
        self._ending = False
        self._executor: Any = None
        self.broker = Broker('mux.broker')
        self.broker.call_sync(watch_owner, self.broker, owner_pid, self.end)

    def serve(self) -> None:
        """Serve clients until the owner or a client ends it."""
        # After the socket listens: these are most of the start-up time, and clients can connect meanwhile.
        from concurrent.futures import ThreadPoolExecutor

        from mitogen.master import Router
        from mitogen.parent.bootstrap import own_bundle
        self._executor = ThreadPoolExecutor(self._forks, 'mux.open')
        self.router = Router(self.broker, PREFIXES, logging.DEBUG if self._debug else logging.WARNING)
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.bundles = BundleStore(common_members(root))
        self.table = HopTable(self.broker.defer, self._executor.submit, self._open_hop, self._watch, self._end_context,
                              Descriptors().have_room)
        service = Service(self.router, self.table, self.bundles, os.urandom(4).hex(), self.end)
        self.broker.defer(Listener, self.broker, self._listening, service)
        # Every child needs them, and they take a while to make; but not as long as a login.
        for package in ('mitogen.core', 'mitogen.zygote'):
            self._executor.submit(own_bundle, package)
        while not self._ended.wait(3600):
            LOG.debug('still serving, %d contexts are open', len(self.table))

    def _open_hop(self, parent: Any, hop: HopSpec, ask: Any) -> Any:
        from mitogen.parent.connection import ChildSpec
        spec = ChildSpec(hop.argv, hop.name, hop.needs_tty, hop.may_prompt, float(hop.deadline), True, hop.cwd,
                         hop.env, {'sources': hop.sources, 'likely': LIKELY})
        return self.router.open(spec, parent, ask if hop.may_prompt else None)

    def _watch(self, context: Any, lost: Callable[[str], None], gone: Callable[[], None]) -> None:
        told: list[bool] = []

        def lost_one(context_id: int, reason: str) -> None:
            if not told:
                told.append(True)
                self.bundles.forget(context.context_id)
                lost(reason)
                # Without its zygote it is of no use: it ends, and is opened anew.
                if self.router.stream_to(context.context_id) is not None:
                    self._end_context(context)
            if context_id == context.context_id:
                gone()
        for context_id in (context.context_id, context.info['zygote_id']):
            if self.router.stream_to(context_id) is None:
                lost_one(context_id, 'it ended at once')
            else:
                self.router.on_context_lost(context_id, lost_one)

    def _end_context(self, context: Any) -> None:
        """Ask a context to end; its parent sees to it if it does not."""
        context.shutdown()
        self.broker.call_later(CLOSE_DEADLINE, self.router.drop, context)

    def end(self) -> None:
        """End the program: contexts, children, socket."""
        if not self._ending:
            self._ending = True
            # Once only: another one may have been started in its place when this one is still ending.
            remove_socket(self._socket_dir)
            self._ended.set()

    def leave(self) -> None:
        """End all contexts and children; in the main thread, when :meth:`serve` has returned."""
        if self._executor is not None:
            from mitogen.parent.connection import end_children, living_children
            self._executor.shutdown(wait=False, cancel_futures=True)
            self.broker.call_sync(self.table.close_all)
            _wait_until(lambda: not living_children(), END_GRACE)
            # Disconnects all that is left.
            self.broker.shutdown()
            _wait_until(lambda: not living_children(), CLOSE_GRACE)
            end_children()


def _wait_until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def listen(socket_dir: str) -> socket.socket:
    """Return a listening socket in a directory that exists."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(os.path.join(socket_dir, SOCKET_NAME))
    sock.listen(1024)
    return sock


def remove_socket(socket_dir: str) -> None:
    """Remove the socket and its directory, so far as they are there."""
    for remove, path in ((os.unlink, os.path.join(socket_dir, SOCKET_NAME)), (os.rmdir, socket_dir)):
        try:
            remove(path)
        except OSError as exc:
            LOG.debug('%s is not removed: %s', path, exc)


def run(socket_dir: str, owner_pid: int, forks: int, log_path: str = '', listen_fd: int = -1) -> None:
    """Be the multiplexer; returns when it has ended.

    :param listen_fd: the socket in `socket_dir`, if whoever started this has made it already.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if log_path:
        logging.basicConfig(filename=log_path, level=logging.DEBUG,
                            format='%(asctime)s %(levelname)s %(name)s: %(message)s')
    else:
        logging.getLogger().addHandler(logging.NullHandler())
    listening = listen(socket_dir) if listen_fd < 0 else socket.socket(fileno=listen_fd)
    listening.setblocking(False)
    mux = Mux(listening, socket_dir, owner_pid, forks, bool(log_path))
    signal.signal(signal.SIGTERM, lambda signum, frame: mux.broker.defer(mux.end))
    try:
        mux.serve()
    except Exception:
        LOG.exception('the multiplexer cannot go on')
    finally:
        mux.end()
        mux.leave()
    # Threads that still wait for a child or a client hold nothing that matters any more.
    os._exit(0)
