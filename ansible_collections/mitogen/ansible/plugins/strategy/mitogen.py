# Written by scripts/collection. The plugin is ansible_mitogen/plugins/strategy/mitogen.py.
from __future__ import annotations

from ansible_collections.mitogen.ansible.plugins.plugin_utils import root  # noqa: F401  makes the rest importable
from ansible_mitogen.plugins.strategy import mitogen as plugin

DOCUMENTATION = """
    name: mitogen
    short_description: Executes tasks in lockstep, over persistent connections
    description:
        - Works as the stock strategy V(linear) does. Connections are replaced by
          persistent ones, which run modules in a warm Python on the host.
    author: the authors of this project
"""


class StrategyModule(plugin.StrategyModule):
    """The plugin under its name in the collection."""
