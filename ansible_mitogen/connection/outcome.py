"""How an attempt to serve a call in a context can end."""

#: What the stock plugins return: exit code, stdout, stderr.
Result = tuple[int, bytes, bytes]


class UseStock(Exception):
    """This call is left to the stock plugin.

    :param reason: one sentence without a full stop; '' if that is nothing to speak of.
    :param alone: the stock plugin shall leave no connection open behind it.
    """

    def __init__(self, reason: str = '', alone: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.alone = alone


class TransportFailed(Exception):
    """The transport's program ended before, or while, the call was served.

    :param status: its exit code, as the stock plugin would have seen it.
    :param output: what it said on stderr.
    """

    def __init__(self, status: int, output: bytes) -> None:
        super().__init__(status, output)
        self.status = status
        self.output = output
