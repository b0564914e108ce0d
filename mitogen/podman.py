"""Contexts in Podman containers."""

from typing import List

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``podman exec``.

    :param options: those of :class:`mitogen.containers.Stream`.
    """

    default_program = 'podman'

    def arguments(self) -> List[str]:
        """Return the arguments of ``podman exec``."""
        return ['exec', '--interactive'] + self.user_args('--user') + self.args + [self.container]
