"""Contexts of other accounts, by ``sudo``."""

import os
from typing import Any, List, Optional, Sequence

from mitogen import become, prompts


class Stream(become.Stream):
    """A stream over ``sudo``, that of Todd Miller or sudo-rs.

    :param set_home: whether HOME becomes that of the account.
    :param preserve_env: whether the environment is kept.
    :param login: whether the command is run by the account's login shell.
    :param selinux_role: role for SELinux.
    :param selinux_type: type for SELinux.
    :param sudo_args: more arguments for sudo.
    :param options: those of :class:`mitogen.become.Stream`.
    """

    default_program = 'sudo'
    failures = prompts.SUDO_FAILURES

    def __init__(self, router: Any, username: str = 'root', password: Optional[str] = None, set_home: bool = True,
                 preserve_env: bool = False, login: bool = False, selinux_role: Optional[str] = None,
                 selinux_type: Optional[str] = None, sudo_args: Sequence[str] = (), **options: Any) -> None:
        self._args = ['-u', username]
        for wanted, flag in ((set_home, '-H'), (preserve_env, '-E'), (login, '-i')):
            if wanted:
                self._args.append(flag)
        for flag, value in (('-r', selinux_role), ('-t', selinux_type)):
            if value is not None:
                self._args += [flag, value]
        if password is None:
            # It fails at once where it would ask.
            self._args.append('-n')
        else:
            # The same in all languages. PAM may ask in its own words all the same.
            self.prompt = b'[mitogen-%s] password:' % os.urandom(4).hex().encode()
            self._args += ['-p', self.prompt.decode()]
        self._args += sudo_args
        super().__init__(router, username, password, **options)

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv of sudo."""
        return [self.program] + self._args + ['--'] + command
