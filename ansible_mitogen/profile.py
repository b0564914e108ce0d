"""What each task cost on each host, and how that is shown. Nothing of Ansible here."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Heads of the columns of numbers, and how wide each is.
COLUMNS = ('seconds', 'controller', 'wait', 'transfer', 'run', 'trips', 'KiB')
_WIDTH = 10


def label(task_id: str, host: str) -> str:
    """Return what the costs of a task on a host are counted for."""
    return task_id + ' ' + host


@dataclass(frozen=True)
class TaskCost:
    """What a task cost on a host. Times in milliseconds.

    :param seconds: from its start to its result, as the controller saw it.
    :param controller_ms: the rest of that: the work of Ansible itself, and waiting for a worker.
    :param wait_ms: for the connection to be open, and for messages to travel.
    :param transfer_ms: for files to be copied.
    :param run_ms: for modules and commands to run on the host.
    :param round_trips: messages whose answer was waited for.
    :param sent: bytes to the host, before encryption.
    :param received: bytes from it.
    """

    task: str
    host: str
    status: str
    seconds: float
    controller_ms: float
    wait_ms: float
    transfer_ms: float
    run_ms: float
    round_trips: int
    sent: int
    received: int


def task_cost(task: str, host: str, status: str, seconds: float, usage: Mapping[str, float]) -> TaskCost:
    """Return the cost of a task, from what the multiplexer has counted (:class:`ansible_mitogen.mux.usage.Usage`)."""
    wait = usage['opening_ms'] + usage['queued_ms'] + usage['wire_ms']
    elsewhere = wait + usage['transfer_ms'] + usage['run_ms']
    return TaskCost(task, host, status, round(seconds, 4), round(max(0.0, seconds * 1000 - elsewhere), 1),
                    round(wait, 1), round(usage['transfer_ms'], 1), round(usage['run_ms'], 1),
                    int(usage['round_trips']), int(usage['sent']), int(usage['received']))


def _numbers(costs: Iterable[TaskCost]) -> list[str]:
    rows = [(cost.seconds, cost.controller_ms / 1000, cost.wait_ms / 1000, cost.transfer_ms / 1000, cost.run_ms / 1000,
             cost.round_trips, (cost.sent + cost.received) / 1024) for cost in costs]
    sums = [sum(column) for column in zip(*rows, strict=True)]
    return ['%.0f' % number if head == 'trips' else '%.1f' % number if head == 'KiB' else '%.3f' % number
            for head, number in zip(COLUMNS, sums, strict=True)]


def summary(costs: list[TaskCost], most: int) -> list[str]:
    """Return the lines of a table: tasks by the time that they took, summed over hosts, and all of them together.

    :param most: how many tasks are shown.
    """
    if not costs:
        return ['no task has run']
    tasks: dict[str, list[TaskCost]] = {}
    for cost in costs:
        tasks.setdefault(cost.task, []).append(cost)
    slowest = sorted(tasks, key=lambda name: -sum(cost.seconds for cost in tasks[name]))
    width = max(map(len, [*slowest[:most], 'all tasks']))
    lines = [_line('task', ['hosts', *COLUMNS], width)]
    lines += [_line(name, [str(len(tasks[name])), *_numbers(tasks[name])], width) for name in slowest[:most]]
    if len(slowest) > most:
        lines.append('... and %d more' % (len(slowest) - most))
    lines.append(_line('all tasks', [str(len({cost.host for cost in costs})), *_numbers(costs)], width))
    return lines


def _line(name: str, cells: list[str], width: int) -> str:
    return name.ljust(width) + ''.join(cell.rjust(_WIDTH) for cell in cells)


def as_json(costs: list[TaskCost]) -> dict[str, Any]:
    """Return the costs as plain data: one entry for each task and host, in the order of their ends."""
    return {'tasks': [asdict(cost) for cost in costs]}
