"""What ssh asks and says, and what the stock plugin makes of it."""

import re

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes

from ansible_mitogen.connection.outcome import TransportFailed
from ansible_mitogen.connection.steps import Silent, unterminated_line
from ansible_mitogen.mux.api import HopFailed

#: Exit code of ssh for its own failures, and that of sshpass for a wrong password.
SSH_FAILED = 255
WRONG_PASSWORD = 5

#: ssh's questions about host keys end like this.
_HOST_KEY_QUESTION = re.compile(rb'\(yes/no(?:/\[fingerprint\])?\)\? ?\Z')
_HOST_KEY_REFUSED = re.compile(rb"read_passphrase: can't open /dev/tty|Host key verification failed")

_PASSPHRASE_QUESTION = re.compile(rb'Enter passphrase for .*: ?\Z')

#: Asked more often than this for the password, it is not what is wanted.
_MAX_ANSWERS = 10


class SshDialogue(Silent):
    """Says nothing to ssh, and understands why it ended."""

    def explain(self, failed: HopFailed) -> None:
        """Raise what the stock plugin would; return if it is not ssh that failed."""
        if failed.kind == 'spawn':
            raise AnsibleError('Unable to execute ssh command line on a controller: %s' % failed.message)
        if failed.kind == 'timeout':
            raise TransportFailed(SSH_FAILED, to_bytes(failed.message))
        if failed.kind == 'exited' and (failed.status or 0) > 128:
            raise TransportFailed(SSH_FAILED, failed.output)


class PasswordDialogue(SshDialogue):
    """Types the password where ssh asks for it, as sshpass or an askpass program would.

    :param prompt: what the question contains.
    :param once: a second question means that the password is wrong.
    :param checks_host_keys: an unknown host key is the user's to accept.
    """

    def __init__(self, password: bytes, prompt: bytes, once: bool, checks_host_keys: bool) -> None:
        self._password = password
        self._prompt = prompt
        self._once = once
        self._checks_host_keys = checks_host_keys
        self._questions: list[bytes] = []
        self._answered = b''
        self._answers = 0

    def answer(self, output: bytes) -> bytes | None:
        """Return what to type.

        :raises TransportFailed: the password is wrong.
        """
        question = unterminated_line(output)
        if self._prompt in question:
            self._answers += 1
            if self._once and self._answers > 1:
                raise TransportFailed(WRONG_PASSWORD, self._without_questions(self._answered + output))
            if self._answers <= _MAX_ANSWERS:
                return self._type(output, question, self._password)
        if _HOST_KEY_QUESTION.search(question):
            return self._type(output, question, b'no')
        if _PASSPHRASE_QUESTION.search(question):
            # Nobody knows it. Without an answer ssh would not go on to the next method.
            return self._type(output, question, b'')
        return None

    def explain(self, failed: HopFailed) -> None:
        """Raise what the stock plugin would; return if it is not ssh that failed."""
        if self._checks_host_keys and _HOST_KEY_REFUSED.search(failed.output):
            raise AnsibleError(
                'Using a SSH password instead of a key is not possible because Host Key checking is enabled. '
                "Please add this host's fingerprint to your known_hosts file to manage this host.")
        failed.output = self._without_questions(failed.output)
        super().explain(failed)

    def _type(self, output: bytes, question: bytes, line: bytes) -> bytes:
        self._questions.append(question)
        self._answered += output
        return line + b'\n'

    def _without_questions(self, output: bytes) -> bytes:
        # ssh goes to the start of the line before each, and to the next line where the answer, not shown, has ended.
        for question in self._questions:
            output = re.sub(rb'\r?' + re.escape(question) + rb'(?:\r?\n)?', b'', output)
        return output
