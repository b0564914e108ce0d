"""Switching it all on: by a strategy, or by a callback that is enabled, which needs no strategy plugin."""

from ansible import constants as C
from ansible import context as cli_context

from ansible_mitogen import link
from ansible_mitogen.names import CALLBACK_NAMES
from ansible_mitogen.switched_off import is_switched_off


def switch_on(forks: int, adopt_stock: bool = False) -> None:
    """Start the multiplexer, and install the hooks meanwhile.

    :param forks: how many workers the run has.
    :param adopt_stock: plays under the stock strategies are ours, too: the switch is not a strategy.
    """
    if not is_switched_off('start'):
        link.start(forks)
    # Imported late: this takes as long as the start of the multiplexer.
    from ansible_mitogen import hooks
    hooks.install(forks, adopt_stock)


def switch_on_if_enabled() -> None:
    """Install the hooks, for the stock strategies too, if the callback is enabled.

    To be called when the callback is imported, which it may also be if it is not enabled.
    """
    if not CALLBACK_NAMES.isdisjoint(C.CALLBACKS_ENABLED or ()):
        switch_on(cli_context.CLIARGS.get('forks') or C.DEFAULT_FORKS, adopt_stock=True)
