"""Contexts of other accounts, by ``doas``."""

from typing import List

from mitogen import become, prompts


class Stream(become.Stream):
    """A stream over ``doas``.

    :param options: those of :class:`mitogen.become.Stream`.
    """

    default_program = 'doas'
    failures = prompts.DOAS_FAILURES

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv of doas."""
        return [self.program, '-u', self.username] + (['-n'] if self._password is None else []) + ['--'] + command
