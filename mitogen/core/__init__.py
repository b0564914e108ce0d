"""All that a child is. It travels in every bootstrap, so all of it is small."""

from mitogen.core.broker import Broker, Waker
from mitogen.core.errors import (
    CallError,
    Cancelled,
    ChannelError,
    Error,
    FrameError,
    PayloadError,
    StreamError,
    TimeoutError,
)
from mitogen.core.external import ExternalContext
from mitogen.core.importer import Importer
from mitogen.core.messages import Channel, Message, Receiver, Sender
from mitogen.core.router import Context, Router
from mitogen.core.sides import BasicStream, Side, io_op
from mitogen.core.streams import IoLogger, Stream

__all__ = [
    'BasicStream', 'Broker', 'CallError', 'Cancelled', 'Channel', 'ChannelError', 'Context', 'Error', 'ExternalContext',
    'FrameError', 'Importer', 'IoLogger', 'Message', 'PayloadError', 'Receiver', 'Router', 'Sender', 'Side',
    'Stream', 'StreamError', 'TimeoutError', 'Waker', 'io_op',
]
