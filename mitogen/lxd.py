"""Contexts in LXD containers."""

from typing import List

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``lxc exec``.

    :param username: a number: the program takes no names.
    :param options: those of :class:`mitogen.containers.Stream`.
    """

    default_program = 'lxc'
    kind = 'lxd'

    def arguments(self) -> List[str]:
        """Return the arguments of ``lxc exec``."""
        return ['exec', '--mode=non-interactive'] + self.user_args('--user') + self.args + [self.container, '--']
