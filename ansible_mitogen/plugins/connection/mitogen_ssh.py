# Ansible loads this file by its path: the project need not be installed.
from __future__ import annotations

import importlib.util
import os
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_FOUND = importlib.util.find_spec('ansible_mitogen')
if _FOUND is None or os.path.dirname(os.path.dirname(os.path.abspath(_FOUND.origin or ''))) != _ROOT:
    sys.path.insert(0, _ROOT)

from ansible.plugins.connection import ssh as stock  # noqa: E402

from ansible_mitogen.connection.documentation import under_name  # noqa: E402
from ansible_mitogen.connection.ssh import SshConnection  # noqa: E402

DOCUMENTATION = """
    name: mitogen_ssh
    short_description: The stock ssh connection, persistent
    description:
        - Reaches a host by the command that the stock V(ssh) connection builds.
        - Runs modules in a warm Python there.
        - Its options, and the variables and settings which they come from, are those of the stock connection.
    author: the authors of this project
"""

# Options are read from the module as it is after its import, the text above by who only wants to read it.
globals().update(DOCUMENTATION=under_name(stock.DOCUMENTATION, 'mitogen_ssh'))


class Connection(SshConnection, stock.Connection):
    """The stock ssh connection, persistent."""
