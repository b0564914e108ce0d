"""A zygote of any interpreter, started as a bootstrap would start it, and driven by frames over a socket pair."""

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

from mitogen.core import frames, handles, payload
from mitogen.parent.bootstrap import LATE_MEMBERS
from tests.harness.pythons import target_pythons

ROOT = Path(__file__).resolve().parents[2]

#: All interpreters of this machine that a target may have, and the one that runs the tests.
INTERPRETERS = list(target_pythons().values()) or [sys.executable]

ZYGOTE_ID, AGENT_ID, MASTER_ID = 6, 5, 0
REPLY_HANDLE = 4000

_BOOT = """
import os, socket, sys, types
root, fd, before, likely, late = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4].split(), sys.argv[5:]
files = {}
for package in ('mitogen/core', 'mitogen/zygote'):
    for name in os.listdir(root + '/' + package):
        if name.endswith('.py') and package + '/' + name not in late:
            with open(root + '/' + package + '/' + name, 'rb') as source:
                files[package + '/' + name] = source.read()
loaders = sys.modules['mitogen.core.loaders'] = types.ModuleType('mitogen.core.loaders')
exec(compile(files['mitogen/core/loaders.py'], 'mitogen/core/loaders.py', 'exec'), loaders.__dict__)
finder = loaders.MemberFinder('mitogen')
finder.select(files)
sys.meta_path.insert(0, finder)
from mitogen.core import external
external.forget_coercion()
from mitogen.zygote.loop import run
exec(before)
run(socket.socket(fileno=fd), %d, %d, likely=likely)
""" % (ZYGOTE_ID, AGENT_ID)

#: The members that the runner consists of.
RUNNER = {path: (ROOT / path).read_bytes() for path in (
    'ansible_mitogen/__init__.py', 'ansible_mitogen/target/__init__.py', 'ansible_mitogen/target/mends.py',
    'ansible_mitogen/target/runner.py')}
#: Those that need not be in the bootstrap.
LATE = {path: (ROOT / path).read_bytes() for path in LATE_MEMBERS}


class ZygoteError(Exception):
    """The zygote answered that a job could not be done."""


class ZygoteClient:
    """Stands for the context that a zygote belongs to, and for whoever sends it jobs.

    :param lean: leave out of the bootstrap what may come with the members of jobs, and send it there.
    :param before: code that is run in the process that becomes the zygote.
    :param likely: modules that it may import while it has nothing to do.
    """

    def __init__(self, python=sys.executable, env=None, cwd=None, lean=True, before='', likely=()):
        self._sock, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [python, '-c', _BOOT, str(ROOT), str(theirs.fileno()), before, ' '.join(likely),
             *(LATE_MEMBERS if lean else ())],
            pass_fds=[theirs.fileno()], env={**os.environ, **(env or {})}, cwd=cwd)
        theirs.close()
        self.pid = self.process.pid
        self._parser = frames.FrameParser()
        self._members = []
        self._numbers = {}
        self._common = LATE if lean else {}
        self._results = {}
        self._last_job = 0
        self.streamed = {}
        self.logs = []
        self.code_requests = []
        #: Acknowledge streamed chunks by itself.
        self.acknowledges = True

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._sock.close()
        try:
            self.process.wait(5)
        finally:
            self.process.kill()

    def hang_up(self):
        """Close the socket; return the seconds until the zygote is gone."""
        began = time.monotonic()
        self._sock.close()
        self.process.wait(10)
        return time.monotonic() - began

    def send(self, handle, value, reply_to=0):
        frame = frames.Frame(ZYGOTE_ID, MASTER_ID, MASTER_ID, handle, reply_to, frames.DATA, payload.encode(value))
        self._sock.sendall(frames.pack(frame))

    def ranges(self, members):
        """Return numbers, as ranges, for {path: source}."""
        members = {**self._common, **members}
        for item in members.items():
            if item not in self._numbers:
                self._numbers[item] = len(self._members)
                self._members.append(item)
        return [[self._numbers[item]] * 2 for item in members.items()]

    def start(self, kind, **fields):
        self._last_job += 1
        request = {'job': self._last_job, 'kind': kind, 'env': {}, 'cwd': None, 'umask': None, **fields}
        self.send(handles.RUN, request, REPLY_HANDLE + self._last_job)
        return self._last_job

    def start_command(self, argv, stdin=b'', tty=False, **fields):
        return self.start('command', argv=argv, stdin=stdin, tty=tty, **fields)

    def start_function(self, members, entry, args=None, preload=(), **fields):
        members = {path: text.encode() if isinstance(text, str) else text for path, text in members.items()}
        return self.start('module', members=self.ranges(members), entry=entry, args=args or {},
                          preload=list(preload), **fields)

    def start_script(self, script, members=None, preload=(), **fields):
        """Start a job that runs `script` as ``__main__``, through runpy."""
        world = {'launcher.py': 'import runpy\ndef run():\n    runpy.run_module("script", None, "__main__", True)\n',
                 'script.py': script, **(members or {})}
        return self.start_function(world, 'launcher:run', preload=preload, **fields)

    def command(self, *args, **kwargs):
        return self.wait(self.start_command(*args, **kwargs))

    def script(self, *args, **kwargs):
        return self.wait(self.start_script(*args, **kwargs))

    def cancel(self, job):
        self.send(handles.CANCEL, {'job': job})

    def acknowledge(self, job, chunks=1):
        self.send(handles.ACK, {'job': job, 'chunks': chunks})

    def wait(self, job, timeout=30):
        """Return the result of a job, with all output in `stdout` and `stderr`."""
        deadline = time.monotonic() + timeout
        while job not in self._results:
            self.pump(deadline - time.monotonic())
        result = self._results.pop(job)
        if isinstance(result, list):
            raise ZygoteError(result[1])
        streamed = self.streamed.pop(job, b'')
        assert len(streamed) == result['stdout_streamed'] + result['stderr_streamed']
        result['stdout'] += bytes(streamed[:result['stdout_streamed']])
        result['stderr'] += bytes(streamed[result['stdout_streamed']:])
        return result

    def is_done(self, job):
        return job in self._results

    def pump(self, timeout):
        """Handle what arrives; raises TimeoutError if nothing does."""
        if timeout <= 0 or not select.select([self._sock], [], [], timeout)[0]:
            raise TimeoutError('nothing from the zygote')
        received = self._sock.recv(1 << 20)
        if not received:
            raise EOFError('the zygote is gone: %r' % (self.logs,))
        for frame in self._parser.feed(received):
            self._on_frame(frame)

    def pump_for(self, seconds):
        """Handle what arrives for some time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.pump(deadline - time.monotonic())
            except TimeoutError:
                return

    def _on_frame(self, frame):
        assert frame.src == frame.auth == ZYGOTE_ID
        job = frame.handle - REPLY_HANDLE
        if frame.handle == handles.GET_CODE:
            assert frame.dst == AGENT_ID
            numbers = payload.decode(frame.payload)
            self.code_requests.append(numbers)
            found = [[number, *self._members[number]] for number in numbers if number < len(self._members)]
            middle = len(found) // 2
            for part, last in ((found[:middle], False), (found[middle:], True)):
                self.send(frame.reply_to, {'members': part, 'last': last})
        elif frame.handle == handles.FORWARD_LOG:
            self.logs.append(payload.decode(frame.payload))
        elif frame.kind == frames.RAW:
            self.streamed.setdefault(job, bytearray()).extend(frame.payload)
            if self.acknowledges:
                self.acknowledge(job)
        else:
            self._results[job] = payload.decode(frame.payload)
