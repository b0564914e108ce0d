"""Comparing the results of two runs, field by field."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.harness.project import Run, TaskResult
from tests.integration.parity.masks import MASKS, Mask


class Difference(NamedTuple):
    """A field that should have been the same."""

    task: str
    field: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f'{self.task}: {self.field}: expected {self.expected!r:.400}, found {self.found!r:.400}'


#: Stands for a field that is not there.
ABSENT = type('Absent', (), {'__repr__': lambda self: '(absent)'})()


class Comparison:
    """Compares values, and remembers which masks were of use.

    :param masks: what may differ.
    """

    def __init__(self, masks: Sequence[Mask] = MASKS) -> None:
        self._masks = masks
        self.used: set[Mask] = set()

    def runs(self, expected: Run, found: Run) -> list[Difference]:
        """Compare the tasks of two runs by host and name, and their ends."""
        differences = list(self._values('(run)', 'status', expected.status, found.status))
        differences += self._values('(run)', 'stats', expected.stats, found.stats)
        ours = _by_name(found)
        theirs = _by_name(expected)
        for key in theirs.keys() | ours.keys():
            if key not in theirs or key not in ours:
                differences.append(Difference(key, '', theirs.get(key, ABSENT), ours.get(key, ABSENT)))
            else:
                differences += self.results(theirs[key], ours[key])
        return differences

    def results(self, expected: TaskResult, found: TaskResult) -> list[Difference]:
        """Compare two results of one task."""
        differences = list(self._values(expected.task, 'status', expected.status, found.status))
        return differences + list(self._values(expected.task, '', expected.result, found.result))

    def trees(self, name: str, expected: dict[str, Any], found: dict[str, Any]) -> list[Difference]:
        """Compare two folders as :func:`~tests.integration.parity.trees.describe` has them."""
        return list(self._values(name, '', expected, found))

    def _values(self, task: str, field: str, expected: Any, found: Any) -> Iterator[Difference]:
        mask = next((mask for mask in self._masks if mask.covers(task, field)), None)
        if mask:
            self.used.add(mask)
            if mask.optional:
                return
            if not mask.pattern:
                expected, found = type(expected), type(found)
            elif isinstance(expected, str) and isinstance(found, str):
                expected, found = (re.sub(mask.pattern, mask.replacement, text) for text in (expected, found))
        if isinstance(expected, dict) and isinstance(found, dict):
            for key in sorted(expected.keys() | found.keys()):
                yield from self._values(
                    task, f'{field}.{key}' if field else key, expected.get(key, ABSENT), found.get(key, ABSENT)
                )
        elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
            for index, pair in enumerate(zip(expected, found, strict=True)):
                yield from self._values(task, f'{field}.{index}', *pair)
        elif type(expected) is not type(found) or expected != found:
            yield Difference(task, field, expected, found)


def _by_name(run: Run) -> dict[str, TaskResult]:
    named: dict[str, TaskResult] = {}
    for result in run.results:
        key = f'{result.task} on {result.host}'
        # Handlers run more than once, and included tasks.
        times = sum(name.startswith(f'{key}, ') for name in named) + 1
        named[f'{key}, {times}'] = result
    return named
