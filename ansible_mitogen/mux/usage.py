"""What tasks cost, as far as the multiplexer sees it: kept for those that are labelled, until it is asked for."""

from dataclasses import asdict, dataclass

#: Labels that are kept: a caller that never asks for what it labels shall not fill memory.
MAX_LABELS = 100_000


@dataclass
class Usage:
    """The costs of one task on one host."""

    #: Messages to the target whose answer was awaited, those sent along with others not counted.
    round_trips: int = 0
    #: Bytes of payloads, to and from the target.
    sent: int = 0
    received: int = 0
    #: Milliseconds: until contexts were open, until requests could be sent,
    opening_ms: float = 0.0
    queued_ms: float = 0.0
    #: for copying files, for messages of jobs to arrive and be answered,
    transfer_ms: float = 0.0
    wire_ms: float = 0.0
    #: and for jobs to run there.
    run_ms: float = 0.0

    def add_trip(self, sent: int) -> None:
        """A message was sent whose answer is awaited."""
        self.round_trips += 1
        self.sent += sent


#: Of everything that is not labelled; nobody reads it.
NOBODY = Usage()


class Usages:
    """The costs by label."""

    def __init__(self) -> None:
        self._by_label: dict[str, Usage] = {}

    def of(self, label: str) -> Usage:
        """Return what is counted for a label; '' for none."""
        if not label:
            return NOBODY
        if label not in self._by_label and len(self._by_label) >= MAX_LABELS:
            self._by_label.pop(next(iter(self._by_label)))
        return self._by_label.setdefault(label, Usage())

    def take(self, label: str) -> dict[str, float]:
        """Return what was counted for a label, and forget it."""
        return asdict(self._by_label.pop(label) if label in self._by_label else Usage())
