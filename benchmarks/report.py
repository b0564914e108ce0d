"""Tables of what was measured."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Sample
from benchmarks.paths import BenchError
from benchmarks.relay import Traffic
from benchmarks.scenarios import STOCK_CPU, Scenario

MARKERS = ('<!-- benchmark -->', '<!-- /benchmark -->')


@dataclass
class Row:
    """All that was measured for one scenario.

    :ivar rounds: for each round, one sample per engine.
    :ivar traffic: per engine, of the pass through the relay.
    """

    scenario: Scenario
    rounds: list[dict[str, Sample]] = field(default_factory=list)
    traffic: dict[str, Traffic] = field(default_factory=dict)

    def median(self, engine: str, quantity: str) -> float | None:
        """Return the median over the rounds of a quantity of :class:`Sample`."""
        values = [getattr(samples[engine], quantity) for samples in self.rounds if engine in samples]
        return statistics.median(values) if values else None

    def cpu(self, engine: str, quantity: str) -> float | None:
        """Return the median of a CPU time of :class:`Sample`, in milliseconds for each host and task."""
        value = self.median(engine, quantity)
        return None if value is None else value * 1000 / self.scenario.units

    def speedup(self, engine: str, against: str) -> float | None:
        """Return how many times faster `engine` is: the median of the ratios within each round."""
        ratios = [
            samples[against].wall / samples[engine].wall
            for samples in self.rounds
            if engine in samples and against in samples
        ]
        return statistics.median(ratios) if ratios else None

    def spread(self, engine: str) -> float | None:
        """Return the slowest wall time over the fastest."""
        values = [samples[engine].wall for samples in self.rounds if engine in samples]
        return max(values) / min(values) if values else None

    def disagreement(self) -> str:
        """Return how engines differ in the play's recap; empty if they agree."""
        outcomes = {name: sample.outcome for samples in self.rounds for name, sample in samples.items()}
        reference = next(iter(outcomes.values()), {})
        differing = {name: outcome for name, outcome in outcomes.items() if outcome != reference}
        return f'{self.scenario.name}: {next(iter(outcomes))} {reference}, but {differing}' if differing else ''

    def leftovers(self) -> list[str]:
        """Return what runs of each engine left behind, each line once."""
        lines = {
            f'{self.scenario.name}: {name} left on the {side}: {command}'
            for samples in self.rounds
            for name, sample in samples.items()
            for side, commands in (('controller', sample.left_here), ('target', sample.left_there))
            for command in commands
        }
        return sorted(lines)


def _number(value: float | None, digits: int) -> str:
    return '–' if value is None else f'{value:.{digits}f}'


def _times(value: float | None) -> str:
    return '–' if value is None else f'{value:.2f} ×'


def table(header: list[str], body: list[list[str]]) -> str:
    """Return a table in Markdown; all columns but the first hold numbers."""
    lines = ['| ' + ' | '.join(header) + ' |', '| --- |' + ' ---: |' * (len(header) - 1)]
    lines += ['| ' + ' | '.join(cells) + ' |' for cells in body]
    return '\n'.join(lines)


def _targets(scenario: Scenario) -> str:
    wanted = ((scenario.times_peer, 'peer'), (scenario.times_stock, 'stock'))
    return ', '.join(f'{value:g} × {name}' for value, name in wanted if value is not None)


def wall_table(rows: list[Row], engines: list[str]) -> str:
    """Return the table of wall times and speed-ups."""
    pairs = [
        (engine, against)
        for engine in engines
        for against in ('stock', 'peer')
        if against in engines and engines.index(against) < engines.index(engine)
    ]
    header = ['wall time, s', *engines, *(f'{engine} against {against}' for engine, against in pairs), 'to reach']
    body = [
        [
            row.scenario.title,
            *(_number(row.median(engine, 'wall'), 2) for engine in engines),
            *(_times(row.speedup(engine, against)) for engine, against in pairs),
            _targets(row.scenario),
        ]
        for row in rows
    ]
    return table(header, body)


def cpu_table(rows: list[Row], engines: list[str]) -> str:
    """Return the table of CPU milliseconds per host and task."""
    header = ['CPU per host and task, ms']
    header += [f'controller, {engine}' for engine in engines] + [f'target, {engine}' for engine in engines]
    body = []
    for row in rows:
        cells = [row.scenario.title]
        for quantity in ('controller_cpu', 'target_cpu'):
            cells += [_number(row.cpu(engine, quantity), 1) for engine in engines]
        body.append(cells)
    return table(header, body)


def memory_table(rows: list[Row], engines: list[str]) -> str:
    """Return the table of peak memory, of the scenarios where it was looked at; empty if there is none."""
    body = [
        [row.scenario.title, *(_number(row.median(engine, 'memory'), 0) for engine in engines),
         f'{row.scenario.memory_budget:g}']
        for row in rows if row.scenario.memory_budget is not None
    ]
    return table(['peak memory of the controller, MiB', *engines, 'budget'], body) if body else ''


def wire_table(rows: list[Row], engines: list[str]) -> str:
    """Return the table of bytes, packets and turns on the wire."""
    header = ['on the wire, whole run']
    for quantity in ('KiB', 'packets', 'turns'):
        header += [f'{quantity}, {engine}' for engine in engines]
    body = []
    for row in rows:
        found = [row.traffic.get(engine) for engine in engines]
        kib = [_number(traffic.bytes / 1024 if traffic else None, 0) for traffic in found]
        packets = [str(traffic.packets) if traffic else '–' for traffic in found]
        turns = [str(traffic.turns) if traffic else '–' for traffic in found]
        body.append([row.scenario.title, *kib, *packets, *turns])
    return table(header, body)


def remarks(rows: list[Row], engines: list[str]) -> list[str]:
    """Return what a reader should know besides the tables: budgets missed, noise, leftovers, differing results."""
    lines = []
    for row in rows:
        scenario = row.scenario
        for wanted, against in ((scenario.times_peer, 'peer'), (scenario.times_stock, 'stock')):
            reached = row.speedup('us', against)
            if wanted is not None and reached is not None and reached < wanted:
                lines.append(f'{scenario.name}: {reached:.2f} × {against} where {wanted:g} × is to be reached')
        traffic = row.traffic.get('us')
        if scenario.wire_budget and traffic and traffic.bytes > scenario.wire_budget:
            lines.append(
                f'{scenario.name}: {traffic.bytes} bytes on the wire where the budget is {scenario.wire_budget}'
            )
        cpu, stock = row.cpu('us', 'controller_cpu'), row.cpu('stock', 'controller_cpu')
        if scenario.cpu_budget and cpu and stock and cpu > (budget := scenario.cpu_budget * stock / STOCK_CPU):
            lines.append(f"{scenario.name}: {cpu:.1f} ms of the controller's CPU for each host and task where the "
                         f'budget is {budget:.1f}: {scenario.cpu_budget:g} where stock takes {STOCK_CPU}')
        memory = row.median('us', 'memory')
        if scenario.memory_budget and memory and memory > scenario.memory_budget:
            lines.append(f'{scenario.name}: {memory:.0f} MiB where the budget is {scenario.memory_budget:g}')
        for engine in engines:
            spread = row.spread(engine)
            if spread is not None and spread > 1.5:
                lines.append(f"{scenario.name}: noisy, {engine}'s slowest round took {spread:.1f} × its fastest")
        if difference := row.disagreement():
            lines.append(difference)
        lines += row.leftovers()
    return lines


def write_between_markers(path: Path, text: str) -> None:
    """Replace what stands between the markers in a file."""
    old = path.read_text() if path.exists() else ''
    first, second = MARKERS
    before, found, rest = old.partition(first)
    _, found_end, after = rest.partition(second)
    if not found or not found_end:
        raise BenchError(f'{path} has no line {first} followed by a line {second}')
    path.write_text(f'{before}{first}\n{text}\n{second}{after}')
