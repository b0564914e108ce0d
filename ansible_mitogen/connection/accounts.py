"""Which tasks may remove or change an account of the host."""

import re
from collections.abc import Sequence

from ansible_mitogen.mux.api import ModuleCall

_MODULE = 'ansible.modules.user'

#: They refuse to touch an account that a process runs as. In a command, a script of one line, or arguments of a module.
_PROGRAMS = re.compile(r'\b(?:userdel|usermod|deluser)\b')


def may_be_changed(call: ModuleCall | None, argv: Sequence[str]) -> bool:
    """Whether a module, or else a command, may remove or change an account.

    What only later shows that it does, such as a program that starts one of those, is not known.
    """
    if call is None:
        return any(map(_PROGRAMS.search, argv))
    return call.module_fqn == _MODULE or bool(_PROGRAMS.search(call.params))
