"""Nobody waits for a task's temporary folder to be removed."""

from ansible_mitogen.hooks.action_method import ActionMethod


class RemoveFolder(ActionMethod):
    """Has a task's temporary folder removed without waiting for it."""

    name = 'remove-folder'
    method = '_remove_tmp_path'
    replaces = 'ansible.plugins.action.ActionBase._remove_tmp_path'
    parameters = (('self', 'tmp_path', 'force'),)
    loss = 'tasks that copy files wait once more for the host'
