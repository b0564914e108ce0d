# Written by scripts/collection. The plugin is ansible_mitogen/plugins/action/mitogen_get_stack.py.
from __future__ import annotations

from ansible_collections.mitogen.ansible.plugins.plugin_utils import root  # noqa: F401  makes the rest importable
from ansible_mitogen.plugins.action import mitogen_get_stack as plugin

DOCUMENTATION = """
    name: get_stack
    short_description: Tells over which hops the tasks of a host run
    description:
        - Returns the hops that lead to the account in which a task with the same keywords would run, in order, and
          opens none of them. Passwords are not part of it.
        - There are none for a connection that is not persistent.
    author: the authors of this project
"""


class ActionModule(plugin.ActionModule):
    """The plugin under its name in the collection."""
