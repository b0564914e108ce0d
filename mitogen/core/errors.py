"""The errors of the runtime."""


class Error(Exception):
    """Base of every error that the runtime raises."""


class StreamError(Error):
    """A stream could not be made, or broke."""


class TimeoutError(Error):
    """A deadline passed."""


class ChannelError(Error):
    """A mailbox was closed by its other end, or its owner is gone."""


class FrameError(StreamError):
    """The bytes of a stream are no frames; the stream must be closed."""


class PayloadError(Error):
    """A payload is malformed, or holds what may not cross the wire."""


class Cancelled(BaseException):
    """Raised in a function whose caller no longer wants its result. No `except Exception` hides it."""


class CallError(Error):
    """A function called in another context raised.

    :param type_name: dotted name of the remote exception's type.
    :param message: its text.
    :param traceback: the remote traceback, as text.
    """

    def __init__(self, type_name: str, message: str, traceback: str = '') -> None:
        super().__init__(type_name, message, traceback)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        head = '%s: %s' % (self.type_name, self.message)
        return head + '\n' + self.traceback if self.traceback else head
