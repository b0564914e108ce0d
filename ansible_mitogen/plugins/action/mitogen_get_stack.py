# Ansible loads this file by its path: the project need not be installed.
from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = """
    name: mitogen_get_stack
    short_description: Tells over which hops the tasks of a host run
    description:
        - Returns the hops that lead to the account in which a task with the same keywords would run, in order, and
          opens none of them. Passwords are not part of it.
        - There are none for a connection that is not persistent.
    author: the authors of this project
"""


class ActionModule(ActionBase):
    """Returns the hop list of a task's connection as ``result``."""

    _VALID_ARGS: frozenset[str] = frozenset()
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return it."""
        super().run(tmp, task_vars)
        describe_way = getattr(self._connection, 'describe_way', None)
        hops = describe_way() if describe_way is not None else []
        return {'changed': False, 'result': hops, 'msg': ' -> '.join(hop['name'] for hop in hops) or (
            'the %s connection is not persistent here' % self._connection.transport)}
