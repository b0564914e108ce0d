"""A module does not wait a second for a program that has ended."""

from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.hooks.base import Hook


class CommandWaits(Hook):
    """Has `run_command` of modules on the target not wait for a program whose output is closed.

    By chance, which is more often the faster the module starts, it would wait one second.
    It is done on the target in the module's process, and left out there if it does not fit.
    """

    name = 'waits'
    replaces = 'ansible.module_utils.basic.selectors'
    loss = 'a module that runs a program takes a second longer now and then'

    def unfit_reason(self) -> str:
        """Return ''."""
        return ''

    def install(self, forks: int) -> None:
        """Let the connections ask for it."""
        PersistentConnection.mends += (self.name,)
