"""The life of a child."""

import os
import signal
import struct
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from mitogen.core import handles
from mitogen.core.broker import Broker
from mitogen.core.codestore import CodeStore
from mitogen.core.errors import Cancelled, ChannelError
from mitogen.core.importer import Importer
from mitogen.core.loaders import MemberFinder
from mitogen.core.log import Logger
from mitogen.core.messages import Message, Receiver
from mitogen.core.router import PARENTS, Router
from mitogen.core.streams import PRINTED, IoLogger, Stream

LOG = Logger('mitogen.external')

#: The compressed bundles that this process was started from, by package, for children of its own.
BUNDLES: Dict[str, bytes] = {}

#: Longest text of a log record. With each letter as two escapes it is less than a mailbox takes.
MAX_TEXT = 20000

#: Seconds that what was started here gets to end by itself when this process does. More than a zygote gives its jobs.
END_GRACE = 1.0


def takes_econtext(func: Any) -> Any:
    """Decorate a function that, when called from a parent, gets its :class:`ExternalContext` as `econtext`."""
    func.takes_econtext = True
    return func


def runs_in_thread(func: Any) -> Any:
    """Decorate a function that waits: other calls are served meanwhile. It cannot be cancelled."""
    func.runs_in_thread = True
    return func


class ExternalContext:
    """A child context: what it has, and what its main thread does.

    Attributes: `broker`, `router`, `context` (this context itself),
    `channel` (where CALL_FUNCTION requests arrive), `importer`,
    `stdout_log` and `stderr_log`.

    :param config: the context's configuration.
    :param read_fd: where the parent's frames come from.
    :param write_fd: where frames for the parent go.
    :param importer: one that is there already, in a fork of a context.
    """

    def __init__(self, config: Dict[str, Any], read_fd: int, write_fd: int,
                 importer: Optional[Importer] = None) -> None:
        self.config = config
        #: Called when this process is about to end, and what it started has had time to: so that nothing is left.
        self.at_end: List[Callable[[], None]] = []
        self.broker = Broker()
        self.broker.at_end.append(self.end)
        self.router = Router(self.broker, config['context_id'])
        self.router.tree_config = {key: config[key] for key in ('prefixes', 'log_level') if key in config}
        self.context = self.router.context_for(config['context_id'], config['name'])
        upstream = Stream(self.router, config['parent_id'], read_fd, write_fd, 'the parent')
        upstream.on_gone = lambda reason: self.end()
        self.router.upstream = self.broker.closed_last = upstream
        self.importer = importer or Importer(self.router, config.get('prefixes'))
        self.importer.router = self.router
        self.router.add_handler(self.importer.on_load, handles.LOAD_MODULE)
        self.channel = Receiver(self.router, handles.CALL_FUNCTION, source=PARENTS)
        self.router.add_handler(self._on_cancel, handles.CANCEL_CALL)
        self.router.add_handler(self._on_shutdown, handles.SHUTDOWN)
        CodeStore(self.router)
        #: The call that the main thread makes: its caller and where that waits. And those to be ended.
        self._current: Optional[Tuple[int, int]] = None
        self._cancelled: Any = set()
        self._ending = False

    def add_zygote(self, zygote_id: int, fd: int, jobs: Any) -> None:
        """Route to the zygote at the other end of the socket `fd`.

        :param jobs: memory in which it notes the processes of its jobs: those that it leaves when it is killed are
            ended here.
        """
        stream = Stream(self.router, zygote_id, fd, fd, 'zygote')
        stream.on_gone = lambda reason: _end_jobs(jobs)
        # Whoever asked for this context knows of its zygote already.
        self.router.register(zygote_id, stream, announce=False)
        self.broker.defer(self.broker.start_receive, stream)

    def serve(self) -> None:
        """Become reachable, and serve calls until the end. Never returns."""
        self._main = threading.get_ident()
        signal.signal(signal.SIGINT, self._on_sigint)
        signal.signal(signal.SIGTERM, lambda number, frame: self.end())
        self.stdout_log = IoLogger(self.router, 'stdout', 1)
        self.stderr_log = IoLogger(self.router, 'stderr', 2)
        sys.stdout = os.fdopen(1, 'w', 1, 'utf-8', 'backslashreplace', closefd=False)
        sys.stderr = os.fdopen(2, 'w', 1, 'utf-8', 'backslashreplace', closefd=False)
        if self.config.get('imports', True) and self.importer not in sys.meta_path:
            sys.meta_path.insert(1, self.importer)
        if 'logging' in sys.modules:
            self._forward_logs()
        else:
            self.importer.hooks['logging'] = self._forward_logs
        self.broker.defer(self.broker.start_receive, self.router.upstream)
        self._dispatch_calls()
        self.broker.shutdown()
        self.broker.join()

    def _forward_logs(self) -> None:
        """Send log records to the master; as soon as anything here wants to log."""
        import logging
        router = self.router

        class Forwarder(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                try:
                    router.send(0, handles.FORWARD_LOG, [record.name, record.levelno, self.format(record)[:MAX_TEXT]])
                except Exception:
                    self.handleError(record)
        logging.root.handlers[:] = [Forwarder()]
        logging.root.setLevel(self.config.get('log_level', PRINTED))

    def end(self) -> None:
        """End this process, and all that it started."""
        if self._ending:
            return
        self._ending = True
        # Contexts below see the end of their stream, and do the same.
        self.broker.abandon()
        leads_group = os.getpgrp() == os.getpid()
        if leads_group:
            os.killpg(0, signal.SIGTERM)
        deadline = time.monotonic() + END_GRACE
        try:
            while time.monotonic() < deadline:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.005)
            children_left = True
        except ChildProcessError:
            children_left = False
        for func in self.at_end:
            func()
        # Children that ended may have left others; but a context that was told to end shall not seem to be killed.
        if leads_group and (children_left or self.router.upstream.on_gone is not None):
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    def _on_shutdown(self, message: Message) -> None:
        self.channel.close('the context was shut down')
        self._cancelled.add(self._current)
        signal.pthread_kill(self._main, signal.SIGINT)
        # Those below are given time to end before the parent is told.
        self.router.upstream.on_gone = None
        self.broker.shutdown()

    def _on_cancel(self, message: Message) -> None:
        if len(self._cancelled) > 1000:
            # All but the last were for calls that had ended already.
            self._cancelled.clear()
        self._cancelled.add((message.src_id, message.decode()))
        # Interrupts what the main thread waits for.
        signal.pthread_kill(self._main, signal.SIGINT)

    def _on_sigint(self, number: int, frame: Any) -> None:
        if self._current is not None and self._current in self._cancelled:
            self._cancelled.discard(self._current)
            raise Cancelled('the caller no longer wants the result')

    def _dispatch_calls(self) -> None:
        """Make the calls that arrive, one after the other, until the channel is closed."""
        while True:
            try:
                message = self.channel.get_message()
            except ChannelError:
                return
            self._dispatch(message)

    def _dispatch(self, message: Message) -> None:
        call = message.src_id, message.reply_to
        try:
            self._current = call
            try:
                self._on_sigint(0, None)
                func, args, kwargs = self._find(message)
                if getattr(func, 'runs_in_thread', False):
                    threading.Thread(target=self._run, args=(message, func, args, kwargs), daemon=True).start()
                    return
                result = func(*args, **kwargs)
            finally:
                self._current = None
        except BaseException as exc:
            self._current = None
            result = exc
        self._answer(message, result)

    def _find(self, message: Message) -> Any:
        """Return the function that a call is for, and its arguments."""
        module, name, args, kwargs = message.decode()
        __import__(module)
        func: Any = sys.modules[module]
        for part in name.split('.'):
            func = getattr(func, part)
        if getattr(func, 'takes_econtext', False):
            kwargs['econtext'] = self
        return func, args, kwargs

    def _run(self, message: Message, func: Any, args: Any, kwargs: Any) -> None:
        try:
            result = func(*args, **kwargs)
        except BaseException as exc:
            result = exc
        self._answer(message, result)

    def _answer(self, message: Message, result: Any) -> None:
        if isinstance(result, BaseException) and not message.reply_to:
            LOG.error('a call without reply failed', exc_info=result)
        try:
            message.reply(result)
        except Exception as exc:
            message.reply(exc)


def _end_jobs(jobs: Any) -> None:
    """Kill the process groups that a zygote has noted, see :meth:`mitogen.zygote.loop.Zygote.note_jobs`."""
    for pid in struct.unpack_from('=%dI' % struct.unpack_from('=I', jobs)[0], jobs, 4):
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def forget_coercion() -> None:
    """Take back what Python added to its environment for want of a locale (PEP 538): it is not for other programs.

    On Linux only, where it can be told from what was there before.
    """
    try:
        with open('/proc/self/environ', 'rb') as environ:
            if b'\0LC_CTYPE=' not in b'\0' + environ.read():
                os.environ.pop('LC_CTYPE', None)
    except OSError:
        pass


def _end_zygote(pid: int) -> None:
    """Kill the zygote, if it is there still: it leads a session of its own."""
    try:
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def _start_zygote(config: Dict[str, Any], fds: Any) -> Tuple[int, int, Any]:
    """Fork the zygote off, while there is only one thread; return its PID, a socket to it, and shared memory."""
    import mmap
    import socket
    ours, theirs = socket.socketpair()
    jobs = mmap.mmap(-1, mmap.PAGESIZE)
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours.detach(), jobs
    for fd in fds:
        os.close(fd)
    ours.close()
    os.dup2(0, 1)
    os.setsid()
    if BUNDLES.get('mitogen.zygote'):
        import json
        import zlib
        finder = MemberFinder('mitogen')
        files = json.loads(zlib.decompress(BUNDLES['mitogen.zygote']).decode())['files']
        finder.select({path: source.encode() for path, source in files.items()})
        sys.meta_path.insert(0, finder)
    from mitogen.zygote.loop import run
    run(theirs, config['zygote_id'], config['context_id'], jobs, config.get('sources', ()), config.get('likely', ()))
    os._exit(0)


def main(config: Dict[str, Any], *bundles: bytes) -> None:
    """Become a context: called by the first stage, with stdin and stdout connected to the parent."""
    BUNDLES.update(zip(('mitogen.core', 'mitogen.zygote'), bundles))
    forget_coercion()
    try:
        os.setsid()
    except PermissionError:
        # It leads a process group already.
        pass
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # First: it becomes stderr where that is closed, whose number one of the others would get otherwise.
    null = os.open(os.devnull, os.O_RDWR)
    fds = os.dup(0), os.dup(1)
    os.dup2(null, 0)
    if null > 2:
        os.close(null)
    zygote = _start_zygote(config, fds) if config.get('zygote_id') else None
    econtext = ExternalContext(config, *fds)
    if zygote is not None:
        pid, fd, jobs = zygote
        econtext.add_zygote(config['zygote_id'], fd, jobs)
        econtext.at_end.append(lambda: _end_zygote(pid))
    econtext.serve()
