"""The persistent twin of the stock lxc connection, which starts no program but calls a library."""

from ansible.module_utils.common.process import get_bin_path

from ansible_mitogen.connection.capture import Command
from ansible_mitogen.connection.outcome import UseStock
from ansible_mitogen.connection.program import ProgramConnection


class LxcConnection(ProgramConnection):
    """Reaches a container by ``lxc-attach``, which does what the library's call does."""

    def _catch(self, cmd: str, mark: str) -> Command:
        try:
            program = get_bin_path('lxc-attach')
        except ValueError as exc:
            raise UseStock(str(exc)) from exc
        # As the stock plugin: without the environment of the controller, and by the configured shell.
        return Command((program, '--clear-env', '--name', str(self.get_option('remote_addr')), '--',
                        str(self.get_option('executable')), '-c', cmd))
