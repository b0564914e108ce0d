"""Contexts in machines of systemd."""

from typing import List

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``systemd-run --machine``.

    :param options: those of :class:`mitogen.containers.Stream`.
    """

    default_program = 'systemd-run'
    kind = 'machinectl'

    def arguments(self) -> List[str]:
        """Return the arguments of ``systemd-run --machine``."""
        return (['--machine', self.container, '--pipe', '--wait', '--collect', '--quiet'] + self.user_args('--uid')
                + self.args + ['--'])
