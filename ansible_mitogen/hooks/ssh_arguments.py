"""The parser by which the ssh plugin looks for a terminal in the user's arguments is made when it is used."""

import argparse
from typing import Any

from ansible.plugins.connection import ssh as stock_ssh

from ansible_mitogen.hooks.base import Hook


class SshArguments(Hook):
    """Gives the ssh plugin parsers that cost nothing until they are used.

    Each task makes a connection object, and each of these makes a parser, which is rarely used.
    """

    name = 'ssh-arguments'
    replaces = 'ansible.plugins.connection.ssh.argparse'
    loss = 'each task takes a quarter of a millisecond longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        return '' if getattr(stock_ssh, 'argparse', argparse) is argparse else '%s is another module' % self.replaces

    def install(self, forks: int) -> None:
        """Put something in the module's place that makes such parsers."""
        # Before ansible-core 2.19 it has no parser.
        if hasattr(stock_ssh, 'argparse'):
            stock_ssh.argparse = LazyArgparse()


class LazyArgparse:
    """The module `argparse`, but for its parsers."""

    def __init__(self) -> None:
        self.ArgumentParser = LazyParser

    def __getattr__(self, name: str) -> Any:
        return getattr(argparse, name)


class LazyParser:
    """A parser that is made when it is used for the first time, for what was added until then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._made: argparse.ArgumentParser | None = None
        self._wanted = args, kwargs
        self._added: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def add_argument(self, *args: Any, **kwargs: Any) -> None:
        """Take an argument."""
        if self._made is None:
            self._added.append((args, kwargs))
        else:
            self._made.add_argument(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            args, kwargs = self._wanted
            self._made = argparse.ArgumentParser(*args, **kwargs)
            for args, kwargs in self._added:
                self._made.add_argument(*args, **kwargs)
        return getattr(self._made, name)
