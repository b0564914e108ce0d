# Written by scripts/collection. The plugin is ansible_mitogen/plugins/callback/mitogen.py.
from __future__ import annotations

from ansible_collections.mitogen.ansible.plugins.plugin_utils import root  # noqa: F401  makes the rest importable
from ansible_mitogen.plugins.callback import mitogen as plugin

DOCUMENTATION = """
    name: mitogen
    type: aggregate
    short_description: Switches persistent connections on under the stock strategies
    description:
        - With this name in C(callbacks_enabled), plays under the stock strategies V(linear), V(free) and
          V(host_pinned) have persistent connections, which run modules in a warm Python on the host.
        - It has the effect of the strategies V(mitogen.ansible.linear), V(mitogen.ansible.free) and
          V(mitogen.ansible.host_pinned), without a strategy plugin and the deprecation warning for it.
    author: the authors of this project
    requirements:
        - Its name in C(callbacks_enabled) of ansible.cfg.
"""


class CallbackModule(plugin.CallbackModule):
    """The plugin under its name in the collection."""
