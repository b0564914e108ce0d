"""Recognise the commands that Ansible sends to look after its temporary files.

Each has one shape; what differs from it in anything is not recognised and runs in a shell like any other command.
"""

import re
import shlex
from typing import NamedTuple

from ansible_mitogen.ansiballz import unwrap_shell
from ansible_mitogen.mux.api import Step

#: ansible-core 2.19 and earlier append this, against lost output.
_TAIL = ' && sleep 0'

#: A path that ``echo`` in any shell prints as it is.
_PATH = r'/[\w@%+=:,./-]*'

_HOME = re.compile(r'echo ~((?:[\w.][\w.-]*)?)', re.ASCII)
_MAKE = re.compile(
    r'\( umask 77 && mkdir -p "` echo (?P<parent>%s) `"&& mkdir "` echo (?P<path>%s) `" '
    r'&& echo (?P<name>[\w.-]+)="` echo (?P=path) `" \)' % (_PATH, _PATH), re.ASCII)
_REMOVE = re.compile(r'rm -f -r (%s) > /dev/null 2>&1' % _PATH, re.ASCII)
_SHARE = ('setfacl', '-m')
_GRANT = re.compile(r'u:([^:]+):([rwxX-]+)')
#: ansible-core 2.16 adds no more than the last.
_USABLE = {'u+rwx': 'rwx', 'u+x': 'x'}


class Chore(NamedTuple):
    """A command that was recognised."""

    #: What does the same on the target.
    step: Step
    #: The paths that it is about.
    paths: tuple[str, ...]
    #: What it prints when it succeeds.
    output: bytes = b''


def home_wanted(command: str) -> str | None:
    """Return the account whose home folder a command prints, '' for the own one; None if it does not."""
    match = _HOME.fullmatch(_inner(command))
    return None if match is None else match[1]


def recognise(command: str) -> Chore | None:
    """Return what a command is for; None if it is no chore."""
    inner = _inner(command)
    match = _MAKE.fullmatch(inner)
    if match is not None:
        path = match['path']
        return Chore(('make_folder', match['parent'], path), (path,), ('%s=%s\n' % (match['name'], path)).encode())
    match = _REMOVE.fullmatch(inner)
    if match is not None:
        path = match[1].rstrip('/') or '/'
        return Chore(('remove_folder', path), (path,))
    return _recognise_words(inner)


def _recognise_words(inner: str) -> Chore | None:
    if not inner.startswith(('chmod ', _SHARE[0])):
        return None
    try:
        words = shlex.split(inner)
    except ValueError:
        return None
    if shlex.join(words) != inner:
        return None
    if words[0] == 'chmod':
        added = _USABLE.get(words[1])
        return Chore(('make_usable', words[2:], added), tuple(words[2:])) if added is not None else None
    grant = _GRANT.fullmatch(words[2]) if tuple(words[:2]) == _SHARE and len(words) > 3 else None
    return Chore(('share', grant[1], grant[2], words[3:]), tuple(words[3:])) if grant is not None else None


def _inner(command: str) -> str:
    """Return what the shell runs, without what is appended; '' if there is no plain shell."""
    return (unwrap_shell(command) or '').removesuffix(_TAIL)
