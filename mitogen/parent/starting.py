"""Starting a child process and getting its greeting, before any of it belongs to the broker."""

import os
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from mitogen.core.errors import StreamError, TimeoutError
from mitogen.core.log import Logger
from mitogen.parent import reaper
from mitogen.parent.bootstrap import MAX_NOISE, Greeting, GreetingParser
from mitogen.parent.children import create_child, hybrid_create_child
from mitogen.parent.pipes import read_any, write_all
from mitogen.parent.processes import terminate_group

LOG = Logger('mitogen.starting')

#: Seconds that a child which has closed its stdout gets to say why on its stderr.
LAST_WORDS = 0.2

#: A dialogue gets what a starting child has printed since the last answer, and returns what to type, or None.
Dialogue = Callable[[bytes], Optional[bytes]]

ChildSpec = NamedTuple('ChildSpec', [
    ('argv', List[str]), ('name', str), ('needs_tty', bool), ('may_prompt', bool), ('deadline', float),
    ('zygote', bool), ('cwd', Optional[str]), ('env', Optional[Dict[str, str]]), ('config', Dict[str, Any]),
])
ChildSpec.__new__.__defaults__ = (False, False, 30.0, False, None, None, {})
ChildSpec.__doc__ = """How to start a context.

`argv` starts the bootstrap command there, an empty one forks this process; `name` is for messages to
people. `needs_tty` gives it a controlling terminal. `may_prompt` holds the payload back until the
greeting, and lets the dialogue answer. `deadline` is in seconds for all of it. `zygote` makes it keep
one. `cwd` and `env` (additions to the environment) are for the command. `config` is added to the
context's configuration.
"""


class HopError(StreamError):
    """A context could not be started.

    :param kind: ``exited``, ``timeout``, ``no_python``, ``terminal`` or ``spawn``.
    :param message: one sentence for the user.
    :param output: what the command printed.
    :param status: its raw exit status, if it ended.
    """

    def __init__(self, kind: str, message: str, output: bytes = b'', status: Optional[int] = None) -> None:
        super().__init__(kind, message, output, status)
        self.kind = kind
        self.message = message
        self.output = output
        self.status = status

    def __str__(self) -> str:
        return self.message


class Start:
    """A child on its way to become a context.

    :param spec: what to start; it is started at once.
    :raises HopError: it cannot be.
    """

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.deadline = time.time() + spec.deadline
        self.parser = GreetingParser()
        #: Descriptors of its terminal: they must stay open, for closing them hangs it up.
        self.ttys: List[int] = []
        env = None if spec.env is None else dict(os.environ, **spec.env)
        try:
            if spec.needs_tty:
                child = hybrid_create_child(*spec.argv, cwd=spec.cwd, env=env)
                self.pid, stdio, self.stderr = child.pid, child.stdio, child.stderr
                self.ttys = [child.tty, child.tty_slave]
            else:
                self.stderr, stderr_write = os.pipe()
                try:
                    self.pid, stdio = self._create(stderr_write, env)
                except StreamError:
                    os.close(self.stderr)
                    raise
                finally:
                    os.close(stderr_write)
        except StreamError as exc:
            raise HopError('spawn', '%s: %s' % (spec.name, exc)) from None
        reaper.add_child(self.pid)
        self.stdio = stdio.detach()

    def _create(self, stderr: int, env: Optional[Dict[str, str]]) -> Any:
        if self.spec.argv:
            return create_child(*self.spec.argv, stderr=stderr, cwd=self.spec.cwd, env=env)
        from mitogen.parent.forking import fork_child
        return fork_child(stderr)

    def greet(self, payload: bytes, dialogue: Optional[Dialogue]) -> Greeting:
        """Send the payload, answer prompts, and return the greeting.

        :raises HopError: it ended, or the deadline passed, before that.
        """
        prompts = self.spec.may_prompt
        others = [self.stderr] + self.ttys[:1]
        unanswered = b''
        try:
            if not prompts:
                self._send(payload)
            for fd, chunk in read_any([self.stdio] + others, self.deadline):
                if fd != self.stdio:
                    self.parser.add_noise(chunk)
                elif chunk:
                    greeting = self.parser.feed(chunk)
                    if greeting is not None:
                        if prompts:
                            self._send(payload)
                        return greeting
                else:
                    break
                unanswered = (unanswered + chunk)[-MAX_NOISE:]
                if dialogue is not None and prompts and chunk:
                    answer = dialogue(unanswered)
                    if answer is not None:
                        unanswered = b''
                        # A prompt on the terminal is answered there, one on stderr by stdin.
                        write_all(fd if fd in self.ttys else self.stdio, answer, self.deadline)
        except TimeoutError:
            raise HopError('timeout', '%s: no answer within %g s%s' % (
                self.spec.name, self.spec.deadline, self._said()), self.parser.all_output()) from None
        except HopError:
            raise
        except StreamError:
            LOG.debug('%s ended while it was written to', self.spec.name)
        raise self._explain_exit(others)

    def _send(self, payload: bytes) -> None:
        try:
            write_all(self.stdio, payload, self.deadline)
        except StreamError:
            # It ended already; reading tells why.
            LOG.debug('%s took no payload', self.spec.name)

    def _said(self) -> str:
        lines = self.parser.all_output().decode('utf-8', 'replace').split('\n')
        said = ' '.join(line.strip() for line in lines if line.strip())
        return '; it said: %s' % said[-500:] if said else ''

    def _explain_exit(self, others: List[int]) -> HopError:
        """Return the error for a child that closed its stdout before the greeting."""
        try:
            for _, chunk in read_any(others, time.time() + LAST_WORDS):
                self.parser.add_noise(chunk)
        except TimeoutError:
            LOG.debug('%s left its stderr open', self.spec.name)
        terminate_group(self.pid, max(0.0, min(reaper.KILL_GRACE, self.deadline - time.time())))
        status = reaper.reap(self.pid)
        self.pid = 0
        output = self.parser.all_output()
        if self.parser.no_python:
            return HopError('no_python', '%s: %s' % (self.spec.name, self.parser.no_python), output, status)
        if self.parser.terminal:
            return HopError('terminal', '%s gives a terminal in place of the standard input' % self.spec.name, output,
                            status)
        how = reaper.exit_reason(status).partition(' ')[2]
        return HopError('exited', '%s %s%s' % (self.spec.name, how, self._said()), output, status)

    def abandon(self, broker: Any) -> None:
        """Close what is open, and have the child ended."""
        for fd in [self.stdio, self.stderr] + self.ttys:
            os.close(fd)
        if self.pid:
            broker.defer(reaper.Reaper, broker, self.pid, 0.0)
