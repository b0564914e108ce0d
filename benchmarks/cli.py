"""The command: options, rounds, and where results go."""

import argparse
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.engines import DEFAULT_ENGINES, ENGINES, Engine
from benchmarks.measure import Bench, Machine, as_json
from benchmarks.paths import CHECKOUT, BenchError
from benchmarks.profiling import profile_scenario
from benchmarks.report import Row
from benchmarks.scenarios import SCENARIOS, select_scenarios
from benchmarks.simulation import simulated_table
from benchmarks.target import Target, missing_requirements
from benchmarks.venvs import CORES, ensure_venv

LOCK = Path(tempfile.gettempdir()) / 'ansible-bench.lock'


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog='benchmarks/run',
        description='Run the same playbooks with stock Ansible, the peer engine and this checkout, interleaved.',
    )
    parser.add_argument(
        '--core', choices=list(CORES), default='2.19', help='ansible-core series (default: %(default)s)'
    )
    parser.add_argument(
        '--scenario',
        action='append',
        default=[],
        metavar='NAME',
        help=f'only this one; can be repeated: {", ".join(SCENARIOS)}',
    )
    parser.add_argument(
        '--engines',
        default=','.join(DEFAULT_ENGINES),
        metavar='NAMES',
        help=f'comma-separated, of {", ".join(ENGINES)} (default: %(default)s)',
    )
    parser.add_argument('--rounds', type=int, default=5, help='how often each is run (default: %(default)s)')
    parser.add_argument('--quick', action='store_true', help='one round, nothing counted on the wire')
    parser.add_argument('--no-wire', action='store_true', help='leave out the pass that counts bytes and packets')
    parser.add_argument(
        '--rtt', type=float, default=0.0, metavar='MS', help='round trip that the link to the target has'
    )
    parser.add_argument(
        '--nofile', type=int, default=0, metavar='N', help='limit of open files that the controller gets (ulimit -n)'
    )
    parser.add_argument(
        '--simulated', type=int, action='append', metavar='N', help='measure us on N hosts that one process plays'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all samples to FILE')
    parser.add_argument('--chart', type=Path, metavar='FILE', help='draw how much faster than stock each is, as SVG')
    parser.add_argument(
        '--markdown',
        nargs='?',
        type=Path,
        const=Path(),
        metavar='FILE',
        help="write the tables between the markers in FILE (default: README.md; with --library, that of this folder)",
    )
    parser.add_argument('--library', action='store_true', help='measure the runtime as a library instead')
    parser.add_argument('--profile', type=Path, metavar='DIR', help='profile our controller into DIR instead of timing')
    return parser


@contextmanager
def _only_one() -> Iterator[None]:
    """Two benchmarks at once would share accounts, and spoil each other's times."""
    with LOCK.open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError('another benchmark is running on this machine') from None
        yield


@contextmanager
def _prepared(rows: list[Row], core: str) -> Iterator[Bench]:
    missing = missing_requirements()
    if missing:
        raise BenchError(f'the benchmark needs {"; ".join(missing)}')
    with _only_one():
        folder = Path(tempfile.mkdtemp(prefix='bench-'))
        try:
            with ExitStack() as stack:
                wanted = {row.scenario.target for row in rows}
                yield Bench({name: stack.enter_context(_target(name, folder, core)) for name in wanted}, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _target(name: str, folder: Path, core: str) -> AbstractContextManager[Machine]:
    if name == 'ssh':
        return Target(folder)
    # Only here: it takes parts of the tests, and of the machine, that the others do without.
    from benchmarks.container import ContainerTarget

    return ContainerTarget(core)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(bench: Bench, rows: list[Row], engines: list[Engine], rounds: int, delay: float, wire: bool,
            prefix: tuple[str, ...] = ()) -> None:
    """Fill `rows`: all engines in turn, again and again, so that noise hits all alike."""
    for target in sorted({row.scenario.target for row in rows}):
        for engine in engines:
            # Not counted: byte-code of a fresh checkout or environment is compiled here.
            bench.run(engine, replace(SCENARIOS['ping'], target=target))
    for number in range(rounds):
        for row in rows:
            samples = {}
            # Another engine goes first in each round: none always finds the machine as the same predecessor left it.
            start = number % len(engines)
            for engine in engines[start:] + engines[:start]:
                samples[engine.name] = bench.run(engine, row.scenario, prefix, delay)
            # In the order of the tables, whoever ran first.
            row.rounds.append({engine.name: samples[engine.name] for engine in engines})
            walls = ', '.join(f'{engine.name} {samples[engine.name].wall:.2f} s' for engine in engines)
            _say(f'round {number + 1}/{rounds}, {row.scenario.name}: {walls}')
    for row in rows if wire else []:
        for engine in engines if row.scenario.target == 'ssh' else []:
            row.traffic[engine.name] = bench.count_traffic(engine, row.scenario)


def describe(engines: list[Engine], rounds: int, rtt: float) -> str:
    """Return one line on where and how it was measured."""
    link = f'; link with {rtt:g} ms of round trip' if rtt else ''
    names = '; '.join(f'{engine.name}: {engine.version}' for engine in engines)
    return f'Medians of {rounds} interleaved round{"s" * (rounds != 1)} on {_machine()}{link}. {names}.'


def _machine() -> str:
    return f'{os.cpu_count()} cores, {platform.system()} {platform.release().split("-")[0]}'


def _write_markdown(args: argparse.Namespace, default: Path, text: str) -> None:
    if args.markdown is not None:
        report.write_between_markers(default if args.markdown == Path() else args.markdown, text)


def _commit() -> str:
    argv = ['git', '-C', str(CHECKOUT), 'describe', '--always', '--dirty']
    return subprocess.run(argv, capture_output=True, text=True, timeout=30).stdout.strip()


def _write_chart(path: Path, results: dict[str, Any]) -> None:
    tools = ensure_venv('bench-chart', CORES['2.19'].pythons, ('matplotlib>=3.9',))
    with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
        json.dump(results, file)
        file.flush()
        subprocess.run([tools / 'bin' / 'python', '-m', 'benchmarks.chart', file.name, path.absolute()], cwd=CHECKOUT,
                       check=True, timeout=120)


def _results(rows: list[Row], engines: list[Engine], args: argparse.Namespace) -> dict[str, Any]:
    return {
        'commit': _commit(),
        'core': args.core,
        'rtt_ms': args.rtt,
        'engines': {engine.name: engine.version for engine in engines},
        'scenarios': {
            row.scenario.name: {
                'title': row.scenario.title,
                'units': row.scenario.units,
                'rounds': [{name: as_json(sample) for name, sample in samples.items()} for samples in row.rounds],
                'wire': {name: asdict(traffic) for name, traffic in row.traffic.items()},
            }
            for row in rows
        },
    }


def _run(args: argparse.Namespace) -> None:
    if args.library:
        # Only here: the benchmark of engines runs without the runtime.
        from benchmarks.library import library_table, measure_library

        text = f'On {_machine()}.\n\n{library_table(measure_library())}'
        print(text)
        _write_markdown(args, CHECKOUT / 'benchmarks' / 'README.md', text)
        return
    if args.simulated:
        print(simulated_table(args.simulated, ENGINES['us'](args.core), args.nofile))
        return
    names = [name for name in args.engines.split(',') if name]
    unknown = [name for name in names if name not in ENGINES]
    if unknown or not names:
        raise BenchError(f'no engine {", ".join(unknown)}; there are {", ".join(ENGINES)}')
    rows = [Row(scenario) for scenario in select_scenarios(args.scenario)]
    engines = [ENGINES[name](args.core) for name in ENGINES if name in names]
    rounds = 1 if args.quick else args.rounds
    if args.rtt and any(row.scenario.target != 'ssh' for row in rows):
        raise BenchError('--rtt is for scenarios over ssh: there is no link to a container')
    with _prepared(rows, args.core) as bench:
        if args.profile:
            for row in rows:
                for engine in engines:
                    print(profile_scenario(bench, engine, row.scenario, args.profile))
            return
        wire = not (args.quick or args.no_wire or args.rtt)
        prefix = ('prlimit', f'--nofile={args.nofile}:{args.nofile}') if args.nofile else ()
        measure(bench, rows, engines, rounds, args.rtt / 2000, wire, prefix)
    shown = [engine.name for engine in engines]
    tables = [describe(engines, rounds, args.rtt), report.wall_table(rows, shown), report.cpu_table(rows, shown)]
    tables += filter(None, [report.memory_table(rows, shown)])
    if any(row.traffic for row in rows):
        tables.append(report.wire_table(rows, shown))
    text = '\n\n'.join(tables)
    print(text)
    for line in report.remarks(rows, shown):
        print(f'note: {line}')
    if args.json or args.chart:
        results = _results(rows, engines, args)
        if args.json:
            args.json.write_text(json.dumps(results, indent=1) + '\n')
        if args.chart:
            _write_chart(args.chart, results)
    _write_markdown(args, CHECKOUT / 'README.md', text)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = build_parser().parse_args(argv)
    # As an exception, so that accounts and sshd are removed on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        _run(args)
    except BenchError as error:
        print(f'benchmarks/run: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
