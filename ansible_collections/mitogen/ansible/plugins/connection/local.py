# Written by scripts/collection. The plugin is ansible_mitogen/plugins/connection/mitogen_local.py.
from __future__ import annotations

from ansible_collections.mitogen.ansible.plugins.plugin_utils import root  # noqa: F401  makes the rest importable
from ansible_mitogen.connection.documentation import under_name
from ansible_mitogen.plugins.connection import mitogen_local as plugin

DOCUMENTATION = """
    name: local
    short_description: The stock local connection, with modules in a warm process
    description:
        - Works as the stock V(local) connection does. Modules run in a warm Python.
        - Its options, and the variables and settings which they come from, are those of the stock connection.
    author: the authors of this project
"""

globals().update(DOCUMENTATION=under_name(plugin.DOCUMENTATION, 'local'))


class Connection(plugin.Connection):
    """The plugin under its name in the collection."""
