"""What tasks cost, as far as the multiplexer sees it: kept for those that are labelled, until it is asked for."""

#: Labels that are kept: a caller that never asks for what it labels shall not fill memory.
MAX_LABELS = 100_000


class Usage:
    """The costs of one task on one host."""

    # No dataclass: to import what makes one takes a tenth of the multiplexer's start.

    def __init__(self) -> None:
        #: Messages to the target whose answer was awaited, those sent along with others not counted.
        self.round_trips = 0
        #: Bytes of payloads, to and from the target.
        self.sent = 0
        self.received = 0
        #: Milliseconds: until contexts were open, until requests could be sent,
        self.opening_ms = 0.0
        self.queued_ms = 0.0
        #: for copying files, for messages of jobs to arrive and be answered,
        self.transfer_ms = 0.0
        self.wire_ms = 0.0
        #: and for jobs to run there.
        self.run_ms = 0.0

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
        return vars(self._by_label.pop(label, None) or Usage())
