"""The ways of running a play that the tests compare."""

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / 'ansible_mitogen' / 'plugins'

Settings = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Engine:
    """A strategy, and what ansible.cfg must say for it.

    :param ours: whether modules run through the project's connections.
    """

    name: str
    strategy: str
    ours: bool
    settings: Settings = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def ours(strategy: str) -> Engine:
    """One of the project's strategies, set up with the two lines that a user needs."""
    return Engine(strategy, strategy, True, {'defaults': {'strategy_plugins': str(PLUGINS / 'strategy')}})


#: Stock Ansible at its fastest.
STOCK = Engine('stock', 'linear', False, {'connection': {'pipelining': 'True'}})
MITOGEN = ours('mitogen_linear')
#: The project's connection plugins without its strategies: hosts say `ansible_connection: mitogen_ssh`.
CONNECTION_ONLY = Engine(
    'connection-only', 'linear', True, {'defaults': {'connection_plugins': str(PLUGINS / 'connection')}}
)
