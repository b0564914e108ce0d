"""What the runs say, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core_targets.runs import Outcome


@dataclass(frozen=True)
class Verdict:
    """A target over one connection.

    :param stock: None where it was not asked.
    """

    target: str
    way: str
    ours: Outcome
    stock: Outcome | None

    @property
    def worse(self) -> bool:
        """Whether it passes under stock only."""
        return self.stock is not None and self.stock.passed and not self.ours.passed

    def __str__(self) -> str:
        parts = ['%s %s in %d s' % (name, outcome.status, outcome.seconds)
                 for name, outcome in (('mitogen', self.ours), ('stock', self.stock)) if outcome is not None]
        return '%s over %s: %s%s' % (self.target, self.way, ', '.join(parts), '  <== worse' if self.worse else '')


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the sums, and the table of targets that pass under stock and not under this project."""
    lines = ['', '%d passed under this project, %d failed under both, %d passed under stock alone:' % (
        sum(verdict.ours.passed for verdict in verdicts),
        sum(not verdict.ours.passed and not verdict.worse for verdict in verdicts),
        sum(verdict.worse for verdict in verdicts)), '', '| target | way | log |', '| --- | --- | --- |']
    lines += ['| %s | %s | %s |' % (verdict.target, verdict.way, verdict.ours.log)
              for verdict in verdicts if verdict.worse]
    failed = sorted({verdict.target for verdict in verdicts if not verdict.ours.passed and not verdict.worse})
    return '\n'.join([*lines, '', 'Failed under both: %s' % (', '.join(failed) or 'none')])
