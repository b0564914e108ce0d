# Written by scripts/collection. The plugin is ansible_mitogen/plugins/callback/mitogen_profile.py.
from __future__ import annotations

from ansible_collections.mitogen.ansible.plugins.plugin_utils import root  # noqa: F401  makes the rest importable
from ansible_mitogen.plugins.callback import mitogen_profile as plugin

DOCUMENTATION = """
    name: profile
    type: aggregate
    short_description: Shows what tasks cost
    description:
        - For each task, time in the controller, waiting for connection and network, copying files and running on the
          host, round trips and bytes; at the end a table, and all numbers as JSON on request.
        - Tasks over connections that are not persistent ones have a total time only.
    author: the authors of this project
    options:
        json:
            description: File that the numbers of each task and host are written to, as JSON.
            type: path
            env: [{name: 'MITOGEN_PROFILE_JSON'}]
            ini: [{section: callback_mitogen_profile, key: json}]
        tasks:
            description: How many tasks the table shows, the slowest first.
            type: int
            default: 20
            env: [{name: 'MITOGEN_PROFILE_TASKS'}]
            ini: [{section: callback_mitogen_profile, key: tasks}]
"""


class CallbackModule(plugin.CallbackModule):
    """The plugin under its name in the collection."""
