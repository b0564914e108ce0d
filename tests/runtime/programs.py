"""Programs of their own that use the library, for tests which count, limit or kill processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: What every program begins with.
PRELUDE = '''
import json, os, signal, sys, threading, time
from mitogen.core import CallError, ChannelError, Context, Error, Receiver, Sender, TimeoutError
from mitogen.core import frames, handles, payload
from mitogen.master import Broker, ChildSpec, HopError, Router
from mitogen.parent.bootstrap import bootstrap_command
from mitogen.select import Select
from tests.runtime import remote

SOON = 60

def tell(**found):
    """Print a line of JSON for the test."""
    os.write(REPORT, json.dumps(found).encode() + b'\\n')

def end(router):
    """End all contexts, as a program does."""
    router.broker.shutdown()
    router.broker.join(20)
    assert not router.broker.thread.is_alive()

def start_job(router, context, argv):
    """Have the context's zygote start a command; return the mailbox of its answer."""
    zygote = router.context_for(context.info['zygote_id'])
    return zygote.ask(handles.RUN, {'job': int.from_bytes(os.urandom(3), 'big'), 'kind': 'command', 'env': {},
                                    'cwd': None, 'umask': None, 'argv': argv, 'stdin': b'', 'tty': False})
'''


class Program:
    """A running program: the prelude and a script.

    :param script: Python source; what it passes to ``tell()`` is read by :meth:`hear`.
    :param wrapper: a command that starts the interpreter, in front of it.
    """

    def __init__(self, script, *arguments, wrapper=(), env=None, cwd='/', **options):
        read_fd, write_fd = os.pipe()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, '-c', 'REPORT = %d\n' % write_fd + PRELUDE + script, *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[write_fd], cwd=cwd,
            env={**os.environ, 'PYTHONPATH': path, **(env or {})}, **options)
        os.close(write_fd)
        self._reports = os.fdopen(read_fd, 'rb')

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self._reports.close()

    def hear(self):
        """Return what the program tells next."""
        line = self._reports.readline()
        assert line, self.process.stderr.read().decode('utf-8', 'replace')
        return json.loads(line)

    def finish(self):
        """Wait for its end; return what it wrote to stderr.

        :raises AssertionError: it failed.
        """
        _, errors = self.process.communicate(timeout=180)
        text = errors.decode('utf-8', 'replace')
        assert self.process.returncode == 0, text
        return text


def run(script, *arguments, **options):
    """Run a program to its end; return what it told."""
    with Program(script, *arguments, **options) as program:
        found = program.hear()
        program.finish()
        return found
