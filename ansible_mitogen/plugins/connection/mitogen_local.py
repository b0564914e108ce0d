# Ansible loads this file by its path: the project need not be installed.
from __future__ import annotations

import importlib.util
import os
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_FOUND = importlib.util.find_spec('ansible_mitogen')
if _FOUND is None or os.path.dirname(os.path.dirname(os.path.abspath(_FOUND.origin or ''))) != _ROOT:
    sys.path.insert(0, _ROOT)

from ansible.plugins.connection import local as stock  # noqa: E402

from ansible_mitogen.connection.documentation import under_name  # noqa: E402
from ansible_mitogen.connection.local import LocalConnection  # noqa: E402

DOCUMENTATION = """
    name: mitogen_local
    short_description: The stock local connection, with modules in a warm process
    description:
        - Works as the stock V(local) connection does. Modules run in a warm Python.
        - Its options, and the variables and settings which they come from, are those of the stock connection.
    author: the authors of this project
"""

# Options are read from the module as it is after its import, the text above by who only wants to read it.
globals().update(DOCUMENTATION=under_name(stock.DOCUMENTATION, 'mitogen_local'))


class Connection(LocalConnection, stock.Connection):
    """The stock local connection, with modules in a warm process."""
