"""What is mended of ansible-core on the target, in the processes that run modules."""

from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.hooks.base import Hook


class ModuleMend(Hook):
    """Has the connections ask for a mend, see :mod:`ansible_mitogen.target.mends`.

    Whether it fits is checked on the target, where it is left out if it does not.
    """

    def unfit_reason(self) -> str:
        """Return ''."""
        return ''

    def install(self, forks: int) -> None:
        """Let the connections ask for it."""
        PersistentConnection.mends += (self.name,)


class CommandWaits(ModuleMend):
    """Has `run_command` of modules not wait for a program that has closed its output and ended.

    By chance, which is the better the faster the module was to start, it would wait one second.
    """

    name = 'waits'
    replaces = 'ansible.module_utils.basic.selectors'
    loss = 'a module that runs a program takes a second longer now and then'


class CommandSpawn(ModuleMend):
    """Has `run_command` of modules start programs without a copy of the module's process."""

    name = 'spawn'
    replaces = 'ansible.module_utils.basic.subprocess'
    loss = 'a module that runs a program takes some ms longer'
