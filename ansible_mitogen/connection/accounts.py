"""Which tasks a process of an account, idle as it is, would be in the way of."""

import re
from collections.abc import Sequence
from pathlib import Path

from ansible_mitogen.mux.api import ModuleCall

_MODULE = 'ansible.modules.user'

#: What refuses to touch an account that a process runs as, and what counts or ends such processes. In a command, a
#: script, or arguments of a module. A module that is run from a file is named there as well.
_CONCERNED = re.compile(
    r'\b(?:userdel|usermod|deluser)\b|\bAnsiballZ_user\.py\b|'
    r'\b(?:pkill|pgrep|killall|ps)\b[^;|&\n\\]{0,200}?[\s"\'](?:-[a-zA-Z]*[uU]|--(?:euid|uid|user|User)\b)')

#: How much of a script is read, in bytes.
_SCRIPT = 128 * 1024


def are_concerned(call: ModuleCall | None, texts: Sequence[str]) -> bool:
    """Whether a module, or else a command, may remove or change an account, or look for its processes.

    What only later shows that it does, such as a program that starts one of those, is not known.

    :param texts: what is said of the command: its words, or the text that a shell runs.
    """
    if call is None:
        return any(map(_CONCERNED.search, texts))
    return call.module_fqn == _MODULE or bool(_CONCERNED.search(call.params))


def script_is_concerned(path: str) -> bool:
    """Whether a file of this machine would be, if it were run. One that cannot be read is not."""
    try:
        with Path(path).open('rb') as script:
            return are_concerned(None, [script.read(_SCRIPT).decode('utf-8', 'replace')])
    except OSError:
        return False
