# Ansible loads this file by its path: the project need not be installed.
from __future__ import annotations

import importlib.util
import os
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_FOUND = importlib.util.find_spec('ansible_mitogen')
if _FOUND is None or os.path.dirname(os.path.dirname(os.path.abspath(_FOUND.origin or ''))) != _ROOT:
    sys.path.insert(0, _ROOT)

from ansible.plugins.strategy.free import StrategyModule as StockStrategy  # noqa: E402

from ansible_mitogen.strategy import MitogenStrategy  # noqa: E402

DOCUMENTATION = """
    name: mitogen_free
    short_description: Executes tasks without waiting for all hosts, over persistent connections
    description:
        - Works as the stock strategy V(free) does. Connections are replaced by
          persistent ones, which run modules in a warm Python on the host.
    author: the authors of this project
"""


class StrategyModule(MitogenStrategy, StockStrategy):
    """The stock strategy, with persistent connections."""
