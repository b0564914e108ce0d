# Written by scripts/collection. The plugin is ansible_mitogen/plugins/strategy/mitogen_free.py.
from __future__ import annotations

from ansible_collections.mitogen.ansible.plugins.plugin_utils import root  # noqa: F401  makes the rest importable
from ansible_mitogen.plugins.strategy import mitogen_free as plugin

DOCUMENTATION = """
    name: free
    short_description: Executes tasks without waiting for all hosts, over persistent connections
    description:
        - Works as the stock strategy V(free) does. Connections are replaced by
          persistent ones, which run modules in a warm Python on the host.
    author: the authors of this project
"""


class StrategyModule(plugin.StrategyModule):
    """The plugin under its name in the collection."""
