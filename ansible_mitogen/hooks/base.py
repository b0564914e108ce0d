"""What a hook is."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any

_STARS: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}


class Hook(ABC):
    """One place at which this project steps into Ansible.

    A hook that does not fit the ansible-core which runs is left out, and stock behaviour stays in its place.
    """

    #: For messages, and for switching it off.
    name: str
    #: Dotted name of what it replaces; '' if it only adds something.
    replaces: str = ''
    #: What is lost without it, for the warning.
    loss: str

    @abstractmethod
    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""

    def missing_parts(self) -> list[str]:
        """Return what of it does not fit here while the rest does: a clause for each part."""
        return []

    @abstractmethod
    def install(self, forks: int) -> None:
        """Put it in place. Called once, in the main process.

        :param forks: how many workers the run has.
        """


def reason_in_names(name: str, func: Any, known: Collection[str]) -> str:
    """Return why a function may do something that a hook does not know, '' if it uses nothing but names that it knows.

    :param name: that of the function, for the reason.
    """
    unknown = set(func.__code__.co_names).difference(known)
    return '%s uses %s' % (name, ', '.join(sorted(unknown))) if unknown else ''


def parameters_of(func: Callable[..., object]) -> list[str]:
    """Return the names of the parameters of a function, with their stars: to check that it is what a hook knows."""
    return [_STARS.get(parameter.kind, '') + name for name, parameter in inspect.signature(func).parameters.items()]
