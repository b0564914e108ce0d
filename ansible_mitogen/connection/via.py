"""The way to a host that leads through other hosts: ``mitogen_via``."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader

from ansible_mitogen.connection.steps import Step

#: The host variable: name in the inventory of the host to go through.
VARIABLE = 'mitogen_via'

#: What connection plugins still read from there, and not from their options.
_PLAY_CONTEXT = ('remote_addr', 'remote_user', 'port', 'password', 'timeout', 'private_key_file', 'executable')


class ViaChoice:
    """What the variables of a host say about the way to it.

    :param seen: hosts that the way leads through already.
    """

    def __init__(self, variables: Mapping[str, Any], templar: Any, seen: tuple[str, ...] = ()) -> None:
        self._variables = variables
        self._templar = templar
        self._seen = seen

    def name(self) -> str:
        """Return the host that this one is reached through, '' for none."""
        value = self._variables.get(VARIABLE)
        if isinstance(value, str) and '{{' in value:
            value = self._templar.template(value)
        return str(value).strip() if value else ''

    def steps(self) -> list[Step]:
        """Return the hops to the host that this one is reached through, its become account included.

        :raises AnsibleError: there is no such host, or it cannot be gone through.
        """
        name = self.name()
        if not name:
            return []
        here = str(self._variables.get('inventory_hostname') or '')
        if name in (*self._seen, here):
            raise AnsibleError('%s: %s leads in a circle: %s' % (
                here, VARIABLE, ' through '.join([*self._seen, here, name])))
        hosts = self._variables.get('hostvars') or {}
        if name not in hosts:
            raise AnsibleError('%s: %s names the host %s, which is not in the inventory' % (here, VARIABLE, name))
        connection = self._connect(name, hosts[name])
        choice = ViaChoice(_WithHosts(hosts[name], hosts), self._templar, (*self._seen, here))
        return [*choice.steps(), *(replace(step, through=name) for step in connection.steps_to_go_through())]

    def _connect(self, name: str, variables: Mapping[str, Any]) -> Any:
        """Return the connection of a host, with its options set as Ansible would set them."""
        kind = str(variables.get('ansible_connection') or C.DEFAULT_TRANSPORT)
        context = PlayContext()
        for attribute in _PLAY_CONTEXT:
            for variable in C.MAGIC_VARIABLE_MAPPING.get(attribute, ()):
                if variables.get(variable) is not None:
                    setattr(context, attribute, variables[variable])
        context.remote_addr = context.remote_addr or name
        # It says that the connection is wanted for tasks, as when a task asks for it.
        connection = connection_loader.get(kind, context, new_stdin=None, ansible_playbook_pid='')
        if connection is None:
            raise AnsibleError("the connection plugin '%s' was not found" % kind)
        _make_persistent(connection, name, kind)
        if boolean(variables.get('ansible_become') or False):
            connection.set_become_plugin(self._become_plugin(variables))
        connection.take_variables(_WithHosts(variables, {}), _Templated())
        connection.set_options(var_options=_of_plugin('connection', connection, variables))
        return connection

    def _become_plugin(self, variables: Mapping[str, Any]) -> Any:
        method = str(variables.get('ansible_become_method') or C.DEFAULT_BECOME_METHOD)
        plugin = become_loader.get(method)
        if plugin is None:
            raise AnsibleError("Invalid become method specified, could not find matching plugin: '%s'." % method)
        plugin.set_options(var_options=_of_plugin('become', plugin, variables))
        return plugin


def _of_plugin(kind: str, plugin: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that are about a plugin's options."""
    wanted = C.config.get_plugin_vars(kind, plugin._load_name)
    return {name: variables[name] for name in wanted if name in variables}


def _make_persistent(connection: Any, name: str, kind: str) -> None:
    from ansible_mitogen.connection.persistent import PersistentConnection
    from ansible_mitogen.connection.twins import twin_of
    if not isinstance(connection, PersistentConnection):
        twin = twin_of(type(connection))
        if twin is None:
            raise AnsibleError('%s cannot be gone through: its connection is %s' % (name, kind))
        connection.__class__ = twin


class _WithHosts(Mapping[str, Any]):
    """Variables of a host, which know those of the others."""

    def __init__(self, variables: Mapping[str, Any], hosts: Mapping[str, Any]) -> None:
        self._variables = variables
        self._hosts = hosts

    def __getitem__(self, name: str) -> Any:
        return self._hosts if name == 'hostvars' else self._variables[name]

    def __iter__(self) -> Any:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a variable, or `default`."""
        return self[name] if name == 'hostvars' or name in self._variables else default


class _Templated:
    """Stands in for a templar where all variables have been templated."""

    @staticmethod
    def template(variable: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the variable as it is."""
        return variable
