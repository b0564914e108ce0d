"""What zygotes are asked for, and how failures are told."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_mitogen.mux import jobs, protocol
from ansible_mitogen.mux.bundles import Bundle
from ansible_mitogen.mux.hops import AbandonedError
from ansible_mitogen.mux.service import exit_code, hop_failure
from ansible_mitogen.mux.usage import Usage
from mitogen.core import frames, handles, payload
from mitogen.core.errors import ChannelError
from mitogen.core.messages import Message
from mitogen.zygote.jobs import OUTDATED

COMMAND = {'argv': ['', '-c', 'cat'], 'stdin': b'in', 'stdin_path': None, 'tty': False, 'env': {'A': 'b'},
           'cwd': '/tmp'}
MODULE = {'module_fqn': 'ansible.modules.ping', 'params': '{}', 'profile': 'legacy', 'style': 'loader',
          'rlimit_nofile': 0, 'date_time': (2024, 1, 1, 0, 0, 0), 'extensions': {}, 'mends': [], 'env': {}, 'cwd': None,
          'other': None}


class FakeExchange:
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.waiting: list[Any] = []
        self.on_cancel = None
        self.usage = Usage()

    def send(self, what: Any, body: Any) -> Any:
        self.told.append((what, body))

    finish = send

    def fail(self, body: Any) -> Any:
        self.send(protocol.FAILED, body)

    def when_drained(self, func: Any) -> Any:
        self.waiting.append(func)


class FakeRouter:
    """A router that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.handlers: dict[Any, Any] = {}
        self.complaints: list[Any] = []

    def add_handler(self, func: Any, source: Any) -> Any:
        self.handlers[len(self.handlers) + 1000] = func
        return len(self.handlers) + 999

    def del_handler(self, handle: Any) -> Any:
        del self.handlers[handle]

    def send(self, dst: Any, handle: Any, value: Any, reply_to: Any = 0) -> Any:
        self.sent.append((dst, handle, value))

    def complain(self, context_id: Any, what: Any) -> Any:
        self.complaints.append((context_id, what))

    def send_packed(self, dst: Any, handle: Any, kind: Any, data: Any, reply_to: Any = 0) -> Any:
        self.send(dst, handle, payload.decode(data), reply_to)

    def answer(self, kind: Any, data: Any) -> Any:
        (func,) = self.handlers.values()
        func(Message(self, frames.Frame(0, 2, 2, 1000, 0, kind, data)))


@pytest.fixture
def router() -> Any:
    return FakeRouter()


@pytest.fixture
def exchange() -> Any:
    return FakeExchange()


@pytest.fixture
def entry(router: Any) -> Any:
    info = {'zygote_id': 2, 'executable': '/usr/bin/python3'}
    entry = SimpleNamespace(context=SimpleNamespace(router=router, info=info, name='web1', context_id=1), busy=0,
                            preloaded=set())
    entry.accounts_are = lambda mark: setattr(entry, 'accounts', mark)
    entry.retired = []
    entry.take = lambda: setattr(entry, 'busy', entry.busy + 1)
    entry.release = lambda: setattr(entry, 'busy', entry.busy - 1)
    return entry


@pytest.fixture
def job(exchange: Any, entry: Any) -> Any:
    job = jobs.Job(exchange, entry, 0.0, entry.retired.append)
    job.start({'job': job.number}, 1)
    return job


RESULT = {'job': 1, 'rc': 3, 'stdout': b'o', 'stderr': b'e', 'stdout_streamed': 0, 'stderr_streamed': 0, 'ms': 1.5,
          'imported': [], 'accounts': 7}


def test_a_command_is_passed_on_as_it_is() -> None:
    asked = jobs.command_payload(7, COMMAND, '/usr/bin/python3')
    assert asked == {'job': 7, 'kind': 'command', 'argv': ['', '-c', 'cat'], 'stdin': b'in', 'tty': False,
                     'env': {'A': 'b'}, 'cwd': '/tmp', 'umask': None}


@pytest.mark.parametrize('argv, output', [
    (['cat', '-'], b'content'), (['', '-c', 'echo "$0"; cat'], None),
])
def test_large_input_comes_from_a_file_that_is_removed(tmp_path: Any, argv: Any, output: Any) -> None:
    (tmp_path / 'in').write_bytes(b'content')
    fields = dict(COMMAND, argv=argv, stdin=b'', stdin_path=str(tmp_path / 'in'))
    asked = jobs.command_payload(7, fields, sys.executable)
    done = subprocess.run(asked['argv'], stdout=subprocess.PIPE, check=True, timeout=10)
    assert done.stdout.endswith(output or b'content')
    assert not (tmp_path / 'in').exists()


def test_a_module_is_described_by_its_members(entry: Any) -> None:
    asked = jobs.module_payload(7, MODULE, Bundle([0, 1, 2, 5], frozenset(['ansible.module_utils.basic'])), entry)
    assert asked['members'] == [[0, 2], [5, 5]]
    assert asked['preload'] == ['ansible.module_utils.basic']
    assert asked['args']['module_fqn'] == 'ansible.modules.ping'
    assert payload.decode(payload.encode(asked)) == asked


def test_a_context_is_told_once_what_to_preload(entry: Any) -> None:
    bundle = Bundle([0], frozenset(['ansible.module_utils.' + name for name in ('basic', 'urls', 'facts')]))
    preloads = []
    for learnt in ([], ['ansible.module_utils.urls'], ['ansible.module_utils.urls', 'ansible.module_utils.facts']):
        bundle.learn(learnt)
        preloads.append(jobs.module_payload(7, MODULE, bundle, entry)['preload'])
    assert preloads == [['ansible.module_utils.basic'], ['ansible.module_utils.urls'], ['ansible.module_utils.facts']]
    assert jobs.module_payload(7, MODULE, bundle, entry)['preload'] == []


def test_a_result_becomes_the_answer(router: Any, exchange: Any, entry: Any, job: Any) -> None:
    assert entry.busy == 1
    router.answer(frames.DATA, payload.encode(RESULT))
    ((what, body),) = exchange.told
    assert what == protocol.DONE
    assert (body['rc'], body['stdout'], body['stderr'], body['ms'], body['round_trips']) == (3, b'o', b'e', 1.5, 1)
    assert entry.busy == 0
    assert router.handlers == {}


def test_output_is_acknowledged_when_the_client_has_read_it(router: Any, exchange: Any, job: Any) -> None:
    router.answer(frames.RAW, b'one')
    router.answer(frames.RAW, b'two')
    assert exchange.told == [(protocol.OUTPUT, b'one'), (protocol.OUTPUT, b'two')]
    assert len(router.sent) == 1
    for func in exchange.waiting:
        func()
    assert router.sent[1:] == [(2, handles.ACK, {'job': job.number, 'chunks': 2})]


def test_a_client_that_is_gone_cancels_the_job_and_does_not_hold_it_up(router: Any, exchange: Any, job: Any) -> None:
    router.answer(frames.RAW, b'one')
    exchange.on_cancel()
    assert router.sent[1:] == [(2, handles.ACK, {'job': job.number, 'chunks': 1}),
                               (2, handles.CANCEL, {'job': job.number})]
    router.answer(frames.RAW, b'two')
    assert router.sent[-1] == (2, handles.ACK, {'job': job.number, 'chunks': 1})


@pytest.mark.parametrize('kind, data, error', [
    (frames.DEAD, b'web1 is gone', protocol.CONTEXT_LOST),
    (frames.ERROR, payload.encode(['JobError', 'no such file', '']), protocol.JOB_FAILED),
    (frames.DATA, payload.encode({'rc': 0}), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(dict(RESULT, rc='x')), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(dict(RESULT, rc=-1)), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(dict(RESULT, stdout=1 << 50)), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(dict(RESULT, stderr=[1, 2])), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(dict(RESULT, ms=float('inf'))), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(dict(RESULT, ms=float('nan'))), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(dict(RESULT, stdout_streamed=1 << 2040)), protocol.JOB_FAILED),
    (frames.DATA, payload.encode(None), protocol.JOB_FAILED),
    (frames.DATA, b'garbage', protocol.JOB_FAILED),
])
def test_whatever_a_target_answers_the_client_gets_one_failure(
        router: Any, exchange: Any, entry: Any, job: Any, kind: Any, data: Any, error: Any) -> None:
    router.answer(kind, data)
    ((what, body),) = exchange.told
    assert (what, body['error']) == (protocol.FAILED, error)
    assert entry.busy == 0


def test_a_context_that_is_out_of_date_is_retired_and_the_client_may_begin_anew(
        router: Any, exchange: Any, entry: Any, job: Any) -> None:
    router.answer(frames.ERROR, payload.encode([OUTDATED, 'a login would differ', '']))
    ((what, body),) = exchange.told
    assert (what, body['error'], body['started']) == (protocol.FAILED, protocol.CONTEXT_LOST, False)
    assert entry.retired == [entry]


@pytest.mark.parametrize('status, code', [(None, None), (0, 0), (255 << 8, 255), (9, 137), (9 | 128, 137)])
def test_exit_statuses_become_exit_codes(status: Any, code: Any) -> None:
    assert exit_code(status) == code


def test_a_hop_that_was_given_up_is_told_apart_from_one_that_failed() -> None:
    assert hop_failure(1, AbandonedError('x'))['error'] == protocol.ABANDONED
    lost = hop_failure(1, ChannelError('web1 is gone'))
    assert (lost['error'], lost['hop'], lost['kind']) == (protocol.HOP_FAILED, 1, 'exited')
    assert hop_failure(0, OSError(24, 'Too many open files'))['kind'] == 'spawn'
