"""The runtime as a library, without Ansible: sizes, and times beside those of the bare operating system.

Each pair is measured in turn, a few times; the ratio is the median over these rounds.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import library_remote
from benchmarks.paths import CHECKOUT
from mitogen.core import Context, Receiver
from mitogen.master import ChildSpec, Router, make_bundle
from mitogen.parent.bootstrap import bootstrap_command

ROUNDS = 7
CALLS = 500
STREAM_BYTES = 64 << 20
CHUNK = 128 << 10
MODULES = 100
ROUND_TRIP = 0.030

#: Seconds after which a child is given up.
DEADLINE = 30.0

ECHO = """
import os, socket, sys
peer = socket.socket(fileno=int(sys.argv[1]))
while True:
    got = peer.recv(4096)
    if not got:
        break
    peer.sendall(got)
"""

DRAIN = """
import os, sys
left = int(sys.argv[1])
while left:
    left -= len(os.read(0, 131072))
os.write(1, b'.')
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    :ivar what: what was measured.
    :ivar value: the figure that is to stay within `limit`, already formatted.
    :ivar limit: what is to be reached.
    :ivar reached: whether it was.
    :ivar detail: the figures behind it.
    """

    what: str
    value: str
    limit: str
    reached: bool
    detail: str = ''


def _argv() -> list[str]:
    return ['sh', '-c', bootstrap_command([sys.executable])]


def _open(router: Router, *, prefix: tuple[str, ...] = (), zygote: bool = False) -> Context:
    # Its defaults are set in a way that type checkers do not see.
    spec = ChildSpec([*prefix, *_argv()], 'benchmark', deadline=DEADLINE, zygote=zygote)  # type: ignore[call-arg]
    return router.open(spec)


@contextlib.contextmanager
def _router() -> Iterator[Router]:
    router = Router()
    try:
        yield router
    finally:
        router.broker.shutdown()
        router.broker.join(10)


def _seconds(func: Callable[[], object]) -> float:
    start = time.perf_counter()
    func()
    return time.perf_counter() - start


def bootstrap_size() -> Finding:
    """Measure what a connection sends before anything runs there."""
    bundle, command = len(make_bundle('mitogen.core')), len(bootstrap_command(['python3', 'python']))
    zygote = len(make_bundle('mitogen.zygote'))
    detail = f'and {command} bytes of command line; {zygote / 1024:.1f} KiB more where a zygote is wanted'
    return Finding('bootstrap payload', f'{bundle / 1024:.1f} KiB', '16 KiB', bundle <= 16 * 1024, detail)


def child_start(router: Router) -> list[Finding]:
    """Measure the start of a local child beside that of the same Python alone."""
    bare, ours = [], []
    hello = ['sh', '-c', f'exec {sys.executable} -c "import os; os.write(1, b\'.\')"']
    for _ in range(ROUNDS):
        bare.append(_seconds(lambda: subprocess.run(hello, stdout=subprocess.PIPE, timeout=DEADLINE, check=True)))
        start = time.perf_counter()
        context = _open(router)
        # Opened is not yet running: the first answer shows that.
        context.call(time.time)
        ours.append(time.perf_counter() - start)
        context.shutdown(wait=True)
    ratio = statistics.median(our / their for our, their in zip(ours, bare, strict=True))
    own = statistics.median(our - their for our, their in zip(ours, bare, strict=True)) * 1000
    detail = f'{statistics.median(ours) * 1000:.1f} ms against {statistics.median(bare) * 1000:.1f} ms'
    return [
        Finding('start of a local child, to Python alone', f'{ratio:.2f} ×', '1.5 ×', ratio <= 1.5, detail),
        Finding('core compiled and running, after the interpreter started', f'{own:.1f} ms', '60 ms', own <= 60),
    ]


def call_round_trip(router: Router) -> Finding:
    """Measure a call to a local child beside an echo between two bare Python processes."""
    ours_side, their_side = socket.socketpair()
    argv = [sys.executable, '-c', ECHO, str(their_side.fileno())]
    with subprocess.Popen(argv, pass_fds=[their_side.fileno()]) as echo:
        their_side.close()

        def bare() -> None:
            for _ in range(CALLS):
                ours_side.sendall(b'x' * 100)
                ours_side.recv(4096)

        context = _open(router)

        def ours() -> None:
            for _ in range(CALLS):
                context.call(library_remote.nothing)

        context.call(library_remote.nothing)
        bare()
        pairs = [(_seconds(ours) / CALLS, _seconds(bare) / CALLS) for _ in range(ROUNDS)]
        ours_side.close()
        echo.wait(DEADLINE)
    context.shutdown(wait=True)
    ratio = statistics.median(our / their for our, their in pairs)
    micros = [statistics.median(values) * 1e6 for values in zip(*pairs, strict=True)]
    detail = f'{micros[0]:.0f} µs against {micros[1]:.0f} µs'
    return Finding('context.call, to a bare socket pair', f'{ratio:.1f} ×', '6 ×', ratio <= 6, detail)


def streaming(router: Router) -> Finding:
    """Measure a stream to a local child beside a bare pipe."""
    block = os.urandom(CHUNK)
    context = _open(router)

    def bare() -> None:
        argv = [sys.executable, '-c', DRAIN, str(STREAM_BYTES)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as drain:
            assert drain.stdin and drain.stdout
            for _ in range(STREAM_BYTES // CHUNK):
                os.write(drain.stdin.fileno(), block)
            drain.stdout.read(1)

    def ours() -> None:
        inbox = Receiver(router, source=context.context_id)
        done = context.call_async(library_remote.drain, STREAM_BYTES, inbox.to_sender())
        sender = inbox.get(DEADLINE)
        for _ in range(STREAM_BYTES // CHUNK):
            sender.send(block)
        done.get(DEADLINE)
        inbox.close()

    pairs = [(_seconds(ours), _seconds(bare)) for _ in range(max(3, ROUNDS // 2))]
    context.shutdown(wait=True)
    ratio = statistics.median(their / our for our, their in pairs)
    rates = [STREAM_BYTES / statistics.median(values) / 1e6 for values in zip(*pairs, strict=True)]
    detail = f'{rates[0]:.0f} MB/s against {rates[1]:.0f} MB/s'
    return Finding('streaming to a local child, to a bare pipe', f'{ratio:.2f} ×', '0.3 ×', ratio >= 0.3, detail)


def _write_package(folder: Path) -> str:
    """Write a package whose modules import each other, as those of a real program do; return its name."""
    name = 'bench_package'
    (folder / name).mkdir()
    for number in range(1, MODULES):
        lines = [f'from {name} import part_{number // 2}'] if number > 1 else []
        lines += [f'def function_{line}(argument):\n    return argument * {line}' for line in range(20)]
        (folder / name / f'part_{number}.py').write_text('\n'.join(lines) + '\n')
    imports = '\n'.join(f'from {name} import part_{number}' for number in range(MODULES - 1, 0, -1))
    (folder / name / '__init__.py').write_text(imports + '\n')
    return name


def package_import(router: Router) -> Finding:
    """Measure the import of a package from the parent, on a link with a long round trip and without."""
    slow = (sys.executable, str(CHECKOUT / 'benchmarks' / 'slow_pipe.py'), str(ROUND_TRIP * 500))
    with tempfile.TemporaryDirectory() as folder:
        name = _write_package(Path(folder))
        sys.path.insert(0, folder)
        try:
            pairs = [[_import_seconds(router, prefix, name) for prefix in ((), slow)] for _ in range(4)]
        finally:
            sys.path.remove(folder)
    # The first pair finds the parent's own caches empty.
    times = [min(seconds) for seconds in zip(*pairs[1:], strict=True)]
    trips = (times[1] - times[0]) / ROUND_TRIP
    detail = f'{times[0] * 1000:.0f} ms without delay, {times[1] * 1000:.0f} ms with; the call itself not counted'
    what = f'import of {MODULES} modules at {ROUND_TRIP * 1000:.0f} ms'
    return Finding(what, f'{trips:.1f} round trips', '5', trips <= 5, detail)


def _import_seconds(router: Router, prefix: tuple[str, ...], package: str) -> float:
    context = _open(router, prefix=prefix)
    context.call(library_remote.nothing)
    empty = min(_seconds(lambda: context.call(library_remote.nothing)) for _ in range(5))
    start = time.perf_counter()
    count = context.call(library_remote.import_package, package)
    seconds = time.perf_counter() - start
    assert count == MODULES, count
    context.shutdown(wait=True)
    return seconds - empty


def target_memory(router: Router) -> Finding:
    """Measure what an idle context and its zygote hold."""
    context = _open(router, zygote=True)
    context.call(library_remote.nothing)
    pids = [context.info['pid']]
    with open(f'/proc/{pids[0]}/task/{pids[0]}/children', encoding='ascii') as children:
        pids += [int(pid) for pid in children.read().split()]
    mib = sum(map(_pss, pids)) / 1024
    context.shutdown(wait=True)
    return Finding('memory of a context and its zygote (PSS)', f'{mib:.1f} MiB', '20 MiB', mib <= 20)


def _pss(pid: int) -> int:
    for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1])
    return 0


def measure_library() -> list[Finding]:
    """Measure everything."""
    findings = [bootstrap_size()]
    with _router() as router:
        findings += child_start(router)
        for measurement in (call_round_trip, streaming, package_import, target_memory):
            findings.append(measurement(router))
    return findings


def library_table(findings: list[Finding]) -> str:
    """Return the findings as a table."""
    lines = ['| library | measured | to reach | | |', '| --- | ---: | ---: | --- | --- |']
    for finding in findings:
        verdict = 'yes' if finding.reached else '**no**'
        lines.append(f'| {finding.what} | {finding.value} | {finding.limit} | {verdict} | {finding.detail} |')
    return '\n'.join(lines)
