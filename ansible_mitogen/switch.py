"""The switch that needs no strategy plugin: a callback that is enabled."""

from ansible import constants as C
from ansible import context as cli_context

from ansible_mitogen import hooks
from ansible_mitogen.names import CALLBACK_NAMES


def switch_on_if_enabled() -> None:
    """Install the hooks, for the stock strategies too, if the callback is enabled.

    To be called when the callback is imported, which it may also be if it is not enabled.
    """
    if not CALLBACK_NAMES.isdisjoint(C.CALLBACKS_ENABLED or ()):
        hooks.install(cli_context.CLIARGS.get('forks') or C.DEFAULT_FORKS, adopt_stock=True)
