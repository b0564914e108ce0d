"""A task's temporary folder is made by the message that first uses it."""

import functools
import os
from collections.abc import Callable
from typing import Any

from ansible_mitogen.hooks.action_method import ActionMethod


class MakeFolder(ActionMethod):
    """Has a task's temporary folder made together with the first thing that is put or run in it."""

    name = 'make-folder'
    method = '_make_tmp_path'
    replaces = 'ansible.plugins.action.ActionBase._make_tmp_path'
    parameters = (('self', 'remote_user'),)
    loss = 'tasks that copy files wait once more for the host'

    def call(self, stock: Callable[..., Any], action: Any, *args: Any, **kwargs: Any) -> Any:
        """Make it."""
        connection = action._connection
        made: list[str] = []

        def replay() -> None:
            shell = connection._shell
            # The path is in use already: it must be the same folder.
            shell._generate_temp_dir_name = functools.partial(os.path.basename, made[0].rstrip('/'))
            try:
                stock(action, *args, **kwargs)
            finally:
                del shell._generate_temp_dir_name
        with connection.deferring(replay, hand_over=bool(action._task.async_val)):
            made.append(stock(action, *args, **kwargs))
        return made[0]
