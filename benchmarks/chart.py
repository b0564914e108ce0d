"""A chart of what ``--json`` wrote: ``python -m benchmarks.chart RESULTS.json CHART.svg``.

Run by the command in an environment that has matplotlib.
"""

import io
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

#: Colours that are told apart also without colour vision.
COLOURS = {'peer': '#999999', 'us': '#0072b2', 'us-linear': '#56b4e9'}


def speedups(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return how many times faster than stock each engine is, by the title of the scenario and by engine.

    It is the median of the ratios within each round, as in the tables.
    """
    found: dict[str, dict[str, float]] = {}
    for scenario in results['scenarios'].values():
        rounds = [samples for samples in scenario['rounds'] if 'stock' in samples]
        engines = [name for name in results['engines'] if name != 'stock']
        if rounds:
            found[scenario['title']] = {
                name: statistics.median(samples['stock']['wall'] / samples[name]['wall'] for samples in rounds)
                for name in engines}
    return found


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the chart as SVG."""
    import matplotlib

    matplotlib.use('svg')
    # Text stays text, and the file is the same for the same results.
    matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'benchmarks', 'font.size': 10})
    import matplotlib.pyplot as plt

    found = speedups(results)
    engines = [name for name in results['engines'] if name != 'stock']
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.62 * len(found)), layout='constrained')
    height = 0.8 / len(engines)
    for number, engine in enumerate(engines):
        places = [row + (number - (len(engines) - 1) / 2) * height for row in range(len(found))]
        bars = axes.barh(places, [ratios[engine] for ratios in found.values()], height,
                         label=f'{engine}: {results["engines"][engine]}', color=COLOURS.get(engine))
        axes.bar_label(bars, fmt='%.1f', padding=3)
    axes.axvline(1, color='black', linewidth=0.8)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel(f'times faster than stock ({results["engines"]["stock"]}, pipelining and ControlPersist on)')
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(loc='lower right', frameon=False)
    text = io.StringIO()
    nobody = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    figure.savefig(text, format='svg', metadata={'Title': 'Times faster than stock Ansible', **nobody})
    # Without the reference to a definition elsewhere, which no viewer needs.
    path.write_text(re.sub(r'<!DOCTYPE[^>]*>\n', '', text.getvalue()))


if __name__ == '__main__':
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
