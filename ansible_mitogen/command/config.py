"""`ansible-mitogen config`: the lines for ansible.cfg."""

import sys
from pathlib import Path

from ansible_mitogen.command.ansible import PLUGINS

_COLLECTION = Path('ansible_collections', 'mitogen', 'ansible', 'galaxy.yml')


def found_by_full_name() -> bool:
    """Whether Ansible finds the collection that belongs to this package: it looks in all folders of Python's path."""
    root = PLUGINS.parents[1]
    return (root / _COLLECTION).exists() and any(
        Path(entry).is_dir() and root.samefile(entry) for entry in sys.path if entry)


def lines(by_strategy: bool = False) -> list[str]:
    """Return the lines that switch this installation on.

    :param by_strategy: by a strategy of its own, not by the callback.
    """
    full = found_by_full_name()
    if by_strategy:
        path = [] if full else [f'strategy_plugins = {PLUGINS / "strategy"}']
        return ['[defaults]', *path, 'strategy = ' + ('mitogen.ansible.linear' if full else 'mitogen_linear')]
    path = [] if full else [f'callback_plugins = {PLUGINS / "callback"}']
    return ['[defaults]', *path, 'callbacks_enabled = ' + ('mitogen.ansible.mitogen' if full else 'mitogen')]
