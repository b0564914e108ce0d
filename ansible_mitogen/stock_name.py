"""The name under which plays know their strategy, once it is one of ours.

Ansible and callbacks go by names: below which header a result is printed, what
becomes of the hosts when a task that runs once has failed. To them our
strategies must be what they are made of.
"""

from collections.abc import Iterable
from typing import Any

_STOCK_MODULES = 'ansible.plugins.strategy.'


def stock_name_of(strategy: type, mixin: type) -> str:
    """Return the name of the stock strategy that a class is derived from, '' if there is none.

    :param mixin: what is in all classes of ours. Ansible loads them as modules beside the stock ones.
    """
    for base in strategy.__mro__:
        if base.__module__.startswith(_STOCK_MODULES) and not issubclass(base, mixin):
            return base.__module__[len(_STOCK_MODULES):]
    return ''


def use_stock_name(strategy: type, mixin: type, play: Any, callbacks: Iterable[Any]) -> None:
    """Have a play, and the callbacks that asked for it before, see the name of the stock strategy.

    :param strategy: the class of the strategy that the play begins under.
    :param mixin: what is in all classes of ours.
    :param play: the play that begins, or None.
    :param callbacks: the callback plugins of the run.
    """
    name = stock_name_of(strategy, mixin)
    if not name or getattr(play, 'strategy', name) == name:
        return
    play.strategy = name
    if name == 'linear':
        for callback in callbacks:
            # Those of ansible.posix that write JSON have looked at the name when the play began.
            if getattr(callback, '_is_lockstep', None) is False:
                callback._is_lockstep = True
