"""Contexts below another root folder."""

from typing import Any, List, Optional

from mitogen import master, prompts


class Stream(master.Stream):
    """A stream over ``chroot``, which takes root.

    :param path: the folder that becomes the root.
    :param username: account there; by default that of the caller.
    :param program: the program.
    :param options: those of :class:`mitogen.master.Stream`.
    """

    failures = prompts.CONTAINER_FAILURES

    def __init__(self, router: Any, path: str, username: Optional[str] = None, program: str = 'chroot',
                 **options: Any) -> None:
        self.path = path
        self.username = username
        self.program = program
        super().__init__(router, **options)

    def describe(self) -> str:
        """Return ``chroot /path``."""
        return 'chroot %s' % self.path

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv of chroot."""
        user = [] if self.username is None else ['--userspec=%s' % self.username]
        return [self.program] + user + [self.path] + command
