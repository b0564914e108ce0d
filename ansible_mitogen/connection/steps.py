"""A hop together with the one who answers it."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from ansible_mitogen.mux.api import Hop, HopFailed


class Answerer(Protocol):
    """Whoever talks to the program of a hop until our Python runs behind it."""

    def answer(self, output: bytes) -> bytes | None:
        """Return what to type, given all that the program printed since the last answer; None for nothing.

        May raise, which gives the hop up.
        """

    def explain(self, failed: HopFailed) -> None:
        """Raise what the failure of the hop means; return if nothing is known of it."""


@dataclass(frozen=True)
class Step:
    """One hop, and who answers it."""

    hop: Hop
    answerer: Answerer
    #: It changes the account, on a host that was reached already.
    changes_account: bool = False
    #: It leads to this host, through which another one is reached; '' if it leads to the host itself.
    through: str = ''


class Silent:
    """Answers nothing: for hops that do not ask."""

    def answer(self, output: bytes) -> bytes | None:
        """Type nothing."""
        return None

    def explain(self, failed: HopFailed) -> None:
        """Know nothing."""


def digest(secret: str) -> str:
    """Return a mark that tells secrets apart and gives nothing away of them that would help to guess one."""
    return hashlib.sha256(secret.encode('utf-8', 'surrogateescape')).hexdigest()[:8] if secret else ''


def unterminated_line(output: bytes) -> bytes:
    """Return what a program printed after its last line break: a question perhaps."""
    return output[max(output.rfind(b'\n'), output.rfind(b'\r')) + 1:]
