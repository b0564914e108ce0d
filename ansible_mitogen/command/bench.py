"""`ansible-mitogen bench`: one's own playbook, stock and with us, side by side."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ansible_mitogen.command.ansible import PlayRun, Settings, play, switched_on
from ansible_mitogen.command.console import Console

#: The stock strategies that have a twin.
_KINDS = ('linear', 'free', 'host_pinned')

#: So many differences are shown one by one.
_SHOWN = 10


class RunFailed(Exception):
    """A run ended before it had results. The text is what Ansible said."""


def bench(arguments: Sequence[str], settings: Settings, runs: int, really: bool, console: Console) -> dict[str, Any]:
    """Run a playbook by turns, and return what came out of it, as plain data.

    :param arguments: of ansible-playbook.
    :param runs: how often for each; the fastest counts.
    :param really: change hosts. By default it is a check run.
    :raises RunFailed: Ansible did not come to the end of it.
    """
    kind = _kind(str(settings.values.get('DEFAULT_STRATEGY')))
    environments = {'stock': {'ANSIBLE_STRATEGY': kind}, 'mitogen': switched_on(settings, kind)}
    done: dict[str, list[PlayRun]] = {name: [] for name in environments}
    asks = bool({'-k', '-K', '--ask-pass', '--ask-become-pass'}.intersection(arguments))
    for number in range(1, runs + 1):
        for name, environment in environments.items():
            with console.working(f'{name}, run {number} of {runs}', quiet=asks):
                run = play([*arguments, *([] if really else ['--check'])], settings, environment)
            if not run.stats:
                raise RunFailed(f'the run of {name} ended with status {run.status}:\n{run.output.strip()[-2000:]}')
            done[name].append(run)
    best = {name: min(made, key=lambda run: run.seconds) for name, made in done.items()}
    return {
        'check': not really, 'runs': runs, 'strategy': kind,
        'pipelining': str(settings.values.get('ANSIBLE_PIPELINING')) == 'True',
        'hosts': len(best['stock'].stats), 'results': len(best['stock'].results),
        'failed': {name: _failures(run) for name, run in best.items()},
        'seconds': {name: round(run.seconds, 2) for name, run in best.items()},
        'cpu': {name: round(run.cpu, 2) for name, run in best.items()},
        # A second real run finds done what the first did.
        'differences': [] if really else differences(best['stock'], best['mitogen']),
    }


def _kind(strategy: str) -> str:
    name = strategy.rpartition('.')[2].removeprefix('mitogen_')
    return name if name in _KINDS else 'linear'


def _failures(run: PlayRun) -> int:
    return sum(host['failures'] + host['unreachable'] for host in run.stats.values())


def differences(stock: PlayRun, ours: PlayRun) -> list[str]:
    """Return the results that one run has and the other has not, one line for each."""
    counted = [Counter((result['host'], result['task'], 'changed' if result['changed'] else result['status'])
                       for result in run.results) for run in (stock, ours)]
    lines = []
    for name, more in (('stock', counted[0] - counted[1]), ('mitogen', counted[1] - counted[0])):
        lines += [f'{host}: {task}: {status} with {name} only' for host, task, status in more.elements()]
    return sorted(lines)


def show(report: dict[str, Any], console: Console) -> None:
    """Write a report for a person."""
    console.line('%s, the faster of %d; %d results on %d hosts, strategy %s' % (
        'check run' if report['check'] else 'real run', report['runs'], report['results'], report['hosts'],
        report['strategy']))
    console.line()
    console.line(f'{"":<10}{"wall":>10}{"controller CPU":>18}')
    for name in ('stock', 'mitogen'):
        console.line(f'{name:<10}{report["seconds"][name]:>8.1f} s{report["cpu"][name]:>16.1f} s')
    wall, cpu = (report[key]['stock'] / max(report[key]['mitogen'], 0.01) for key in ('seconds', 'cpu'))
    console.line(console.painted(f'{"ratio":<10}{wall:>8.1f} x{cpu:>16.1f} x', 'bold'))
    console.line()
    if not report['pipelining']:
        console.line('Stock ran as ansible.cfg says, without pipelining.')
    for name, number in report['failed'].items():
        if number:
            console.line(console.painted(f'{name}: {number} tasks failed or hosts were not reached.', 'red'))
    if report['differences']:
        console.line(console.painted('%d results differ:' % len(report['differences']), 'yellow'))
        for line in report['differences'][:_SHOWN]:
            console.line('  ' + line)
    elif report['check']:
        console.line('All results are the same.')
