"""Where the controller's time goes: py-spy over one run, summed by function and by package."""

import collections
import re
from pathlib import Path

from benchmarks.engines import Engine
from benchmarks.measure import Bench
from benchmarks.scenarios import Scenario
from benchmarks.venvs import CORES, ensure_venv

#: Samples per second.
RATE = 250

#: Lines of each list.
TOP = 25


#: Parts of a run, each with texts that a stack of it holds; a stack belongs to the first part which fits.
PARTS = (
    ('multiplexer', ('ansible_mitogen.mux.__main__',)),
    ('worker: importing Python modules', ('WorkerProcess.run', '_find_and_load ')),
    ('worker: making the payload', ('WorkerProcess.run', '._configure_module ')),
    ('worker: our connection', ('WorkerProcess.run', '(ansible_mitogen/connection/')),
    ('worker: stock connection', ('WorkerProcess.run', '(ansible/plugins/connection/')),
    ('worker: finding and setting up plugins', ('WorkerProcess.run', '(ansible/plugins/loader.py')),
    ('worker: templating', ('WorkerProcess.run', '(ansible/_internal/_templating/')),
    ('worker: sending the result', ('WorkerProcess.run', '.send_task_result ')),
    ('worker: the rest', ('WorkerProcess.run',)),
    ('main: fork', ('Popen._launch ',)),
    ('main: waiting for results', ('._wait_on_pending_results ',)),
    ('main: strategy, the rest', ('StrategyModule.run ',)),
    ('main: start and end, imports', ('_find_and_load ',)),
    ('main: start and end, the rest', ()),
)


def profile_scenario(bench: Bench, engine: Engine, scenario: Scenario, folder: Path) -> str:
    """Run a scenario under py-spy, keep its folded stacks in `folder` and return a summary."""
    folder.mkdir(parents=True, exist_ok=True)
    tools = ensure_venv('bench-tools', CORES['2.19'].pythons, ('py-spy',))
    stacks = folder.resolve() / f'{engine.name}-{scenario.name}.folded'
    record = [str(tools / 'bin' / 'py-spy'), 'record', '--subprocesses', '--nonblocking', '--rate', str(RATE)]
    prefix = (*record, '--format', 'raw', '--output', str(stacks), '--')
    bench.run(engine, scenario, prefix)
    return f'# {engine.name}, {scenario.name} ({stacks})\n{summarize(stacks.read_text())}'


def summarize(folded: str) -> str:
    """Return the functions in which time was spent, alone and with what they call, in seconds."""
    own: collections.Counter[str] = collections.Counter()
    total: collections.Counter[str] = collections.Counter()
    parts: collections.Counter[str] = collections.Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(' ')
        # Without the line number, so that a function is one entry.
        frames = [re.sub(r':\d+\)$', ')', frame) for frame in stack.split(';')]
        parts[next(part for part, texts in PARTS if all(text in stack for text in texts))] += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    lines = []
    for title, counter in (('by part', parts), ('own', own), ('with callees', total)):
        lines.append(f'  seconds, {title}:')
        lines += [f'  {count / RATE:8.2f}  {frame}' for frame, count in counter.most_common(TOP)]
    return '\n'.join(lines)
