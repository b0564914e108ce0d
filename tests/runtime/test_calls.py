"""Calling functions in other processes: what arrives there, what comes back, and how a call ends early."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitogen.core import CallError, ChannelError, Context, Receiver, Sender, TimeoutError, handles
from mitogen.master import Router
from mitogen.select import Select
from tests.runtime import remote

#: Seconds that anything here may take on a busy machine.
SOON = 60


@pytest.fixture(scope='module')
def router() -> Iterator[Router]:
    router = Router()
    yield router
    router.broker.shutdown()
    router.broker.join(20)
    assert not router.broker.thread.is_alive()


@pytest.fixture(scope='module')
def child(router: Router) -> Context:
    return router.local()


@pytest.fixture(scope='module')
def grandchild(router: Router, child: Context) -> Context:
    return router.local(via=child)


@pytest.fixture(params=['child', 'grandchild'])
def context(request: Any) -> Any:
    return request.getfixturevalue(request.param)


def test_arguments_and_results_keep_their_types(context: Context) -> None:
    values = [None, True, -1, 2.5, 'text \u20ac \udc80', b'\x00\xff', [1, [2]], (1, (2, b'3')), {1, 2}, {'a': b'b'},
              {(1, 2): {'!': 1}}, {None: None}]
    args, kwargs = context.call(remote.echo, *values, key=(1,))
    assert list(args) == values
    assert [type(value) for value in args] == [type(value) for value in values]
    assert kwargs == {'key': (1,)}


def test_a_class_method_is_called_by_its_name(context: Context) -> None:
    assert context.call(remote.Greeter.greet, 'you') == 'hello you'


def test_a_function_can_have_its_context_and_runs_in_that_ones_main_thread(context: Context) -> None:
    kinds, context_id, handle, callers = context.call(remote.describe_context)
    assert kinds == {'broker': 'Broker', 'context': 'Context', 'channel': 'Receiver', 'importer': 'Importer',
                     'stdout_log': 'IoLogger', 'stderr_log': 'IoLogger'}
    assert context_id == context.context_id
    assert handle == handles.CALL_FUNCTION
    assert '_dispatch_calls' in callers


def test_contexts_can_be_passed_on(child: Context, grandchild: Context) -> None:
    [passed], _ = child.call(remote.echo, grandchild)
    assert passed is grandchild


def test_calls_are_made_in_their_order_and_answers_need_not_be_read_in_it(context: Context) -> None:
    calls = [context.call_async(remote.remember, number) for number in range(100)]
    for receiver in reversed(calls):
        assert receiver.get(SOON) is None
    assert context.call(remote.take_remembered) == list(range(100))


def test_many_threads_get_each_its_own_answer(context: Context) -> None:
    wrong: list[Any] = []

    def call_some(base: int) -> None:
        for number in range(base, base + 50):
            if context.call(remote.double, number, mitogen_timeout=SOON) != number * 2:
                wrong.append(number)
    threads = [threading.Thread(target=call_some, args=(base * 1000,)) for base in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_a_call_without_reply_is_made_and_what_it_raises_is_logged(context: Context, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    context.call_no_reply(remote.remember, 'silently')
    context.call_no_reply(remote.fail_deeply, 'nobody asked')
    assert context.call(remote.take_remembered) == ['silently']
    # Records and answers come by the same way: what was logged before is here before.
    assert 'LookupError: nobody asked' in caplog.text
    assert context.name in caplog.text


def test_an_exception_comes_with_its_type_text_and_traceback(context: Context) -> None:
    with pytest.raises(CallError) as caught:
        context.call(remote.fail_deeply, 'not to be found')
    error = caught.value
    assert (error.type_name, error.message) == ('LookupError', 'not to be found')
    lines = error.traceback.splitlines()
    assert lines[0] == 'Traceback (most recent call last):'
    assert lines[-1] == 'LookupError: not to be found'
    # Where it was raised: function, file and the very line.
    source = Path(remote.__file__).read_text('utf-8').splitlines()
    number = source.index('        raise LookupError(text)') + 1
    assert any('remote.py", line %d, in inner' % number in line for line in lines)
    assert str(error) == 'LookupError: not to be found\n' + error.traceback


@pytest.mark.parametrize('name', ['SystemExit', 'KeyboardInterrupt', 'MemoryError', 'GeneratorExit'])
def test_nothing_that_a_function_raises_ends_its_context(context: Context, name: str) -> None:
    with pytest.raises(CallError) as caught:
        context.call(remote.raise_named, name)
    assert (caught.value.type_name, caught.value.message) == (name, 'the end')
    assert context.call(remote.double, 4) == 8


def test_a_result_that_may_not_cross_is_an_error_that_says_so(context: Context) -> None:
    with pytest.raises(CallError, match='cannot send an object of type object') as caught:
        context.call(remote.return_what_cannot_cross)
    assert caught.value.type_name == 'mitogen.core.errors.PayloadError'


def test_a_function_that_cannot_be_found_is_an_error_that_says_so(context: Context) -> None:
    def nested() -> None:
        raise AssertionError
    nested.__module__, nested.__qualname__ = remote.__name__, 'not_there'
    with pytest.raises(CallError, match='not_there'):
        context.call(nested)


# Streams


def test_values_stream_in_order_and_the_end_is_the_end(router: Router, context: Context) -> None:
    inbox = Receiver(router, source=context.context_id)
    done = context.call_async(remote.send_numbers, inbox.to_sender(), 5000)
    assert [item['number'] for item in inbox] == list(range(5000))
    assert done.get(SOON) is None
    assert inbox.closed
    with pytest.raises(ChannelError, match='the sender closed the channel'):
        inbox.get(SOON)


def test_a_sender_leads_to_the_mailbox_of_whoever_made_it(router: Router, context: Context) -> None:
    inbox = Receiver(router, source=context.context_id)
    call = context.call_async(remote.wait_for_word, inbox.to_sender())
    word = inbox.get(SOON)
    assert isinstance(word, Sender) and word.context_id == context.context_id
    word.send(('a', b'word'))
    assert call.get(SOON) == ('a', b'word')


def test_a_sender_waits_for_a_slow_reader_and_gives_up_at_its_deadline(router: Router, context: Context) -> None:
    inbox = Receiver(router, source=context.context_id)
    call = context.call_async(remote.take_blocks, inbox.to_sender(), None)
    start, blocks = inbox.get(SOON)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 1000:
            blocks.send(sent.to_bytes(8, 'big') + b'.' * 65528, timeout=0.5)
            sent += 1
    assert 4 <= sent <= 32
    start.send(None)
    # What timed out was not sent, and may be sent now.
    blocks.send(sent.to_bytes(8, 'big') + b'.' * 65528, timeout=SOON)
    blocks.close()
    assert call.get(SOON) == [sent + 1, (sent + 1) << 16]


# Select


def test_select_gives_answers_as_they_come(router: Router, child: Context, grandchild: Context) -> None:
    inbox = Receiver(router)
    held = child.call_async(remote.wait_for_word, inbox.to_sender())
    word = inbox.get(SOON)
    quick = [grandchild.call_async(remote.double, number) for number in range(50)]
    select = Select([held, *quick])
    found = [select.get(SOON) for _ in quick]
    assert set(map(id, found)) == set(map(id, quick))
    assert sorted(receiver.get(0) for receiver in found) == [number * 2 for number in range(50)]
    with pytest.raises(TimeoutError):
        select.get(0.05)
    word.send('now')
    assert select.get(SOON) is held and held.get(0) == 'now'
    assert len(select) == 0


def test_select_tells_of_a_context_that_dies(router: Router, child: Context) -> None:
    mortal = router.local()
    inbox = Receiver(router)
    calls = {name: context.call_async(remote.wait_for_word, inbox.to_sender())
             for name, context in (('mortal', mortal), ('child', child))}
    words = {word.context_id: word for word in (inbox.get(SOON), inbox.get(SOON))}
    with Select(calls.values()) as select:
        mortal.shutdown()
        assert select.get(SOON) is calls['mortal']
        with pytest.raises(ChannelError):
            calls['mortal'].get(0)
        words[child.context_id].send('still here')
        assert select.get(SOON).get(0) == 'still here'


# Early ends


def begin_sleeping(router: Router, context: Context) -> Receiver:
    """Start a call that sleeps for very long, and return its receiver when it does."""
    inbox = Receiver(router, source=context.context_id, persist=False)
    call = context.call_async(remote.announce_and_sleep, inbox.to_sender(), 600)
    inbox.get(SOON)
    return call


def test_a_running_call_is_cancelled_and_does_not_hide_it(router: Router, context: Context) -> None:
    call = begin_sleeping(router, context)
    context.cancel(call)
    with pytest.raises(CallError) as caught:
        call.get(SOON)
    assert caught.value.type_name == 'mitogen.core.errors.Cancelled'
    assert 'announce_and_sleep' in caught.value.traceback
    assert context.call(remote.double, 3, mitogen_timeout=SOON) == 6


def test_a_call_that_waits_its_turn_is_cancelled_without_being_made(router: Router, context: Context) -> None:
    running = begin_sleeping(router, context)
    waiting, next_one = (context.call_async(remote.remember, name) for name in ('waiting', 'next'))
    context.cancel(waiting)
    context.cancel(running)
    with pytest.raises(CallError, match='Cancelled'):
        waiting.get(SOON)
    assert next_one.get(SOON) is None
    assert context.call(remote.take_remembered) == ['next']


def test_cancelling_what_has_ended_harms_nothing(context: Context) -> None:
    for number in range(50):
        call = context.call_async(remote.double, number)
        assert call.get(SOON) == number * 2
        context.cancel(call)
    assert [context.call(remote.double, number) for number in range(50)] == [number * 2 for number in range(50)]


def test_a_deadline_ends_the_wait_and_the_call(router: Router, context: Context) -> None:
    inbox = Receiver(router, source=context.context_id, persist=False)
    with pytest.raises(TimeoutError, match='no message within 0.3 s'):
        context.call(remote.announce_and_sleep, inbox.to_sender(), 600, mitogen_timeout=0.3)
    # It began or was dropped before that; if it still ran, this one would wait for it.
    assert context.call(remote.double, 5, mitogen_timeout=SOON) == 10


def test_a_call_in_a_thread_of_its_own_does_not_hold_up_others(router: Router, context: Context) -> None:
    inbox = Receiver(router, source=context.context_id)
    aside = context.call_async(remote.wait_aside, inbox.to_sender())
    word = inbox.get(SOON)
    assert context.call(remote.double, 6, mitogen_timeout=SOON) == 12
    assert aside.empty()
    word.send('done')
    assert aside.get(SOON) == 'done'


def test_a_mailbox_of_an_answer_is_forgotten_with_it(router: Router, context: Context) -> None:
    before = len(router._handlers)
    for number in range(20):
        context.call(remote.double, number)
        with pytest.raises(CallError):
            context.call(remote.fail_deeply, 'x')
    assert len(router._handlers) <= before


def test_ten_thousand_calls_can_be_in_flight(router: Router, child: Context, grandchild: Context) -> None:
    inbox = Receiver(router)
    held = [context.call_async(remote.wait_for_word, inbox.to_sender()) for context in (child, grandchild)]
    words = [inbox.get(SOON), inbox.get(SOON)]
    # Both are busy, so that none of these has been answered when the last one is made.
    calls = [(child, grandchild)[number % 2].call_async(remote.double, number) for number in range(10000)]
    assert all(call.empty() for call in calls)
    for word in words:
        word.send('go')
    assert [call.get(SOON) for call in held] == ['go', 'go']
    deadline = time.monotonic() + 2 * SOON
    answers = [call.get(max(0.0, deadline - time.monotonic())) for call in calls]
    assert answers == [number * 2 for number in range(10000)]
