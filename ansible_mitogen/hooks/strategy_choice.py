"""The loader's answer for a stock strategy becomes ours, when it was the callback that switched us on."""

from collections.abc import Callable
from typing import Any

from ansible.plugins.loader import strategy_loader

from ansible_mitogen.hooks.base import Hook, parameters_of

#: The stock strategies that have a twin, by the module that each is loaded as.
_STOCK = frozenset('ansible.plugins.strategy.' + name for name in ('linear', 'free', 'host_pinned'))


class StrategyChoice(Hook):
    """Gives plays under the stock strategies what ours add, if the callback is the switch.

    The loader does all that it does otherwise, then the object's class is
    changed. To subclass in place would break the stock classes' `super()`.
    """

    name = 'strategy'
    replaces = 'ansible.plugins.loader.strategy_loader.get_with_context'
    loss = 'tasks under the stock strategies are queued as always'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        found = parameters_of(strategy_loader.get_with_context)
        if found != ['name', '*args', '**kwargs']:
            return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        return ''

    def install(self, forks: int) -> None:
        """Wrap the method of the one loader of strategies."""
        strategy_loader.get_with_context = adopting(strategy_loader.get_with_context)


def adopting(stock_get: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loader's method that makes stock strategies which `stock_get` returns ours."""
    # Imported late: a strategy imports the hooks.
    from ansible_mitogen.strategy import adopt

    def get_with_context(name: str, *args: Any, **kwargs: Any) -> Any:
        result = stock_get(name, *args, **kwargs)
        if type(result.object).__module__ in _STOCK:
            adopt(result.object)
        return result

    return get_with_context
