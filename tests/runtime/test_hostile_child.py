"""A child that does what it likes: the master stays up, others do not notice, memory is bounded, each is logged once.

The hostile child is a real process that greets and then speaks the wire by hand, see :mod:`tests.harness.hostile`.
"""

import gc
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mitogen.core.errors import CallError, ChannelError, PayloadError
from mitogen.core.messages import Receiver
from mitogen.core.router import Context
from mitogen.master import ChildSpec, HopError, Router
from tests.harness.memory import peak_growth, reset_peak

# Each keeps a core busy, and the honest child must get its share.
pytestmark = pytest.mark.xdist_group('hostile')

HOSTILE = str(Path(__file__).parents[1] / 'harness' / 'hostile.py')
MIB = 1 << 20

#: Bytes by which an attack may make a process grow: twice what is kept for a child that does not read.
ROOM = 80 * MIB

#: Seconds that a call of an honest child may take meanwhile. Generous: machines that run tests are busy.
PATIENCE = 20.0


class Records(logging.Handler):
    """What is logged: the runtime's own records, and how many of children."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[str] = []
        self.forwarded = 0
        self.last = ''
        self.commands = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith('mitogen.ctx'):
            self.forwarded += 1
            self.last = record.getMessage()
            self.commands += '\33' in self.last
        elif record.levelno >= logging.WARNING:
            self.own.append(record.getMessage())


@pytest.fixture
def records() -> Iterator[Records]:
    handler, logger = Records(), logging.getLogger('mitogen')
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.level, logger.propagate = before


@pytest.fixture
def router(records: Records) -> Iterator[Router]:
    router = Router(prefixes=['mitogen', 'json', 'tests'])
    yield router
    router.broker.shutdown()
    router.broker.join(20)
    assert not router.broker.thread.is_alive()


@pytest.fixture
def honest(router: Router) -> Context:
    return router.local(python=sys.executable, name='honest')


@dataclass
class Outcome:
    """How an attack ended."""

    answer: Any = None
    lost: str = ''
    growth: int = 0
    slowest: float = 0.0
    calls: int = field(default=0)


@dataclass
class Siege:
    """The master with an honest child, and maybe a hostile one."""

    router: Router
    honest: Context
    hostile: Any = None
    over: threading.Event = field(default_factory=threading.Event)

    def start(self, attack: str, via: Context | None = None, deadline: float = 30.0) -> Context:
        """Start a hostile child."""
        self.hostile = self.router.open(ChildSpec([sys.executable, HOSTILE, attack], 'hostile', deadline=deadline), via)
        return self.hostile

    def begin(self, told: dict[str, Any]) -> Receiver:
        """Let it attack; return where its answer arrives."""
        self.over.clear()
        done = Receiver(self.router, source=self.hostile.context_id, notify=self.over.set)
        self.hostile.send(1, told, done.handle)
        return done

    def run(self, attack: str, via: Context | None = None, meanwhile: Callable[[], None] | None = None,
            **told: Any) -> Outcome:
        """Have an attack made, and call the honest child until it is over."""
        self.start(attack, via)
        outcome = Outcome()
        reset_peak()
        done = self.begin(told)
        if meanwhile is not None:
            meanwhile()
        deadline = time.monotonic() + 60
        # Not without a pause, which would take the processor from the hostile child.
        while not self.over.wait(0.005) and time.monotonic() < deadline:
            self.call_honest(outcome)
        try:
            outcome.answer = done.get(1)
        except ChannelError as error:
            outcome.lost = str(error)
        self.call_honest(outcome)
        outcome.growth = peak_growth()
        print('%s: %.1f MiB, %d calls, slowest %.2f s' % (attack, outcome.growth / MIB, outcome.calls, outcome.slowest))
        assert outcome.growth < ROOM
        assert outcome.slowest < PATIENCE
        return outcome

    def call_honest(self, outcome: Outcome) -> None:
        """Make a call, and note how long it took."""
        began = time.monotonic()
        assert self.honest.call(os.getpid, mitogen_timeout=60) == self.honest.info['pid']
        outcome.slowest = max(outcome.slowest, time.monotonic() - began)
        outcome.calls += 1


@pytest.fixture
def siege(router: Router, honest: Context) -> Iterator[Siege]:
    gc.collect()
    siege = Siege(router, honest)
    yield siege
    # Whatever it has done, it can be ended, and another one be opened.
    if siege.hostile is not None and router.stream_to(siege.hostile.context_id) is not None:
        router.drop(siege.hostile)
    assert router.local(python=sys.executable, name='next').call(os.getpid, mitogen_timeout=30)


def one_record(records: Records, *parts: str) -> None:
    """Check that one thing was logged, which says this."""
    assert len(records.own) == 1, records.own
    for part in parts:
        assert part in records.own[0]


def kinds(records: Records) -> set[str]:
    """Return what the hostile child was logged for; each was once."""
    found = [re.sub('^hostile (.*?)( [(].*)?; dropped.*$', r'\1', text, flags=re.DOTALL) for text in records.own]
    assert len(found) == len(set(found)), found
    return set(found)


# What breaks the stream


def test_a_child_that_breaks_the_protocol_is_cut_off(siege: Siege, records: Records) -> None:
    for attack, reason in (('bad_magic', 'bad magic'), ('unknown_kind', 'unknown payload kind 9'),
                           ('oversize_frame', 'over the limit'), ('truncated_frame', 'cut off within a message'),
                           ('own_end', '')):
        records.own.clear()
        outcome = siege.run(attack)
        # That a program ended is known a moment after what it said last, and is then the better reason.
        assert 'hostile is gone' in outcome.lost, attack
        if reason:
            one_record(records, 'hostile', reason)
        assert siege.router.stream_to(siege.hostile.context_id) is None


# What it may not say


def test_a_child_cannot_speak_for_others(siege: Siege, records: Records) -> None:
    answer = Receiver(siege.router, source=siege.honest.context_id)
    siege.run('forged_source', honest=siege.honest.context_id, answer=answer.handle)
    assert answer.empty()
    one_record(records, 'hostile', 'in the name of another context')


def test_a_child_cannot_answer_what_others_were_asked(siege: Siege, records: Records) -> None:
    answer = Receiver(siege.router, source=siege.honest.context_id)
    siege.run('answers_of_others', answer=answer.handle)
    assert answer.empty()
    one_record(records, 'hostile', 'a mailbox that is not for it')


def test_a_child_cannot_command_the_master(siege: Siege, records: Records, tmp_path: Path) -> None:
    """Nor is anything that it says to it unpacked: this holds a bomb of 128 MiB."""
    siege.run('commands_to_the_master', mark=str(tmp_path / 'mark'))
    assert not (tmp_path / 'mark').exists()
    one_record(records, 'hostile', 'a mailbox that does not exist')


def test_a_child_cannot_command_its_siblings(siege: Siege, records: Records, tmp_path: Path) -> None:
    siege.run('commands_to_others', honest=siege.honest.context_id, mark=str(tmp_path / 'mark'))
    assert not (tmp_path / 'mark').exists()
    one_record(records, 'hostile', 'a context that is not above it')


def test_a_child_gets_no_code_but_what_was_selected(
        siege: Siege, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'secretmodule.py').write_text('PASSWORD = 1\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    requests: list[Any] = ['secretmodule', '__main__', '__mitogen_main__', 'mitogenx', '/etc/passwd', '../etc/passwd',
                           'mitogen/../../etc/passwd', '.', '', 'mitogen..core', *(
                               [package, path, 0] for package in ('mitogen', 'tests') for path in (
                                   '../README.md', '/etc/passwd', 'core/../../README.md', '..', './core/frames.py', '',
                                   'core//frames.py', '\0', 'core/frames.py\0')),
                           ['secretmodule', 'x', 0], ['secretmodule', None, 0], ['', 'etc/passwd', 0]]
    outcome = siege.run('code_of_others', requests=[*requests, ['mitogen', 'core/frames.py', 0]])
    assert b'MAX_PAYLOAD' in outcome.answer.pop(str(['mitogen', 'core/frames.py', 0]))
    for request, answer in outcome.answer.items():
        assert answer is None or [size for _, _, _, size in answer['modules']] == [-1], request
    one_record(records, 'hostile', 'asked for code that it may not have')


def test_a_child_cannot_take_the_place_of_others(siege: Siege, records: Records) -> None:
    siege.run('routes_of_others', honest=siege.honest.context_id)
    one_record(records, 'hostile', 'announced a context that is not its own')


# What would take memory, or everybody's time


def test_a_million_messages_at_once_fill_a_mailbox_and_no_more(siege: Siege, records: Records) -> None:
    unread = Receiver(siege.router)
    outcome = siege.run('a_million_messages', open=unread.handle)
    one_record(records, 'hostile', 'filled a mailbox faster than it is read')
    with pytest.raises(ChannelError, match='more than is kept unread'):
        unread.get(0)
    assert outcome.calls > 10


def test_a_child_that_asks_and_does_not_read_is_not_read_either(siege: Siege, records: Records) -> None:
    siege.run('answers_unread')
    assert records.own == []


def test_deeply_nested_data_is_refused(siege: Siege, records: Records) -> None:
    unread = Receiver(siege.router)
    siege.run('deep_nesting', open=unread.handle)
    assert kinds(records) == {'sent a message that could not be taken', 'sends more log records than are kept'}
    for _ in range(7):
        with pytest.raises(PayloadError):
            unread.get(1)
    assert unread.empty()


def test_as_many_objects_as_a_frame_can_hold_are_refused_in_bounded_memory(siege: Siege, records: Records) -> None:
    siege.run('wide_json')
    assert kinds(records) == {'sent more than a mailbox takes', 'sent a message that could not be taken',
                              'asked for code that it may not have', 'sends more log records than are kept'}


def test_names_of_contexts_are_not_for_a_child_to_give(siege: Siege, records: Records) -> None:
    siege.run('references')
    assert siege.router.local(python=sys.executable, name='web2').name == 'web2'
    one_record(records, 'hostile', 'could not be taken')


def test_context_ids_are_given_away_in_bounded_numbers(siege: Siege, records: Records) -> None:
    outcome = siege.run('many_ids')
    assert 5 <= len(outcome.answer) <= 10
    # Whoever offends in many names is logged for some of them.
    assert len(records.own) <= 5 * 10
    assert any('more context IDs than it may have' in text for text in records.own)
    records.own.clear()
    Siege.run(Siege(siege.router, siege.honest), 'routes_of_others', honest=siege.honest.context_id)
    one_record(records, 'hostile', 'announced')


def test_a_flood_of_log_records_is_cut(siege: Siege, records: Records) -> None:
    loggers = set(logging.root.manager.loggerDict)
    siege.run('log_flood')
    assert 1000 < records.forwarded < 60000
    made = {name for name in set(logging.root.manager.loggerDict) - loggers if name.startswith('mitogen.ctx')}
    assert len(made) < 70
    assert len(getattr(logging.getLogger('mitogen.ctx'), '_cache')) < 110  # noqa: B009
    # None that a terminal would obey.
    assert records.commands == 0
    assert '%s %d \\x1b[2J' in records.last or 'hostile: xxx' in records.last
    assert kinds(records) == {'sent a message that could not be taken', 'sends more log records than are kept'}


def test_a_flood_on_stderr_costs_nothing(siege: Siege, records: Records) -> None:
    siege.run('stderr_flood')
    assert records.own == []


def test_a_flood_of_requests_for_code_holds_nobody_up(siege: Siege, records: Records) -> None:
    modules = ['tests.harness.hostile', 'mitogen.parent.connection', 'json.decoder'] * 20
    outcome = siege.run('code_flood', modules=modules)
    assert outcome.answer >= 20000
    assert kinds(records) == {'sent more than a mailbox takes', 'sent a message that could not be taken',
                              'asked for code that it may not have'}


# Behind a gateway


@pytest.fixture
def gateway(router: Router) -> Context:
    return router.local(python=sys.executable, name='gateway')


@pytest.fixture
def sibling(router: Router, gateway: Context) -> Context:
    return router.local(python=sys.executable, name='sibling', via=gateway)


def test_a_child_cannot_take_the_place_of_a_sibling_behind_its_gateway_nor_tell_of_its_end(
        siege: Siege, records: Records, gateway: Context, sibling: Context) -> None:
    siege.run('end_of_a_sibling', via=gateway, gateway=gateway.context_id, sibling=sibling.context_id)
    assert sibling.call(os.getpid, mitogen_timeout=30) == sibling.info['pid']
    later = siege.router.local(python=sys.executable, name='later', via=gateway)
    assert later.call(os.getpid, mitogen_timeout=30) == later.info['pid']
    own = [text for text in records.own if text.startswith('hostile')]
    assert len(own) == len(set(own)) <= 2
    # The gateway passes on what is announced to it; the root does not believe it.
    assert len(records.own) - len(own) <= 1


def test_a_child_cannot_command_its_gateway(siege: Siege, gateway: Context, tmp_path: Path) -> None:
    before = gateway.call(peak_growth_of_gateway)
    siege.run('commands_to_the_gateway', via=gateway, gateway=gateway.context_id, mark=str(tmp_path / 'mark'))
    assert gateway.call(peak_growth_of_gateway) - before < ROOM
    assert not (tmp_path / 'mark').exists()


def test_a_gateway_holds_back_what_it_cannot_pass_on(siege: Siege, gateway: Context) -> None:
    before = gateway.call(peak_growth_of_gateway)
    # The master is busy, and reads nothing meanwhile.
    siege.run('flood_of_the_gateway', via=gateway, gateway=gateway.context_id,
              meanwhile=lambda: siege.router.broker.call_sync(time.sleep, 1.5))
    assert gateway.call(peak_growth_of_gateway) - before < ROOM


def peak_growth_of_gateway() -> int:
    """How much memory this process has ever had; called in the gateway."""
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


INFO = {'python': (3, 11, 2), 'executable': '/bin/python', 'chosen': 'python3', 'pid': 1, 'uid': 0, 'said': b''}


LIES = [
    None, 5, 'asks', [], {}, {'asks': 5}, {'asks': None}, {'failed': None}, {'failed': ['exited', 'x', 1 << 40, 0]},
    {'failed': ['exited', 'x', b'', 'y']}, {'info': None}, {'info': {}}, {'info': {**INFO, 'python': 3}},
    {'info': {**INFO, 'executable': 5}}, {'info': {**INFO, 'python': ['3']}},
    {'info': {**INFO, 'said': 'text'}}]


def test_a_gateway_that_tells_nonsense_of_a_new_context_is_a_failure(siege: Siege) -> None:
    via = siege.start('lying_gateway')
    siege.begin({'lies': LIES})
    for number in range(len(LIES)):
        with pytest.raises(HopError, match='lie %d: ' % number):
            siege.router.open(ChildSpec(['x'], 'lie %d' % number), via, lambda output: b'')


def test_a_gateway_cannot_pass_off_another_hosts_zygote(siege: Siege) -> None:
    via = siege.start('lying_gateway')
    siege.begin({'lies': [{'info': {**INFO, 'zygote_id': siege.honest.context_id}}] * 2})
    for zygote in (True, False):
        inner = siege.router.open(ChildSpec(['x'], 'inner', zygote=zygote), via)
        assert inner.info['zygote_id'] == (inner.context_id + 1 if zygote else 0)


def test_a_gateway_that_reports_a_failure_is_believed_in_words_only(siege: Siege) -> None:
    via = siege.start('lying_gateway')
    siege.begin({'lies': [{'failed': ['exited', 'inner: no', b'out', 1 << 200]}]})
    with pytest.raises(HopError, match='inner: no') as caught:
        siege.router.open(ChildSpec(['x'], 'inner'), via)
    assert caught.value.status == 0


# While it starts


def test_output_without_end_before_the_greeting_ends_at_the_deadline(siege: Siege) -> None:
    reset_peak()
    outcome = Outcome()
    with pytest.raises(HopError, match='no answer within 1.5 s') as caught:
        siege.start('flood_before_greeting', deadline=1.5)
    siege.call_honest(outcome)
    assert len(caught.value.output) < 200000
    assert peak_growth() < ROOM


def test_what_only_looks_like_a_greeting_is_skipped(siege: Siege) -> None:
    hostile = siege.start('lies_in_greeting')
    assert hostile.info['chosen'] == 'hostile'
    with pytest.raises(CallError, match='SomeError: no'):
        siege.begin({}).get(30)
        hostile.call(os.getpid, mitogen_timeout=30)
