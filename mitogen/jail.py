"""Contexts in FreeBSD jails."""

from typing import List

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``jexec``.

    :param options: those of :class:`mitogen.containers.Stream`.
    """

    default_program = 'jexec'
    kind = 'jail'

    def arguments(self) -> List[str]:
        """Return the arguments of ``jexec``."""
        return self.user_args('-U') + self.args + [self.container]
