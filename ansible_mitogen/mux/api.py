"""What the callers of the multiplexer hand in, get back, and have raised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Stands in for a hop's command when its context is wanted only if it is open, or being opened.
NOT_OPENED: tuple[str, ...] = ()


class MuxError(Exception):
    """Base of what :class:`ansible_mitogen.mux.client.MuxClient` raises by itself."""


class MuxGone(MuxError):
    """The multiplexer is not there, or went away. The client that raised it cannot be used any more."""


class HopFailed(MuxError):
    """A hop could not be opened.

    :param hop_index: which of the hops, counted from 0.
    :param kind: `exited`, `timeout`, `no_python`, `terminal`, `spawn`, or `closed`: it is not open, and was not to be
        opened.
    :param message: one sentence.
    :param output: what the hop's command printed.
    :param status: exit code of the command, when it exited; 128 + number for a signal.
    """

    def __init__(self, hop_index: int, kind: str, message: str, output: bytes = b'', status: int | None = None) -> None:
        super().__init__(hop_index, kind, message, output, status)
        self.hop_index = hop_index
        self.kind = kind
        self.message = message
        self.output = output
        self.status = status

    def __str__(self) -> str:
        return self.message


class ContextLost(MuxError):
    """The context died, was closed to make room for others, or belongs to an earlier multiplexer.

    :param started: False if the target certainly did nothing of the request: it may be
        repeated in a context opened anew.
    """

    def __init__(self, message: str, started: bool = True) -> None:
        super().__init__(message, started)
        self.message = message
        self.started = started

    def __str__(self) -> str:
        return self.message


class JobFailed(MuxError):
    """A command or module could not be started on the target, or the runner itself failed."""


class TransferFailed(MuxError):
    """The far side could not read or write a file; the local side's faults are raised as :class:`OSError`.

    :param errno: the far side's error number, or 0.
    """

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message, errno)
        self.message = message
        self.errno = errno

    def __str__(self) -> str:
        return self.message


class StageFailed(MuxError):
    """A step before a job could not be done; the steps after it, and the job, were not begun.

    :param step: which, counted from 0.
    :param errno: the far side's error number, or 0.
    """

    def __init__(self, message: str, errno: int, step: int) -> None:
        super().__init__(message, errno, step)
        self.message = message
        self.errno = errno
        self.step = step

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Hop:
    """One step of the way to a context: a command that ends in starting our bootstrap."""

    #: The complete command, with the bootstrap command inside; or :data:`NOT_OPENED`.
    argv: tuple[str, ...]
    #: For messages: "ssh web1.example.com", "sudo root".
    name: str
    #: Identity: hop lists with the same keys lead to the same context.
    key: str
    #: Give it a controlling terminal; prompts come there or on stderr.
    needs_tty: bool = False
    #: Wait for the far side to announce itself, and show the dialogue what it prints till then.
    may_prompt: bool = False
    #: Seconds allowed for this hop.
    deadline: float = 10.0
    #: Directory that the command is started in; None for the multiplexer's own, which is the playbook's.
    cwd: str | None = None
    #: Added to the multiplexer's environment.
    env: Mapping[str, str] | None = None
    #: Files on the far side, and folders of files, that the command reads to make the environment there. When one
    #: changes, the context is closed, as soon as it is idle, and opened anew for what comes next.
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContextInfo:
    """A context that is open. Equal to another one only if it is the same process on the target."""

    context_id: int
    python_version: tuple[int, ...] = field(compare=False)
    #: `sys.executable` there.
    executable: str = field(compare=False)
    #: Which of the candidate names the bootstrap command took.
    chosen: str = field(compare=False)
    #: False if it was open already.
    fresh: bool = field(compare=False)
    #: Milliseconds: `total`, `queued` (waiting for a slot to open in), `hops` (one for each that was opened now).
    timings: Mapping[str, object] = field(compare=False)
    #: Which multiplexer it belongs to: IDs are its own.
    mux: str = ''
    #: What the last hop's command printed until its Python announced itself; the end of it, if that is much.
    said: bytes = field(default=b'', compare=False)
    #: Those of the hops that lead to it.
    keys: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class ModuleCall:
    """A new-style module with its arguments, as AnsiballZ would have run it."""

    #: SHA-256, in hex, of `zip_base64`.
    zip_id: str
    #: Sent only if the multiplexer does not have it yet.
    zip_base64: str
    module_fqn: str
    #: The arguments, JSON text.
    params: str
    profile: str = 'legacy'
    rlimit_nofile: int = 0
    date_time: object = None
    extensions: Mapping[str, object] = field(default_factory=dict)
    #: `loader` for ansible-core 2.19 and later, `runpy` for earlier ones.
    style: str = 'loader'
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    #: Run it under this interpreter; '' for the one that the context runs on.
    interpreter: str = ''
    #: What of ansible-core is mended in its process, see :mod:`ansible_mitogen.target.mends`.
    mends: Sequence[str] = ()


@dataclass(frozen=True)
class Either:
    """A module to run instead of another one, if a file on the target is what it should be.

    It runs where the other one does, and with its environment.
    """

    call: ModuleCall
    #: The file.
    path: str
    #: Whether a symbolic link counts as what it points to.
    follow: bool
    #: Its size in bytes, and the SHA-1 of its content, in hex.
    size: int
    sha1: str


#: A step on the target before a job: name and arguments of a function of :mod:`ansible_mitogen.target.staging`.
Step = Sequence[object]


@dataclass(frozen=True)
class Before:
    """What is done on the target before a job, in the same message.

    :param steps: in this order.
    :param above: how many levels above the context of the job the one is that does them.
    """

    steps: Sequence[Step] = ()
    above: int = 0


@dataclass(frozen=True)
class Completed:
    """A command or module that ended."""

    #: Exit code, or 128 + number of the signal.
    rc: int
    stdout: bytes
    stderr: bytes
    #: Run time on the target, in milliseconds.
    ms: float
    #: Times that a message had to go to the target and its answer be waited for.
    round_trips: int
    #: Milliseconds: `queued` (inside the multiplexer, before sending), `wire` (answer awaited, less the run time).
    timings: Mapping[str, float] = field(default_factory=dict)
    #: It was the other of two modules, see :class:`Either`.
    other_ran: bool = False
    #: `sys.executable` of the context that it ran in.
    executable: str = ''
    #: Files that were sent for a module, because the host had not seen them yet.
    files_sent: int = 0
    #: What they came to on the wire, compressed.
    bytes_sent: int = 0
