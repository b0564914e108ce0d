"""Privilege escalation: one context for each account, opened by the become plugin's own command and prompt logic.

`ActionBase` has the become plugin wrap every single command. What it wrapped
is remembered here, so that the connection can run the original in a context
of that account; this context is opened by a command that the same plugin
wraps, once.
"""

import functools
import re
import shlex
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.become import su

from ansible_mitogen.connection.outcome import UseStock
from ansible_mitogen.connection.steps import digest
from ansible_mitogen.mux.api import HopFailed

#: The shell that `ActionBase` puts around a command: one program, perhaps with options.
_SHELL = re.compile(r'[\w@%+=:,./-]+(?: -[\w-]+)*', re.ASCII)

#: ssh's own debug messages are no prompts.
_SSH_DEBUG = re.compile(rb'debug\d+: ')

#: sudo's complaint under `requiretty`.
_WANTS_TTY = re.compile(rb'must have a tty|no tty present|a terminal is required', re.IGNORECASE)


@functools.cache
def _prompt_of_any_language() -> 're.Pattern[str]':
    """Return what matches an unfinished line that asks for a password, in the languages that the su plugin knows."""
    words = getattr(su.BecomeModule, 'SU_PROMPT_LOCALIZATIONS', None) or ['Password']
    # Some languages have a wide colon.
    return re.compile('(?:%s)[^:\uff1a\\n]{0,80}[:\uff1a] ?\\Z' % '|'.join(map(re.escape, words)), re.IGNORECASE)


class BecomeWatch:
    """Remembers what a become plugin wrapped, and has it wrap commands of ours."""

    def __init__(self, plugin: Any) -> None:
        self.plugin = plugin
        self._build = plugin.build_become_command
        self._original: str | None = None
        self._wrapped = ''
        plugin.build_become_command = self.build

    @classmethod
    def of(cls, plugin: Any) -> 'BecomeWatch':
        """Return the watch of a plugin; there is one at most."""
        watch = getattr(plugin.build_become_command, '__self__', None)
        return watch if isinstance(watch, cls) else cls(plugin)

    def build(self, cmd: str, shell: Any) -> str:
        """Wrap a command as the plugin does, and remember it."""
        self._wrapped, self._original = self._build(cmd, shell), cmd
        return self._wrapped

    def original_of(self, cmd: str) -> str | None:
        """Return what a command runs in the account, None if it does not change the account.

        :raises UseStock: it does, but in a way that is not known here.
        """
        if self._original is None or self._wrapped == self._original:
            return None
        if cmd == self._wrapped:
            return self._original
        # ansible-core 2.18 and earlier append this, against lost output.
        for wrapped in (self._wrapped, self._wrapped + ' && sleep 0'):
            quoted = ' -c ' + shlex.quote(wrapped)
            if cmd.endswith(quoted) and _SHELL.fullmatch(cmd[:-len(quoted)]):
                return self._original
        if self._wrapped in cmd or shlex.quote(self._wrapped)[1:-1] in cmd:
            raise UseStock('the command around %s is not known' % self.plugin.name)
        return None

    def account_command(self, bootstrap: str, shell: Any) -> tuple[str, str]:
        """Return the command that opens the account's context, and what identifies the account.

        The plugin is as if it had just been asked for this command: its prompt and markers are those of it.
        """
        command = self._build(bootstrap, shell)
        plugin_id = getattr(self.plugin, '_id', '')
        # Quoting leaves the bootstrap command as it is, however deep: it holds no single quote.
        identity = command.replace(bootstrap, '')
        # All options: one with another prompt, say, has to show whether it would get through.
        options = repr(sorted((getattr(self.plugin, '_options', None) or {}).items(), key=lambda item: item[0]))
        return command, '%s %s' % (identity.replace(plugin_id, '') if plugin_id else identity, digest(options))

    def saved(self) -> 'SavedState':
        """Return a context manager that puts the plugin's state back at its end: stock code may use it afterwards."""
        return SavedState(self.plugin, self)

    def user(self) -> str:
        """Return whom it changes to, for messages."""
        try:
            return self.plugin.get_option('become_user') or ''
        except KeyError:
            return ''

    def has_password(self) -> bool:
        """Whether a password will be typed when asked for."""
        return bool(self.plugin.expect_prompt())

    def is_prompt(self, line: bytes) -> bool:
        """Whether a line asks for the password.

        The plugin knows its own prompt at the start of a line only. sudo-rs puts it into one of its own, and a sudo
        whose PAM modules speak another language leaves it out.
        """
        if self.plugin.check_password_prompt(line):
            return True
        prompt = self.plugin.prompt
        if not isinstance(prompt, str) or not prompt.strip():
            return False
        if to_bytes(prompt).strip() in line:
            return True
        return self._is_sudo() and bool(_prompt_of_any_language().search(to_text(line)))

    def password_line(self) -> bytes:
        """Return what is typed at the prompt."""
        return to_bytes(self.password(), errors='surrogate_or_strict') + b'\n'

    def wants_tty(self) -> bool:
        """Whether the program is likely to need a terminal.

        sudo asks on stderr and reads stdin, with ``-S``, and a terminal would make it copy all data through
        one of its own. Of others little is known; by default Ansible gives them a terminal too.
        """
        return bool(self.plugin.require_tty or not self._is_sudo())

    def may_keep_input(self) -> bool:
        """Whether the account may get nothing of what comes from here, by what the plugin says of its program."""
        # Not by `pipelining`: su and doas have none because of how they ask for passwords.
        return bool(self.plugin.require_tty)

    def _is_sudo(self) -> bool:
        return getattr(self.plugin, 'name', '') == 'sudo'

    def password(self) -> str:
        """Return the password, '' if there is none."""
        try:
            return self.plugin.get_option('become_pass') or ''
        except KeyError:
            return ''


class SavedState:
    """Puts attributes of objects back."""

    def __init__(self, *objects: object) -> None:
        self._saved = [(vars(one), dict(vars(one))) for one in objects]

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc_info: object) -> None:
        for attributes, saved in self._saved:
            attributes.clear()
            attributes.update(saved)


class BecomeDialogue:
    """Answers a become program, and understands its refusals, as the stock ssh plugin does."""

    def __init__(self, watch: BecomeWatch) -> None:
        self.watch = watch
        self.typed = False

    def answer(self, output: bytes) -> bytes | None:
        """Return what to type next.

        :raises AnsibleError: the password is wrong, or there is none.
        """
        for line in output.splitlines(True):
            if _SSH_DEBUG.match(line):
                continue
            if self.watch.has_password() and self.watch.is_prompt(line):
                if self.typed:
                    raise self.refused(output)
                self.typed = True
                return self.watch.password_line()
            self._check(line)
        return None

    def _check(self, line: bytes) -> None:
        plugin = self.watch.plugin
        if plugin.check_incorrect_password(line):
            raise self.refused(line)
        if plugin.check_missing_password(line):
            raise AnsibleError('Missing %s password' % plugin.name)

    def refused(self, output: bytes) -> Exception:
        """Return the error for a wrong password."""
        return AnsibleError('Incorrect %s password' % self.watch.plugin.name)

    def explain(self, failed: HopFailed) -> None:
        """Raise the error that the end of the program stands for, if it is about the password."""
        for line in failed.output.splitlines(True):
            self._check(line)

    @staticmethod
    def asks_for_tty(failed: HopFailed) -> bool:
        """Whether it ended because it wants a terminal."""
        return failed.kind == 'exited' and bool(_WANTS_TTY.search(failed.output))
