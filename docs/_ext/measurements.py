"""Rows of tables, from what ``benchmarks/run --json`` wrote. No Sphinx here."""

import statistics
from typing import Any

COLUMNS = ('', 'stock, s', 'peer, s', 'us, s', 'us against stock', 'us against peer', 'CPU of the controller, ms',
           'CPU of the target, ms', 'KiB', 'packets')

#: Stands for what was not measured.
_NOTHING = '–'


class _Scenario:
    """What was measured in one scenario."""

    def __init__(self, measured: dict[str, Any]) -> None:
        self._rounds = measured['rounds']
        self._units = measured['units']
        self._wire = measured['wire'].get('us')

    def seconds(self, engine: str) -> str:
        """Return the median of the wall times."""
        found = [samples[engine]['wall'] for samples in self._rounds if engine in samples]
        return '%.2f' % statistics.median(found) if found else _NOTHING

    def ratio(self, engine: str) -> str:
        """Return how many times faster than an engine we are: the median of the ratios within each round."""
        found = [samples[engine]['wall'] / samples['us']['wall'] for samples in self._rounds if engine in samples]
        return '%.2f ×' % statistics.median(found) if found else _NOTHING

    def cpu(self, side: str) -> str:
        """Return the median of our CPU times for each host and task."""
        return '%.1f' % (statistics.median(samples['us'][side] for samples in self._rounds) * 1000 / self._units)

    def wire(self, *what: str, unit: int = 1) -> str:
        """Return how much crossed the wire, of several kinds together."""
        return '%.0f' % (sum(self._wire[kind] for kind in what) / unit) if self._wire else _NOTHING


def rows(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each scenario."""
    found = []
    for measured in results['scenarios'].values():
        scenario = _Scenario(measured)
        found.append([measured['title'], *map(scenario.seconds, ('stock', 'peer', 'us')),
                      *map(scenario.ratio, ('stock', 'peer')), *map(scenario.cpu, ('controller_cpu', 'target_cpu')),
                      scenario.wire('sent', 'received', unit=1024), scenario.wire('packets')])
    return found
