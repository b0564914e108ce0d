"""Permissions of temporary files are set by the message that uses the files."""

from ansible_mitogen.hooks.action_method import ActionMethod


class Permissions(ActionMethod):
    """Has the permissions of temporary files set together with the module that uses them."""

    name = 'permissions'
    method = '_fixup_perms2'
    replaces = 'ansible.plugins.action.ActionBase._fixup_perms2'
    parameters = (('self', 'remote_paths', 'remote_user', 'execute'),)
    loss = 'tasks that copy files wait once more for the host'
