"""What may go where: the rules of addressing, without a process or a descriptor."""

import logging
import threading
from typing import Any, List

import pytest

from mitogen.core import frames, handles, payload
from mitogen.core.errors import CallError, ChannelError, TimeoutError
from mitogen.core.frames import Frame
from mitogen.core.messages import Message, Receiver, Sender
from mitogen.core.router import ANYONE, Router
from mitogen.parent.routes import Routes


class InlineBroker:
    """Runs what is deferred when told to."""

    def __init__(self) -> None:
        self.deferred: List[Any] = []
        self.at_end: List[Any] = []
        self.ended = False

    def is_current(self) -> bool:
        return False

    def defer(self, func: Any, *args: Any) -> None:
        self.deferred.append((func, args))

    def run(self) -> None:
        while self.deferred:
            func, args = self.deferred.pop(0)
            func(*args)


class Neighbour:
    """Stands for a stream, and keeps what it is given to send."""

    def __init__(self, remote_id: int) -> None:
        self.remote_id = remote_id
        self.sent: List[Frame] = []

    def send(self, frame: Frame) -> None:
        self.sent.append(frame)


def data(dst: int, src: int, handle: int, value: Any = None, reply_to: int = 0, auth: int = 0) -> Frame:
    return Frame(dst, src, auth, handle, reply_to, frames.DATA, payload.encode(value))


@pytest.fixture
def broker() -> InlineBroker:
    return InlineBroker()


@pytest.fixture
def root(broker: Any) -> Router:
    router = Router(broker, 0)
    Routes(router)
    return router


@pytest.fixture
def middle(broker: Any) -> Router:
    router = Router(broker, 1)
    router.upstream = Neighbour(0)
    Routes(router)
    return router


def test_a_message_from_a_child_reaches_a_mailbox_for_anyone(root: Router, broker: InlineBroker) -> None:
    child = Neighbour(1)
    root.register(1, child)
    got: List[Message] = []
    handle = root.add_handler(got.append)
    root.receive(data(0, 1, handle, {'a': (1, b'x')}), child)
    assert got[0].decode() == {'a': (1, b'x')}
    assert not got[0].from_above


def test_a_child_cannot_claim_another_source(root: Router, caplog: Any) -> None:
    child, other = Neighbour(1), Neighbour(2)
    root.register(1, child)
    root.register(2, other)
    got: List[Message] = []
    handle = root.add_handler(got.append)
    for _ in range(3):
        root.receive(data(0, 2, handle), child)
    assert not got
    assert len([record for record in caplog.records if 'in the name of another' in record.message]) == 1


def test_a_child_acts_on_its_own_authority_whatever_it_says(root: Router) -> None:
    child = Neighbour(1)
    root.register(1, child)
    got: List[Message] = []
    handle = root.add_handler(got.append)
    root.receive(data(0, 1, handle, auth=0), child)
    assert got[0].auth_id == 1


def test_a_child_cannot_write_to_its_sibling(root: Router, caplog: Any) -> None:
    child, sibling = Neighbour(1), Neighbour(2)
    root.register(1, child)
    root.register(2, sibling)
    root.receive(data(2, 1, handles.CALL_FUNCTION), child)
    assert not sibling.sent
    assert 'not above it' in caplog.text


@pytest.mark.parametrize('handle', [handles.CALL_FUNCTION, handles.LOAD_MODULE, handles.SHUTDOWN, handles.PUSH_CODE,
                                    handles.FORWARD_MODULES])
def test_only_parents_may_command(middle: Router, caplog: Any, handle: int) -> None:
    child = Neighbour(2)
    middle.register(2, child)
    got: List[Message] = []
    middle.add_handler(got.append, handle)
    middle.receive(data(1, 2, handle), child)
    assert not got
    assert 'not for it' in caplog.text
    middle.receive(data(1, 0, handle), middle.upstream)
    assert len(got) == 1


def test_only_the_context_that_was_asked_may_answer(root: Router, caplog: Any) -> None:
    for number in (1, 2):
        root.register(number, Neighbour(number))
    receiver = Receiver(root, source=1)
    root.receive(data(0, 2, receiver.handle, 'forged'), root.stream_to(2))
    assert receiver.empty()
    root.receive(data(0, 1, receiver.handle, 'true'), root.stream_to(1))
    assert receiver.get(0) == 'true'


def test_a_mailbox_for_one_answer_takes_no_other(root: Router) -> None:
    child = Neighbour(1)
    root.register(1, child)
    got: List[Message] = []
    handle = root.add_handler(got.append, persist=False, source=1)
    for value in ('the answer', 'another'):
        root.receive(data(0, 1, handle, value), child)
    assert [message.decode() for message in got] == ['the answer']


def test_who_waits_for_a_context_that_dies_is_told(root: Router, broker: InlineBroker) -> None:
    child = Neighbour(1)
    root.register(1, child)
    root.register(5, child)
    waiting = [Receiver(root, source=number) for number in (1, 5)]
    lost: List[Any] = []
    root.on_context_lost(5, lambda number, reason: lost.append((number, reason)))
    root.disconnected(child, 'it fell over')
    for receiver in waiting:
        with pytest.raises(ChannelError, match='it fell over'):
            receiver.get(0)
    assert lost == [(5, 'it fell over')]


def test_waiting_for_a_context_that_is_gone_already_does_not_hang(root: Router, broker: InlineBroker) -> None:
    receiver = Receiver(root, source=7)
    broker.run()
    with pytest.raises(ChannelError, match='gone'):
        receiver.get(0)


def test_a_message_to_nobody_is_answered_with_its_death(root: Router, broker: InlineBroker) -> None:
    answer = Receiver(root)
    root.send(9, 50, 'hello', answer.handle)
    broker.run()
    with pytest.raises(ChannelError, match='context 9 is gone'):
        answer.get(0)


def test_what_is_not_known_below_goes_up(middle: Router) -> None:
    child = Neighbour(2)
    middle.register(2, child)
    middle.upstream.sent.clear()
    middle.receive(data(0, 2, 77), child)
    assert [frame.handle for frame in middle.upstream.sent] == [77]


def test_what_comes_from_above_for_nobody_is_not_sent_back_up(middle: Router, broker: InlineBroker) -> None:
    middle.receive(data(9, 0, 77, reply_to=33), middle.upstream)
    assert [(frame.kind, frame.handle) for frame in middle.upstream.sent] == [(frames.DEAD, 33)]


def test_the_root_takes_only_routes_that_it_reserved(root: Router, caplog: Any) -> None:
    child, other = Neighbour(1), Neighbour(2)
    root.register(1, child)
    root.register(2, other)
    root.routes.reserve(10, 1)
    root.receive(data(0, 2, handles.ADD_ROUTE, 10), other)
    assert root.stream_to(10) is None
    root.receive(data(0, 1, handles.ADD_ROUTE, 10), child)
    assert root.stream_to(10) is child
    root.receive(data(0, 1, handles.ADD_ROUTE, 2), child)
    assert root.stream_to(2) is other


@pytest.mark.parametrize('number', [0, 1, 3])
def test_a_child_cannot_stand_in_for_those_above_it(broker: Any, caplog: Any, number: int) -> None:
    router = Router(broker, 3)
    router.upstream = Neighbour(1)
    Routes(router)
    child = Neighbour(4)
    router.register(4, child)
    router.receive(data(3, 4, handles.ADD_ROUTE, number), child)
    assert router.stream_to(number) is not child
    assert 'not its own' in caplog.text


def test_a_child_cannot_take_down_the_route_to_its_sibling(root: Router) -> None:
    for number in (1, 2):
        root.register(number, Neighbour(number))
    root.receive(data(0, 1, handles.DEL_ROUTE, [2, 'ha']), root.stream_to(1))
    assert root.stream_to(2) is not None


def test_routes_are_announced_upwards(middle: Router, broker: InlineBroker) -> None:
    child = Neighbour(2)
    middle.register(2, child)
    middle.disconnected(child, 'bye')
    broker.run()
    assert [frame.handle for frame in middle.upstream.sent] == [handles.ADD_ROUTE, handles.DEL_ROUTE]


def test_a_malformed_message_from_below_is_dropped_and_logged_once(root: Router, caplog: Any) -> None:
    child = Neighbour(1)
    root.register(1, child)
    root.add_handler(lambda message: message.decode(), 500, source=ANYONE)
    for _ in range(5):
        root.receive(Frame(0, 1, 0, 500, 0, frames.DATA, b'\xff\xff\xff\xff'), child)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


def test_references_become_objects(root: Router, broker: InlineBroker) -> None:
    got: List[Message] = []
    handle = root.add_handler(got.append)
    context = root.context_for(4, 'four')
    root.send(0, handle, [context, Sender(root, 4, 9)])
    broker.run()
    restored, sender = got[0].decode()
    assert restored is context
    assert (sender.context_id, sender.handle) == (4, 9)


def test_errors_cross_as_text(root: Router, broker: InlineBroker) -> None:
    receiver = Receiver(root)
    try:
        raise KeyError('gone')
    except KeyError as exc:
        root.send(0, receiver.handle, exc)
    broker.run()
    with pytest.raises(CallError, match='KeyError') as caught:
        receiver.get(0)
    assert 'Traceback' in caught.value.traceback


def test_a_receiver_times_out_and_is_woken_by_close(root: Router) -> None:
    receiver = Receiver(root)
    with pytest.raises(TimeoutError):
        receiver.get(0.01)
    threading.Timer(0.05, receiver.close).start()
    with pytest.raises(ChannelError):
        receiver.get(5)
