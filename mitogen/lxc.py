"""Contexts in LXC containers."""

from typing import List

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``lxc-attach``.

    :param username: a number: the program takes no names.
    :param options: those of :class:`mitogen.containers.Stream`.
    """

    default_program = 'lxc-attach'
    kind = 'lxc'

    def arguments(self) -> List[str]:
        """Return the arguments of ``lxc-attach``."""
        return ['--clear-env', '--name', self.container] + self.user_args('--uid') + self.args + ['--']
