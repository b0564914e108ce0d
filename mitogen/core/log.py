"""Log records, without the cost of the logging library until there are any."""

from typing import Any


class Logger:
    """Stands for ``logging.getLogger(name)``, which it gets when it is first used.

    :param name: the logger's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        import logging
        return getattr(logging.getLogger(self._name), attribute)
