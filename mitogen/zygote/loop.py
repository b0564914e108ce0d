"""The zygote's event loop: the socket to its context, its children and their output."""

import atexit
import gc
import importlib
import logging
import os
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
import weakref
from typing import Any, Callable, Dict, Iterable, List, NoReturn, Tuple

from mitogen.core import frames, handles, payload
from mitogen.core.loaders import MemberFinder
from mitogen.zygote import blank, child
from mitogen.zygote.jobs import KILL_DELAY, OUTDATED, Job
from mitogen.zygote.members import MemberStore
from mitogen.zygote.processes import Process, Report, close_files, kill_group, remove_scratch
from mitogen.zygote.sources import Sources

#: Seconds that jobs have to end by themselves once nobody waits for them.
_GRACE = 0.4
_READ_SIZE = 256 * 1024
_TEMP = os.environ.get('TMPDIR') or '/tmp'


class Zygote:
    """The state and the handlers of a zygote.

    :param sock: the socket to the context that it belongs to.
    :param context_id: the zygote's own ID.
    :param parent_id: the ID of its context.
    :param jobs: memory shared with the context, see :meth:`note_jobs`.
    :param sources: files that the context came from: when one changes, no more jobs are begun.
    :param likely: see :func:`run`.
    """

    def __init__(self, sock: socket.socket, context_id: int, parent_id: int, jobs: Any = None,
                 sources: Iterable[str] = (), likely: Iterable[str] = ()) -> None:
        self._shared_jobs = jobs
        # Where something else than the standard library comes first, that may be found by these names.
        self._likely = list(likely) if _stdlib_comes_first() else []
        self._sources = Sources(sources)
        self._sock, self._id, self._parent = sock, context_id, parent_id
        self._parser = frames.FrameParser()
        self._out = bytearray()
        self._selector = selectors.DefaultSelector()
        self._store = MemberStore()
        self._finder = MemberFinder('%s/ansible_payload_%s/payload.zip' % (_TEMP, os.urandom(4).hex()))
        self._preloader: Any = None
        self._pages: Any = None
        self._jobs: Dict[Tuple[int, int], Job] = {}
        self._waiting: Dict[int, Job] = {}
        self._processes: Dict[int, Process] = {}
        self._doomed: Dict[int, float] = {}
        self._blank: Any = None
        self._last_state: Any = None
        self._steady = False
        self._next_handle = handles.FIRST_FREE
        self._stopping = False
        self._handled = [signal.SIGCHLD] + [
            number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
        self._handlers = {handles.RUN: self._on_run, handles.CANCEL: self._on_cancel, handles.ACK: self._on_ack}

    # The loop

    def serve(self) -> None:
        """Serve until the socket is closed, or a signal asks to stop."""
        self._sock.setblocking(False)
        wake, waker = socket.socketpair()
        wake.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in self._handled:
            signal.signal(number, self._on_signal)
        sys.meta_path.insert(0, self._finder)
        self._selector.register(self._sock, selectors.EVENT_READ, self._on_socket)
        self._selector.register(wake, selectors.EVENT_READ, lambda fd, events: self._on_wake(wake))
        while not self._stopping:
            timeout = max(0, min(self._doomed.values()) - time.time()) if self._doomed else None
            ready = self._selector.select(0 if self._likely else timeout)
            for key, events in ready:
                key.data(key.fd, events)
            if self._likely and not ready:
                self._import_likely()
            for pid in [pid for pid, deadline in self._doomed.items() if deadline <= time.time()]:
                del self._doomed[pid]
                kill_group(pid, signal.SIGKILL)

    def _import_likely(self) -> None:
        try:
            _without_collections(importlib.import_module, self._likely.pop(0))
        except Exception:
            return  # whoever wants it will see

    def _on_wake(self, wake: socket.socket) -> None:
        wake.recv(4096)
        self._reap()

    def _on_signal(self, number: int, frame: Any) -> None:
        self._stopping = self._stopping or number != signal.SIGCHLD

    def stop(self) -> None:
        """End all jobs: first politely, soon by force."""
        if self._blank is not None:
            self._blank.end()
        running = self._running()
        deadline = time.time() + _GRACE
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in running:
                kill_group(pid, number)
            while number == signal.SIGTERM and self._processes and time.time() < deadline:
                time.sleep(0.01)  # nothing wakes a loop that has ended, and this is short
                self._reap()
        for process in running.values():
            remove_scratch(process.job.scratch)

    def log(self, level: int, text: str) -> None:
        """Send a log record to the master."""
        self._send(0, handles.FORWARD_LOG, frames.DATA, payload.encode(['mitogen.zygote', level, text]))

    # Frames

    def _on_socket(self, fd: int, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if not events & selectors.EVENT_READ:
            return
        try:
            received = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            received = b''
        if not received:
            self._stopping = True
            return
        for frame in self._parser.feed(received):
            try:
                self._on_frame(frame)
            except Exception:
                self.log(logging.ERROR, 'a message to mailbox %d failed: %s' % (frame.handle, traceback.format_exc()))

    def _on_frame(self, frame: frames.Frame) -> None:
        handler = self._handlers.get(frame.handle)
        if frame.handle in self._waiting:
            self._on_members(frame)
        elif handler is not None and frame.kind == frames.DATA:
            handler(frame, payload.decode(frame.payload))

    def _send(self, dst: int, handle: int, kind: int, data: bytes, reply_to: int = 0) -> None:
        was_idle = not self._out
        self._out += frames.pack(frames.Frame(dst, self._id, self._id, handle, reply_to, kind, data))
        if was_idle:
            self._flush()

    def _flush(self) -> None:
        try:
            del self._out[:self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._stopping = True
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if self._selector.get_key(self._sock).events != events:
            self._selector.modify(self._sock, events, self._on_socket)

    def _answer(self, job: Job) -> None:
        ready, done = job.next_payloads()
        for kind, data in ready:
            self._send(job.source, job.reply_to, kind, data)
        if done:
            self._jobs.pop(job.key, None)

    # Requests

    def _on_run(self, frame: frames.Frame, request: Any) -> None:
        job = Job(frame.src, frame.reply_to, request)
        self._jobs[job.key] = job
        if self._sources.are_outdated():
            job.fail('what a login reads has changed', OUTDATED)
            self._answer(job)
            return
        missing = self._store.missing(request['members']) if job.is_module else []
        if not missing:
            self._start(job)
            return
        self._next_handle += 1
        self._waiting[self._next_handle] = job
        self._send(self._parent, handles.GET_CODE, frames.DATA, payload.encode(missing), self._next_handle)

    def _on_members(self, frame: frames.Frame) -> None:
        job = self._waiting[frame.handle]
        if frame.kind == frames.DATA:
            part = payload.decode(frame.payload)
            self._store.add(part['members'])
            if not part['last']:
                return
        del self._waiting[frame.handle]
        missing = self._store.missing(job.request['members'])
        if missing:
            self._fail(job, 'context %d has not got %d pieces of its code' % (self._parent, len(missing)))
        elif job.key in self._jobs:
            self._start(job)

    def _on_cancel(self, frame: frames.Frame, request: Any) -> None:
        job = self._jobs.get((frame.src, request['job']))
        if job is None:
            return
        if job.pid in self._processes:
            kill_group(job.pid, signal.SIGTERM)
            self._doomed[job.pid] = time.time() + KILL_DELAY
        else:
            self._fail(job, 'it was cancelled')

    def _on_ack(self, frame: frames.Frame, request: Any) -> None:
        job = self._jobs.get((frame.src, request['job']))
        if job is not None:
            job.acknowledge(request['chunks'])
            self._answer(job)

    def _fail(self, job: Job, message: str) -> None:
        job.fail(message)
        self._answer(job)

    # Processes

    def _start(self, job: Job) -> None:
        """Give the job a process."""
        job.started = time.time()
        try:
            unfit = self._prepare(job) if job.is_module else []
            process = Process(job)
            try:
                self._give(process, unfit)
            except BaseException:
                process.abandon()
                raise
        except OSError as exc:
            # A limit is reached: whoever wants the job is told, and it is no fault of this program.
            self._fail(job, 'it could not be started: %s' % exc)
            return
        except Exception as exc:
            self._fail(job, 'it could not be started: %r' % exc)
            self.log(logging.ERROR, 'a job could not be started: ' + traceback.format_exc())
            return
        process.close_stdio()
        self._processes[process.pid] = process
        self.note_jobs()
        for fd in process.readers:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.typing else 0)
            self._selector.register(fd, events, lambda fd, events: self._on_output(process, fd, events))

    def _prepare(self, job: Job) -> List[str]:
        if self._preloader is None:
            # Such code need not be in the bootstrap: it may come with the members.
            self._finder.select(self._store.view(job.request['members']))
            from mitogen.zygote import interpreter, pages, preload
            interpreter.prepare()
            self._preloader, self._pages = preload.Preloader(self._finder), pages.SharedPages()
        job.scratch = '%s/ansible_%s' % (_TEMP, os.urandom(8).hex())
        self._finder.select(self._store.view(job.request['members']))
        return _without_collections(self._preloader.prepare, job.request)

    def _give(self, process: Process, unfit: List[str]) -> None:
        """Hand the job to the process that waits for one, if it knows enough, or else to one that is forked now."""
        job = process.job
        # The one is there already, in a file, the other has been done.
        request = dict(job.request, stdin=None, preload=None)
        order = payload.encode([request, job.scratch, unfit])
        state = self._state()
        self._steady, self._last_state = state == self._last_state, state
        waiting, self._blank = self._blank, None
        # A command is another program soon.
        tells = waiting is not None and waiting.tells and job.is_module
        if waiting is not None and not (waiting.state == state and waiting.give(process.stdio, order, tells)):
            waiting.dismiss()
            waiting, tells = None, False
        if waiting is None:
            waiting = self._fork(ahead=False)
            if not waiting.give(process.stdio, order, tells):
                raise ChildProcessError('its process has gone')
        if tells:
            self._pages.learn_own()
        job.pid, process.pid, process.report = waiting.pid, waiting.pid, waiting.report
        process.told_state = waiting.state if tells else None

    def _state(self) -> Tuple[int, ...]:
        """Return what changes with what a process should know by its fork: members, modules, compiled code."""
        imported = self._preloader.version if self._preloader is not None else 0
        return self._store.version, imported, len(self._finder.code)

    def _fork(self, ahead: bool) -> blank.Blank:
        """Fork off a process that waits for its job.

        :param ahead: there is none yet.
        """
        report, state = Report(), self._state()
        pages = self._pages if ahead else None
        tells = pages is not None and pages.are_wanted(state)
        if pages is not None:
            pages.give_back(state)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                getattr(gc, 'freeze', int)()
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if not pid:
                self._live(theirs, report, pages is not None and not tells)
        return blank.Blank(pid, ours, report, state, tells)

    def _live(self, sock: socket.socket, report: Report, copies: bool) -> NoReturn:
        """Be the process of a job.

        :param copies: what jobs write to, while there is none.
        """
        code = 127
        try:
            child.leave_zygote(sock.fileno(), self._handled)
            if copies and blank.is_idle(sock):
                self._pages.copy()
            stdio, order, tells = blank.wait(sock)
            observation = self._pages.observe() if tells else None
            request, scratch, unfit = payload.decode(order)
            child.enter(stdio, request)
            if request['kind'] == 'module':
                members = self._store.view(request['members'])
                if self._finder.members is not members:  # forked before it was known
                    self._finder.select(members)
                run_function = sys.modules['mitogen.zygote.interpreter'].run_function
                code = run_function(request, scratch, report, self._finder, unfit)
                if observation is not None:
                    report.attach(observation.told())
            else:
                child.exec_command(request['argv'])
        except BaseException as exc:
            report.fail(exc)
        finally:
            os._exit(code)

    def _on_output(self, process: Process, fd: int, events: int) -> None:
        if fd not in process.readers:
            return  # closed while an earlier event was handled
        if events & selectors.EVENT_WRITE:
            process.type(fd)
            if not process.typing:
                self._selector.modify(fd, selectors.EVENT_READ, self._selector.get_key(fd).data)
        if events & selectors.EVENT_READ and process.read(fd) == 0:
            self._close_output(process, fd)
            code = None if process.readers or process.job.is_finished else process.report.settled_code()
            if code is not None:
                # To take its memory apart takes the kernel longer than to answer.
                self._finish(process, code << 8)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            process = self._processes.pop(pid, None)
            if process is not None:
                if not process.job.is_finished:
                    self._finish(process, status)
                if process.told_state is not None:
                    # Even if it has told nothing: else each job after it would be asked again.
                    self._pages.learn(process.told_state, process.report.attached())
                process.report.close()

    def _running(self) -> Dict[int, Process]:
        """Return the processes whose jobs are not done: what others have left behind is not to be ended with them."""
        return {pid: process for pid, process in self._processes.items() if not process.job.is_finished}

    def note_jobs(self) -> None:
        """Tell the context which processes it must end should this one be killed: their number, then their IDs."""
        if self._shared_jobs is not None:
            pids = list(self._running())[:len(self._shared_jobs) // 4 - 1]
            struct.pack_into('=%dI' % (len(pids) + 1), self._shared_jobs, 0, len(pids), *pids)

    def _finish(self, process: Process, status: int) -> None:
        for fd in process.drain():
            self._close_output(process, fd)
        job = process.job
        try:
            found = job.finish(status, process.report.read(), time.time())
            if found:
                self._preloader.note(found)
        except ValueError as exc:  # the module scribbled over its report
            job.fail('its report is damaged: %s' % exc)
        self.note_jobs()
        remove_scratch(job.scratch)
        self._answer(job)
        if self._steady and self._blank is None and not self._stopping:
            # The next job is likely to be like the last ones.
            try:
                self._blank = self._fork(ahead=True)
            except OSError:
                return  # the next job will say so, if it lasts
            if self._pages is not None:
                self._pages.copy_own()

    def _close_output(self, process: Process, fd: int) -> None:
        self._selector.unregister(fd)
        process.close(fd)


def _prepare_interpreter(keep: int) -> None:
    """Make the process one that children can be forked off as if they were fresh interpreters."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    close_files(keep)
    sys.path[:] = [folder for folder in sys.path if folder not in ('', '.')]
    # What the context registered is not for the children; what its imports registered is.
    atexit._clear()
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)
    logging.getLogger().handlers[:] = []


def _without_collections(func: Callable[..., Any], *args: Any) -> Any:
    """Call what imports modules. They make hardly any garbage, but so many objects that Python looks for it often."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        return func(*args)
    finally:
        if is_enabled:
            gc.enable()


def _stdlib_comes_first() -> bool:
    """Whether Python finds a module of the standard library before anything else by that name."""
    stdlib = os.path.dirname(os.__file__)
    return stdlib in sys.path and not any(map(os.path.exists, sys.path[:sys.path.index(stdlib)]))


def run(sock: socket.socket, context_id: int, parent_id: int, jobs: Any = None,
        sources: Iterable[str] = (), likely: Iterable[str] = ()) -> NoReturn:
    """Be the zygote of a context: serve on `sock` until it is closed, then end with all jobs.

    To be called in a process without other threads, forked off the context for this.

    :param sock: the socket to the context.
    :param context_id: the zygote's own ID.
    :param parent_id: the ID of its context.
    :param jobs: memory shared with the context, where it notes the processes of its jobs.
    :param sources: files that the context came from: when one changes, no more jobs are begun.
    :param likely: modules of the standard library that jobs are likely to import, and that look at nothing else:
        imported here while there is nothing else to do.
    """
    zygote = None
    try:
        _prepare_interpreter(sock.fileno())
        zygote = Zygote(sock, context_id, parent_id, jobs, sources, likely)
        zygote.serve()
    except BaseException:
        if zygote is not None:
            zygote.log(logging.ERROR, 'the zygote failed: ' + traceback.format_exc())
    finally:
        if zygote is not None:
            zygote.stop()
        os._exit(0)
