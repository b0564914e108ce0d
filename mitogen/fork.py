"""Contexts forked off their parent."""

from typing import Any, List

from mitogen import master


class Stream(master.Stream):
    """A context that begins as a copy of its parent: quick to start, with all that is imported there.

    Locks which other threads of the parent hold at the fork stay locked in
    it. Options are those of the base but for `python`, `cwd` and `env`.
    """

    def __init__(self, router: Any, **options: Any) -> None:
        for name in ('python', 'cwd', 'env'):
            if name in options:
                raise TypeError('a forked context takes no %s: it is a copy of its parent' % name)
        super().__init__(router, **options)

    def describe(self) -> str:
        """Return a name for the context."""
        return 'fork'

    def start_command(self) -> List[str]:
        """Return no argv: nothing is executed."""
        return []
