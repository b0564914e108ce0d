"""Contexts in Buildah working containers."""

from typing import List

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``buildah run``.

    :param options: those of :class:`mitogen.containers.Stream`.
    """

    default_program = 'buildah'

    def arguments(self) -> List[str]:
        """Return the arguments of ``buildah run``."""
        return ['run'] + self.user_args('--user') + self.args + ['--', self.container]
