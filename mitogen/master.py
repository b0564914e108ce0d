"""The root of a tree of contexts."""

import logging
from typing import Any, Dict, List, Optional, Sequence, Union

from mitogen.core import handles
from mitogen.core.broker import Broker
from mitogen.core.errors import Error
from mitogen.core.messages import Message
from mitogen.core.router import ANYONE, Context, check_not_importing_main
from mitogen.core.router import Router as CoreRouter
from mitogen.parent.bootstrap import LATE_MEMBERS, bootstrap_command, build_bundle
from mitogen.parent.bundle_cache import cached
from mitogen.parent.children import create_child, hybrid_create_child, tty_create_child
from mitogen.parent.connection import ChildSpec, ChildStream, Dialogue, HopError, open_child, open_via
from mitogen.parent.minimize import minimize_source
from mitogen.parent.modules import ModuleFinder, get_child_modules
from mitogen.parent.pipes import iter_read, write_all
from mitogen.parent.processes import ProcessMonitor
from mitogen.parent.routes import Routes
from mitogen.prompts import Failures, explain
from mitogen.records import RecordSink
from mitogen.responder import ModuleResponder
from mitogen.transports import Transports

__all__ = [
    'Broker', 'ChildSpec', 'HopError', 'ModuleResponder', 'ProcessMonitor', 'Router', 'Stream', 'create_child',
    'get_child_modules', 'hybrid_create_child', 'iter_read', 'make_bundle', 'minimize_source',
    'tty_create_child', 'write_all',
]

#: Interpreters that are tried where none is named.
PYTHONS = ('python3', 'python', '/usr/libexec/platform-python')

#: Most context IDs that are given away at a time.
MAX_IDS = 1000


def make_bundle(package: str = 'mitogen.core') -> bytes:
    """Return a compressed bundle of what a child is; see :mod:`mitogen.parent.bootstrap`.

    :param package: ``mitogen.core``, which every child is, or ``mitogen.zygote``, which some are besides.
    """
    finder = ModuleFinder()
    sources = {}
    for name in ['mitogen', package, *sorted(finder.submodules(package))]:
        code = finder.find(name)
        if code is None:
            raise ImportError('cannot find the source of %s, which every child needs' % name)
        path = name.replace('.', '/') + ('/__init__.py' if code.is_package else '.py')
        if path in LATE_MEMBERS:
            continue
        sources[path] = code.source
    tools = [finder.find(name) for name in ('mitogen.shrink', 'mitogen.parent.minimize', 'mitogen.parent.bootstrap')]
    inputs = [tool.source for tool in tools if tool is not None]
    inputs += [part for path, source in sorted(sources.items()) for part in (path.encode(), source)]

    def make() -> bytes:
        # Imported late: mostly, the bundle has been made before.
        from mitogen.shrink import shrink_source
        return build_bundle({path: shrink_source(source.decode('utf-8')) for path, source in sources.items()})
    return cached('bundle-%s' % package, inputs, make)


class Stream(ChildStream):
    """A stream that creates its child: it builds the command, starts it, and bootstraps it.

    Subclasses, one for each transport, wrap the command so that it runs where
    the context is to be, and answer what is asked on the way there. Where the
    context becomes the child of another one, this object only describes it:
    the descriptors are over there.

    :param router: the router of this process.
    :param python: interpreter to use there, or several to try in this order: names or paths.
    :param deadline: seconds for all of it.
    :param name: for messages to people; by default what the options say.
    :param zygote: whether the context keeps a fork server, see :mod:`mitogen.zygote`.
    :param cwd: where the command is started.
    :param env: additions to the command's environment.
    """

    #: Whether the command may ask for something, and may want a terminal for that.
    needs_tty = False
    may_prompt = False
    #: What the command prints when it fails; see :func:`mitogen.prompts.failures`.
    failures: Failures = ()

    def __init__(self, router: Any, python: Union[str, Sequence[str]] = PYTHONS, deadline: float = 30.0,
                 name: Optional[str] = None, zygote: bool = False, cwd: Optional[str] = None,
                 env: Optional[Dict[str, str]] = None) -> None:
        self.pythons = [python] if isinstance(python, str) else list(python)
        self.deadline = float(deadline)
        spec = ChildSpec(self.wrap(self.start_command()), name or self.describe(), self.needs_tty, self.may_prompt,
                         self.deadline, zygote, cwd, env, {})
        super().__init__(router, spec)

    def describe(self) -> str:
        """Return a name for the context, like ``ssh web1``."""
        return 'local'

    def start_command(self) -> List[str]:
        """Return the argv that starts the interpreter, where the context is to be."""
        return ['sh', '-c', bootstrap_command(self.pythons)]

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv that runs `command` where the context is to be."""
        return command

    def answer(self, output: bytes) -> Optional[bytes]:
        """Return what to type after the command has printed `output`, or None.

        :raises HopError: there is no hope.
        """
        return None

    def why(self, output: bytes) -> Optional[str]:
        """Return in words why the command failed which printed `output`, or None if that is not known."""
        return explain(output, self.failures)

    def refuse(self, why: str, output: bytes = b'') -> HopError:
        """Return the error that says why the context cannot be started."""
        return HopError('exited', '%s: %s' % (self.spec.name, why), output)

    def connect(self, via: Optional[Context] = None) -> Context:
        """Start the context.

        :param via: the context whose child it becomes; by default this process.
        :raises HopError: it could not be started.
        :raises ChannelError: `via` is gone.
        """
        dialogue = self.answer if self.may_prompt else None
        try:
            return self.start(dialogue) if via is None else open_via(self.router, via, self.spec, dialogue)
        except HopError as error:
            why = self.why(error.output) if error.kind == 'exited' and error.status is not None else None
            if why is None:
                raise
            raise HopError(error.kind, '%s: %s' % (self.spec.name, why), error.output, error.status) from None


class Router(Transports, CoreRouter):
    """The root's router.

    Its methods named after transports start contexts.

    :param broker: its broker; by default a new one.
    :param prefixes: see :class:`mitogen.responder.ModuleResponder`.
    :param log_level: the least level of log records that children send.
    """

    def __init__(self, broker: Optional[Broker] = None, prefixes: Optional[List[str]] = None,
                 log_level: int = logging.INFO) -> None:
        check_not_importing_main()
        super().__init__(Broker() if broker is None else broker)
        self.tree_config = {'prefixes': prefixes, 'log_level': log_level}
        Routes(self)
        self.responder = ModuleResponder(self, prefixes)
        RecordSink(self)
        self.add_handler(self._on_allocate_id, handles.ALLOCATE_ID, source=ANYONE)

    def allocate_id(self, count: int = 1) -> int:
        """Return the first of `count` consecutive context IDs that nobody else has."""
        return self.routes.allocate_id(count)

    def preload(self, context: Context, names: Any) -> None:
        """Send modules that a context is about to import."""
        self.responder.preload(context, names)

    def open(self, spec: ChildSpec, via: Optional[Context] = None, dialogue: Optional[Dialogue] = None) -> Context:
        """Start a context as a child of this process, or of the context `via`.

        :raises HopError: it could not be started.
        :raises ChannelError: `via` is gone.
        """
        return open_child(self, spec, dialogue) if via is None else open_via(self, via, spec, dialogue)

    def _on_allocate_id(self, message: Message) -> None:
        first = self.routes.give(message.src_id, min(max(1, int(message.decode())), MAX_IDS))
        if not first:
            self.complain(message.src_id, 'asked for more context IDs than it may have')
        message.reply(first or Error('no more context IDs are given to this context'))
