"""Which hop lists lead to which contexts, and who waits for whom."""

import threading
from typing import Any

import pytest

from ansible_mitogen.mux import hops, room
from ansible_mitogen.mux.hops import AbandonedError, HopTable, NotOpenError, Request
from ansible_mitogen.mux.protocol import ACCOUNT, HopSpec
from mitogen.core.errors import StreamError


class FakeContext:
    def __init__(self, context_id: Any, via: Any) -> None:
        self.context_id = context_id
        self.via = via
        self.info: dict[Any, Any] = {}


class World:
    """A hop table whose threads and contexts are made of nothing; what is opened is opened when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.queued: list[Any] = []
        self.opened: list[Any] = []
        self.ended: list[Any] = []
        self.watches: dict[Any, Any] = {}
        self.room = True
        self.outcome: dict[Any, Any] = {}
        self.table = HopTable(self.defer, lambda func, *args: self.queued.append((func, args)), self.open_hop,
                              self.watch, self.ended.append, lambda: self.room)

    def defer(self, func: Any, *args: Any) -> Any:
        self.calls.append((func, args))

    def run_deferred(self) -> Any:
        while self.calls:
            func, args = self.calls.pop(0)
            func(*args)

    def run(self) -> Any:
        """Do everything that was queued, until nothing is left."""
        while self.queued or self.calls:
            if self.queued:
                func, args = self.queued.pop(0)
                func(*args)
            self.run_deferred()

    def open_hop(self, parent: Any, hop: Any, ask: Any) -> Any:
        outcome = self.outcome.get(hop.key)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            outcome(ask)
        context = FakeContext(len(self.opened) + 1, parent)
        self.opened.append(hop.key)
        return context

    def watch(self, context: Any, lost: Any, gone: Any) -> Any:
        self.watches[context.context_id] = lost, gone

    def lose(self, context: Any) -> Any:
        lost, gone = self.watches[context.context_id]
        lost('it was unplugged')
        gone()


class Asker:
    """Someone who wants a context; remembers what it was told."""

    def __init__(self, world: Any, *keys: Any) -> None:
        self.told: list[Any] = []
        self.entry: Any = None
        self.request: Any = Request([hop(key) if isinstance(key, str) else key for key in keys], self)
        world.table.begin(self.request)

    def prompt(self, index: Any, output: Any) -> Any:
        self.told.append(('prompt', index, output))

    def opened(self, entry: Any, fresh: Any) -> Any:
        self.entry = entry
        self.told.append(('opened', fresh))

    def failed(self, index: Any, error: Any) -> Any:
        self.told.append(('failed', index, type(error)))


def hop(key: Any) -> Any:
    return HopSpec(['run', key], key, key, False, True, 5.0, None, None, [])


@pytest.fixture
def world() -> Any:
    return World()


def test_the_same_hop_list_is_opened_once(world: Any) -> None:
    first = Asker(world, 'web1')
    world.run()
    second = Asker(world, 'web1')
    assert first.told == [('opened', True)]
    assert second.told == [('opened', False)]
    assert first.entry is second.entry
    assert world.opened == ['web1']


def test_who_asks_while_it_is_being_opened_waits_for_it(world: Any) -> None:
    askers = [Asker(world, 'web1') for _ in range(3)]
    assert len(world.queued) == 1
    world.run()
    assert [asker.told for asker in askers] == [[('opened', True)], [('opened', False)], [('opened', False)]]


def test_hops_are_opened_through_the_ones_before_them_and_shared(world: Any) -> None:
    sudo = Asker(world, 'web1', 'sudo')
    world.run()
    other = Asker(world, 'web1', 'su')
    world.run()
    assert world.opened == ['web1', 'sudo', 'su']
    assert sudo.entry.parent is other.entry.parent
    assert sudo.entry.context.via is sudo.entry.parent.context
    assert sudo.entry.first_hop is sudo.entry.parent


def test_the_same_last_hop_elsewhere_is_another_context(world: Any) -> None:
    one, other = Asker(world, 'web1', 'sudo'), Asker(world, 'web2', 'sudo')
    world.run()
    assert one.entry is not other.entry


def test_all_who_wait_are_told_of_a_failure_which_is_not_remembered(world: Any) -> None:
    world.outcome['web1'] = StreamError('refused')
    askers = [Asker(world, 'web1', 'sudo') for _ in range(2)]
    world.run()
    assert [asker.told for asker in askers] == [[('failed', 0, StreamError)]] * 2
    del world.outcome['web1']
    again = Asker(world, 'web1', 'sudo')
    world.run()
    assert again.told == [('opened', True)]


def test_a_failed_second_hop_leaves_the_first_one_open(world: Any) -> None:
    world.outcome['sudo'] = StreamError('no')
    asker = Asker(world, 'web1', 'sudo')
    world.run()
    assert asker.told == [('failed', 1, StreamError)]
    assert Asker(world, 'web1').told == [('opened', False)]


def start_thread(world: Any) -> Any:
    """Begin what is queued as a thread, and return when it has asked."""
    (func, args), = world.queued
    world.queued.clear()
    asked = threading.Event()
    defer = world.defer

    def note(*call: Any) -> Any:
        defer(*call)
        asked.set()
    world.table._defer = note
    dial = args[0]
    dial._defer = note
    thread = threading.Thread(target=func, args=args, daemon=True)
    thread.start()
    assert asked.wait(5)
    asked.clear()
    world.run_deferred()
    return thread


def finish(world: Any, thread: Any) -> Any:
    thread.join(5)
    assert not thread.is_alive()
    world.run()


def test_the_first_asker_answers_prompts(world: Any) -> None:
    typed = []
    world.outcome['web1'] = lambda ask: typed.append(ask(b'Password: '))
    first, second = Asker(world, 'web1'), Asker(world, 'web1')
    thread = start_thread(world)
    assert first.told == [('prompt', 0, b'Password: ')]
    assert second.told == []
    second.request.dial.answer(second.request, b'not asked')
    first.request.dial.answer(first.request, b'secret\n')
    finish(world, thread)
    assert typed == [b'secret\n']
    assert (first.told[-1], second.told[-1]) == (('opened', True), ('opened', False))


def test_when_the_one_who_answers_is_gone_the_next_one_is_asked(world: Any) -> None:
    typed = []
    world.outcome['web1'] = lambda ask: typed.append(ask(b'Password: '))
    first, second = Asker(world, 'web1'), Asker(world, 'web1')
    thread = start_thread(world)
    first.request.cancel()
    assert second.told == [('prompt', 0, b'Password: ')]
    second.request.dial.answer(second.request, b'secret\n')
    finish(world, thread)
    assert typed == [b'secret\n']
    assert second.told[-1] == ('opened', True)
    assert first.told == [('prompt', 0, b'Password: ')]


def test_when_nobody_is_left_to_answer_the_hop_is_given_up(world: Any) -> None:
    raised = []

    def prompting(ask: Any) -> Any:
        try:
            ask(b'Password: ')
        except AbandonedError as exc:
            raised.append(exc)
            raise
    world.outcome['web1'] = prompting
    only = Asker(world, 'web1')
    thread = start_thread(world)
    only.request.cancel()
    finish(world, thread)
    assert len(raised) == 1
    assert len(world.table) == 0


def test_who_gives_a_hop_up_is_told_so_and_the_others_try_anew(world: Any) -> None:
    world.outcome['web1'] = lambda ask: ask(b'Password: ')
    first, second = Asker(world, 'web1'), Asker(world, 'web1')
    thread = start_thread(world)
    first.request.dial.abandon(first.request)
    assert first.told[-1] == ('failed', 0, AbandonedError)
    del world.outcome['web1']
    finish(world, thread)
    assert second.told == [('opened', True)]


def test_a_lost_context_is_opened_anew(world: Any) -> None:
    first = Asker(world, 'web1')
    world.run()
    world.lose(first.entry.context)
    assert world.table.by_id(first.entry.context.context_id) is None
    second = Asker(world, 'web1')
    world.run()
    assert second.told == [('opened', True)]


def test_closing_a_context_closes_those_behind_it_at_once_for_whoever_asks(world: Any) -> None:
    sudo = Asker(world, 'web1', 'sudo')
    world.run()
    ssh = sudo.entry.parent
    world.table.close(ssh)
    assert world.ended == [ssh.context]
    assert sudo.entry.closing
    again = Asker(world, 'web1', 'sudo')
    world.run()
    assert again.told == [('opened', True)]
    # The old one's end must not take the new one with it.
    world.lose(ssh.context)
    assert Asker(world, 'web1', 'sudo').entry is again.entry


def test_a_context_that_is_out_of_date_ends_when_it_is_idle_and_is_opened_anew(world: Any) -> None:
    sudo = Asker(world, 'web1', 'sudo')
    world.run()
    sudo.entry.take()
    world.table.retire(sudo.entry)
    assert sudo.entry.closing and not sudo.entry.parent.closing and world.ended == []
    again = Asker(world, 'web1', 'sudo')
    world.run()
    assert again.told == [('opened', True)] and again.entry is not sudo.entry
    sudo.entry.release()
    assert world.ended == [sudo.entry.context]


def test_with_another_interpreter_goes_the_context_that_it_was_opened_for(world: Any) -> None:
    other = Asker(world, 'web1', hops.INTERPRETER + '/opt/python')
    world.run()
    world.table.retire(other.entry)
    assert world.ended == [other.entry.parent.context] and other.entry.closing


def test_the_end_of_a_batch_closes_what_is_idle_and_no_other_batch_wants(world: Any) -> None:
    first, shared, busy = Asker(world, 'web1'), Asker(world, 'balancer'), Asker(world, 'web2')
    world.run()
    busy.entry.take()
    world.table.end_batch()
    assert world.ended == [first.entry.context, shared.entry.context]
    for name in ('web3', 'web4'):
        shared, host = Asker(world, 'balancer'), Asker(world, name)
        world.run()
        before = len(world.ended)
        world.table.end_batch()
        wanted = [] if name == 'web4' else [shared.entry.context]
        assert world.ended[before:] == [*wanted, host.entry.context]


def test_idle_accounts_beside_one_are_closed_and_waited_for(world: Any) -> None:
    login = Asker(world, 'web1')
    sudo, idle, busy = (Asker(world, 'web1', ACCOUNT + name) for name in ('root', 'idle', 'busy'))
    others = [Asker(world, *keys) for keys in (
        ('web1', 'behind web1'), ('web2', ACCOUNT + 'idle'), (ACCOUNT + 'here',))]
    interpreter = Asker(world, 'web1', ACCOUNT + 'root', hops.INTERPRETER + '/opt/python')
    world.run()
    busy.entry.take()
    told: list[str] = []
    world.table.close_accounts(interpreter.entry, lambda: told.append('gone'))
    assert world.ended == [idle.entry.context]
    assert not told
    world.lose(idle.entry.context)
    assert told == ['gone']
    world.table.close_accounts(sudo.entry, lambda: told.append('nothing to close'))
    assert told == ['gone', 'nothing to close']
    world.table.close_accounts(login.entry, lambda: None)
    assert world.ended[1:] == [sudo.entry.context]
    assert not any(other.entry.closing for other in others)


def test_accounts_are_closed_when_their_processes_have_ended(world: Any) -> None:
    login, account = Asker(world, 'web1'), Asker(world, 'web1', ACCOUNT + 'app')
    world.run()
    told: list[str] = []
    world.table.close_accounts(login.entry, lambda: told.append('gone'))
    lost, gone = world.watches[account.entry.context.context_id]
    lost('its zygote has ended')
    assert not told
    gone()
    assert told == ['gone']


def test_accounts_of_the_controller_are_closed_as_well(world: Any) -> None:
    local, idle = Asker(world, ACCOUNT + 'local'), Asker(world, ACCOUNT + 'idle')
    world.run()
    world.table.close_accounts(local.entry, lambda: None)
    assert world.ended == [idle.entry.context]
    assert not local.entry.closing


def test_without_descriptors_the_longest_idle_context_is_closed(world: Any) -> None:
    old, new = Asker(world, 'web1'), Asker(world, 'web2')
    world.run()
    old.entry.last_used, new.entry.last_used = 1.0, 2.0
    world.room = False
    third = Asker(world, 'web3')
    world.run()
    assert world.ended == [old.entry.context]
    assert third.told == [('opened', True)]


def test_a_context_that_is_used_is_never_closed_to_make_room(world: Any) -> None:
    busy = Asker(world, 'web1', 'sudo')
    world.run()
    busy.entry.take()
    world.room = False
    Asker(world, 'web2')
    world.run()
    assert world.ended == []
    busy.entry.release()
    Asker(world, 'web3')
    assert len(world.ended) == 1


def test_idle_accounts_of_a_host_are_closed_when_they_are_many(world: Any) -> None:
    askers = [Asker(world, 'web1', 'sudo %d' % number) for number in range(room.MANY_CHILDREN)]
    world.run()
    askers[3].entry.last_used -= room.IDLE_SECONDS + 1
    Asker(world, 'web1', 'sudo one more')
    assert world.ended == [askers[3].entry.context]


def test_hosts_that_have_been_idle_for_long_are_closed_when_they_are_many(world: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(room, 'MANY_HOSTS', 5)
    monkeypatch.setattr(room, 'LOOK_SECONDS', 0.0)
    askers = [Asker(world, f'web{number}') for number in range(5)]
    world.run()
    for asker in askers[1:3]:
        asker.entry.last_used -= room.HOST_IDLE_SECONDS + 1
    askers[2].entry.take()
    askers[2].entry.last_used -= room.HOST_IDLE_SECONDS + 1
    Asker(world, 'web5')
    assert world.ended == [askers[1].entry.context]


def test_a_hop_below_an_open_context_is_shared_too(world: Any) -> None:
    ssh = Asker(world, 'web1')
    world.run()

    class Below(Asker):
        def __init__(self) -> None:
            self.told = []
    one, other = Below(), Below()
    world.table.open_below(ssh.entry, hop('python3.9'), one)
    world.table.open_below(ssh.entry, hop('python3.9'), other)
    world.run()
    assert world.opened == ['web1', 'python3.9']
    assert (one.told, other.told) == ([('opened', True)], [('opened', False)])


def test_a_hop_below_a_context_that_is_gone_fails(world: Any) -> None:
    ssh = Asker(world, 'web1')
    world.run()
    world.lose(ssh.entry.context)
    world.table.open_below(ssh.entry, hop('python3.9'), ssh)
    assert ssh.told[-1] == ('failed', 0, NotOpenError)


def test_a_hop_without_a_command_is_only_waited_for(world: Any) -> None:
    known = hop('web1')._replace(argv=[])
    assert Asker(world, known).told == [('failed', 0, NotOpenError)]
    Asker(world, 'web1')
    waiting = Asker(world, known)
    assert waiting.told == []
    world.run()
    assert waiting.told == [('opened', False)]
    assert Asker(world, known).told == [('opened', False)]
