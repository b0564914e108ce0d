"""The multiplexer starts while the first play is still being prepared."""

from ansible_mitogen import link
from ansible_mitogen.connection.pythons import default_interpreter, fallback_interpreters
from ansible_mitogen.hooks.base import Hook


class EarlyStart(Hook):
    """Starts the multiplexer in the main process, and reads there what every worker would otherwise read again."""

    name = 'start'
    loss = 'the first task waits for the multiplexer to start'

    def unfit_reason(self) -> str:
        """It replaces nothing and always fits."""
        return ''

    def install(self, forks: int) -> None:
        """Start it, without waiting."""
        # Whoever installs the hooks has started it before it imported them: then this changes nothing.
        link.start(forks)
        fallback_interpreters()
        default_interpreter()
