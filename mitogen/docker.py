"""Contexts in Docker containers."""

from typing import List

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``docker exec``.

    :param options: those of :class:`mitogen.containers.Stream`.
    """

    default_program = 'docker'

    def arguments(self) -> List[str]:
        """Return the arguments of ``docker exec``."""
        return ['exec', '--interactive'] + self.user_args('--user') + self.args + [self.container]
