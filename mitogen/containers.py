"""What the programs that run a command in a container have in common."""

from typing import Any, List, Optional, Sequence

from mitogen import master, prompts


class Stream(master.Stream):
    """A stream to a process in a container.

    :param container: the container's name or ID.
    :param username: account in the container; by default the container's own.
    :param program: the program that reaches it; by default the transport's own.
    :param args: more arguments for the program's subcommand.
    :param options: those of :class:`mitogen.master.Stream`.
    """

    failures = prompts.CONTAINER_FAILURES
    #: The program, and the transport's name.
    default_program = ''
    kind = ''

    def __init__(self, router: Any, container: str, username: Optional[str] = None, program: Optional[str] = None,
                 args: Sequence[str] = (), **options: Any) -> None:
        self.container = container
        self.username = username
        self.program = program or self.default_program
        self.args = list(args)
        super().__init__(router, **options)

    def describe(self) -> str:
        """Return the transport and the container."""
        return '%s %s' % (self.kind or self.default_program, self.container)

    def user_args(self, flag: str) -> List[str]:
        """Return the arguments that choose the account."""
        return [] if self.username is None else [flag, self.username]

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv that runs `command` in the container."""
        return [self.program] + self.arguments() + command

    def arguments(self) -> List[str]:
        """Return what stands between the program and the command."""
        raise NotImplementedError
