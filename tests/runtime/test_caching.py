"""What contexts want of their parent comes once, however many of them want it."""

from types import SimpleNamespace
from typing import Any

import pytest

from mitogen.core import handles
from mitogen.core.codestore import CodeStore
from mitogen.core.errors import ChannelError
from mitogen.core.importer import Importer, ModuleCode
from mitogen.parent.forwarder import MAX_WAITING, Forwarder, pack_modules


class Stream:
    """Leads to a neighbour."""

    def __init__(self, remote_id: int) -> None:
        self.remote_id = remote_id
        self.lost: Any = None


UP = Stream(0)
CODE = ModuleCode('/x.py', False, b'x = 1')


class Router:
    """Knows two children, and a grandchild behind the first."""

    context_id = 1
    upstream = UP

    def __init__(self) -> None:
        self.handlers: dict[int, Any] = {}
        self.sent: list[tuple[int, int, Any]] = []
        self.complaints: list[int] = []
        self.streams = {number: Stream(number) for number in (2, 3)}
        self.streams[4] = self.streams[2]

    def add_handler(self, func: Any, handle: int = 0, **options: Any) -> int:
        handle = handle or 2000 + len(self.handlers)
        self.handlers[handle] = func
        return handle

    def del_handler(self, handle: int) -> None:
        self.handlers.pop(handle)

    def stream_to(self, context_id: int) -> Any:
        return self.streams.get(context_id, UP)

    def on_context_lost(self, context_id: int, func: Any) -> None:
        self.streams[context_id].lost = func

    def complain(self, context_id: int, offence: str) -> None:
        self.complaints.append(context_id)

    def send(self, dst: int, handle: int, value: Any, reply_to: int = 0) -> None:
        self.sent.append((dst, handle, value))
        self.last_reply_to = reply_to

    def ask(self, handle: int, value: Any, src: int = 2) -> list[Any]:
        """Deliver a question, and return where the answers to it arrive."""
        answers: list[Any] = []
        self.handlers[handle](SimpleNamespace(decode=lambda: value, src_id=src, reply=answers.append))
        return answers

    def answer(self, handle: int, value: Any) -> None:
        """Deliver the parent's answer; an exception stands for its end."""
        def decode() -> Any:
            if isinstance(value, Exception):
                raise value
            return value
        self.handlers[handle](SimpleNamespace(decode=decode, is_dead=isinstance(value, Exception)))


@pytest.fixture
def router() -> Router:
    return Router()


def test_members_that_several_ask_for_are_asked_for_once(router: Router) -> None:
    CodeStore(router)
    first = router.ask(handles.GET_CODE, [1, 2])
    one = router.last_reply_to
    second = router.ask(handles.GET_CODE, [2, 3], src=3)
    other = router.last_reply_to
    assert router.sent == [(0, handles.GET_CODE, [1, 2]), (0, handles.GET_CODE, [3])]
    router.answer(other, {'members': [[3, 'c.py', b'c']], 'last': True})
    assert (first, second) == ([], [])
    router.answer(one, {'members': [[1, 'a.py', b'a']], 'last': False})
    router.answer(one, {'members': [[2, 'b.py', b'b']], 'last': True})
    assert first == [{'members': [[1, 'a.py', b'a'], [2, 'b.py', b'b']], 'last': True}]
    assert second == [{'members': [[2, 'b.py', b'b'], [3, 'c.py', b'c']], 'last': True}]
    assert router.ask(handles.GET_CODE, [1]) == [{'members': [[1, 'a.py', b'a']], 'last': True}]
    assert len(router.sent) == 2


def test_who_waits_for_members_of_a_parent_that_is_gone_is_answered(router: Router) -> None:
    CodeStore(router)
    waiting = router.ask(handles.GET_CODE, [1])
    router.answer(router.last_reply_to, ChannelError('gone'))
    assert waiting == [{'members': [], 'last': True}]


def forwarder(router: Router) -> Importer:
    importer = Importer(router)
    Forwarder(SimpleNamespace(router=router, importer=importer))
    return importer


@pytest.mark.parametrize('outcome', ['found', 'missing', 'gone'])
def test_a_module_that_several_ask_for_is_asked_for_once(router: Router, outcome: str) -> None:
    forwarder(router)
    first, second = router.ask(handles.GET_MODULE, 'x'), router.ask(handles.GET_MODULE, 'x', src=3)
    assert router.sent == [(0, handles.GET_MODULE, 'x')]
    found = pack_modules({'x': CODE if outcome == 'found' else None})
    answer: Any = ChannelError('gone') if outcome == 'gone' else found
    router.answer(router.last_reply_to, answer)
    assert first == second == [answer]
    router.ask(handles.GET_MODULE, 'x')
    # What there is not is not remembered.
    assert len(router.sent) == (1 if outcome == 'found' else 2)


def test_only_so_many_questions_of_one_neighbour_wait(router: Router) -> None:
    forwarder(router)
    for _ in range(MAX_WAITING + 1):
        router.ask(handles.GET_MODULE, 'x')
    assert router.complaints == [2]
    router.ask(handles.GET_MODULE, 'x', src=3)
    router.answer(router.last_reply_to, pack_modules({'x': None}))
    router.ask(handles.GET_MODULE, 'y')
    assert router.complaints == [2]


def test_modules_are_passed_on_to_each_neighbour_once(router: Router) -> None:
    forwarder(router).keep({'x': CODE})
    load = pack_modules({'x': CODE})
    for context_id in (2, 4, 3, 99):
        router.ask(handles.FORWARD_MODULES, [context_id, ['x', 'unknown']], src=0)
    assert router.sent == [(2, handles.LOAD_MODULE, load),
                           (2, handles.FORWARD_MODULES, [4, ['x', 'unknown']]),
                           (3, handles.LOAD_MODULE, load)]
    router.streams[3].lost(3, 'it ended')
    router.ask(handles.FORWARD_MODULES, [3, ['x']], src=0)
    assert router.sent[-1] == (3, handles.LOAD_MODULE, load) and len(router.sent) == 4
