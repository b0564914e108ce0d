# Ansible loads this file by its path: the project need not be installed.
from __future__ import annotations

import importlib.util
import os
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_FOUND = importlib.util.find_spec('ansible_mitogen')
if _FOUND is None or os.path.dirname(os.path.dirname(os.path.abspath(_FOUND.origin or ''))) != _ROOT:
    sys.path.insert(0, _ROOT)

from ansible_mitogen.connection.named import twin_by_name  # noqa: E402

DOCUMENTATION = """
    name: mitogen_docker
    short_description: The connection community.docker.docker, persistent
    description:
        - Reaches a target by the command that the stock V(community.docker.docker) connection starts.
        - Runs modules in a warm Python there.
        - Its options, and the variables and settings which they come from, are those of the stock connection.
    author: the authors of this project
"""

# Options are read from the module as it is after its import, the text above by who only wants to read it.
_TWIN, _OPTIONS = twin_by_name('community.docker.docker', 'mitogen_docker')
globals().update(DOCUMENTATION=_OPTIONS)


class Connection(_TWIN):  # type: ignore[valid-type,misc]
    """The stock connection, persistent."""
