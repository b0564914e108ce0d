# Written by scripts/collection. The plugin is ansible_mitogen/plugins/connection/mitogen_oc.py.
from __future__ import annotations

from ansible_collections.mitogen.ansible.plugins.plugin_utils import root  # noqa: F401  makes the rest importable
from ansible_mitogen.connection.documentation import under_name
from ansible_mitogen.plugins.connection import mitogen_oc as plugin

DOCUMENTATION = """
    name: oc
    short_description: The connection community.okd.oc, persistent
    description:
        - Reaches a target by the command that the stock V(community.okd.oc) connection starts.
        - Runs modules in a warm Python there.
        - Its options, and the variables and settings which they come from, are those of the stock connection.
    author: the authors of this project
"""

globals().update(DOCUMENTATION=under_name(plugin.DOCUMENTATION, 'oc'))


class Connection(plugin.Connection):
    """The plugin under its name in the collection."""
