"""Contexts of other accounts, by ``su``."""

import shlex
from typing import List

from mitogen import become, prompts


class Stream(become.Stream):
    """A stream over ``su``.

    :param options: those of :class:`mitogen.become.Stream`.
    """

    default_program = 'su'
    failures = prompts.SU_FAILURES

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv of su, which has the account's shell run the command."""
        return [self.program, self.username, '-c', 'exec ' + ' '.join(map(shlex.quote, command))]
