"""What the programs that change the account have in common."""

from typing import Any, Optional

from mitogen import master, prompts


class Stream(master.Stream):
    """A stream to a process of another account on the same host.

    :param username: the account.
    :param password: what the program may ask for; without one it is an error when it asks.
    :param program: the program that changes the account; by default the transport's own.
    :param options: those of :class:`mitogen.master.Stream`.
    """

    needs_tty = True
    may_prompt = True
    #: The program, and the name that errors give it.
    default_program = ''
    #: What the program is told to ask with, where it can be.
    prompt: Optional[bytes] = None

    def __init__(self, router: Any, username: str = 'root', password: Optional[str] = None,
                 program: Optional[str] = None, **options: Any) -> None:
        self.username = username
        self.program = program or self.default_program
        self._password = password
        self._typed = False
        super().__init__(router, **options)

    def describe(self) -> str:
        """Return the program and the account."""
        return '%s %s' % (self.default_program, self.username)

    def answer(self, output: bytes) -> Optional[bytes]:
        """Type the password, once: who asks again did not accept it."""
        if not prompts.asks_password(output, self.prompt):
            return None
        if self._password is None:
            raise self.refuse('it asked for a password and none was given', output)
        if self._typed:
            raise self.refuse('the password is wrong', output)
        self._typed = True
        return self._password.encode() + b'\n'
