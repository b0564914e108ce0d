"""The parts that threads as workers are made of."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible.executor.task_queue_manager import FinalQueue
from ansible.inventory.host import Host
from ansible.module_utils.datatag import deprecate_value
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.utils.collection_loader import AnsibleCollectionConfig

from ansible_mitogen.forkgate import ForkGate
from ansible_mitogen.hooks import worker_threads
from ansible_mitogen.hooks.worker_threads import WorkerThreads
from ansible_mitogen.workers.arrivals import Arrivals, NotedResults
from ansible_mitogen.workers.isolation import isolated, snapshot
from ansible_mitogen.workers.locks import SharedLocks
from ansible_mitogen.workers.model import Job
from ansible_mitogen.workers.placement import Placement
from ansible_mitogen.workers.pool import ThreadPool
from ansible_mitogen.workers.results import ThreadQueue

WAIT = 60


@pytest.fixture(scope='module', autouse=True)
def _collections() -> None:
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()


# The gate.

def test_gate_waits_for_those_inside_and_keeps_others_out() -> None:
    gate = ForkGate()
    gate.enter()
    passed = threading.Event()

    def pass_gate() -> None:
        gate.enter()
        passed.set()

    threading.Timer(0.1, gate.leave).start()
    with gate.closed(WAIT) as is_quiet:
        assert is_quiet
        threading.Thread(target=pass_gate, daemon=True).start()
        assert not passed.wait(0.1)
    assert passed.wait(WAIT)


def test_gate_gives_up_on_a_thread_that_is_blocked() -> None:
    gate = ForkGate()
    gate.enter()
    with gate.closed(0.05) as is_quiet:
        assert not is_quiet
    gate.enter()


def test_gate_and_locks_are_open_in_a_child() -> None:
    gate, locks = ForkGate(), SharedLocks()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        gate.enter()
        with locks.loading, locks.serial:
            held.set()
            done.wait(WAIT)

    threading.Thread(target=hold, daemon=True).start()
    assert held.wait(WAIT)
    child = multiprocessing.get_context('fork').Process(target=_use, args=(gate, locks))
    with gate.closed(0.01), locks.all_held(0.01):
        child.start()
    child.join(WAIT)
    done.set()
    assert child.exitcode == 0


def _use(gate: ForkGate, locks: SharedLocks) -> None:
    gate.enter()
    with locks.loading, locks.serial, gate.closed(0.01):
        os._exit(0)


# What a task gets of its own.

def test_what_a_task_does_to_itself_is_not_seen_by_others() -> None:
    source = {'action': 'debug', 'vars': {'a': 1}, 'tags': ['one'], 'loop': [1], 'notify': ['some handler'],
              'loop_control': {'label': '{{ item }}'}, 'name': 'before', 'when': ['true']}
    loader = DataLoader()
    block = Block.load({'block': [source]}, play=Play(), loader=loader)
    task = block.block[0]
    before = {name: repr(getattr(task, '_' + name, None)) for name in task.fattributes}
    job = Job(task=task, task_vars={'ansible_facts': {}}, host=Host('one'), play_context=SimpleNamespace(),
              loader=loader, final_q=None, variable_manager=None, shared_loader_obj=None, worker_id=1, cliargs=None)
    own = isolated(job).task
    assert type(own) is type(task)
    assert own.get_name() == task.get_name()
    assert own._uuid == task._uuid
    assert own._parent is block
    own.name = 'after'
    own.vars['b'] = 2
    own.args['msg'] = 'hello'
    own.loop_control.label = 'final'
    own.loop_control.post_validate(Templar(loader))
    for name in ('tags', 'loop', 'notify', 'when'):
        getattr(own, '_' + name).append('more')
    own.squash()
    assert {name: repr(getattr(task, '_' + name, None)) for name in task.fattributes} == before | {
        'loop_control': repr(task._loop_control)}
    assert task.loop_control.label == '{{ item }}'
    assert not task._squashed and not task.finalized


# What a task hands over.

def test_snapshot_shares_nothing_that_can_be_changed() -> None:
    tagged = deprecate_value({'inner': [1]}, msg='old', version='9.9')
    value = {'list': [[1], {'a': ['b']}], 'tagged': tagged, 'text': 'x'}
    copied = snapshot(value)
    value['list'][1]['a'].append('c')  # type: ignore[index]
    tagged['inner'].append(2)
    assert copied == {'list': [[1], {'a': ['b']}], 'tagged': {'inner': [1]}, 'text': 'x'}
    assert type(copied['tagged']) is type(tagged)


@pytest.fixture
def final_queue() -> Iterator[Any]:
    made = FinalQueue()
    yield made
    made.close()


def test_queue_keeps_the_order_of_threads_and_processes(final_queue: Any) -> None:
    threads = ThreadQueue(final_queue)
    unpicklable = threading.Lock()
    threads.put(['first'])
    final_queue.put('second')
    threads.put(unpicklable)
    threads.send_display('warning', 'fourth')
    assert [final_queue.get() for _ in range(3)] == [['first'], 'second', unpicklable]
    sent = final_queue.get()
    assert (sent.method, sent.args) == ('warning', ('fourth',))


def test_pool_uses_idle_threads_again() -> None:
    pool, names = ThreadPool(), []
    for _ in range(3):
        done = threading.Event()

        def job(done: threading.Event = done) -> None:
            names.append(threading.get_ident())
            done.set()

        pool.run(job)
        assert done.wait(WAIT)
        # It is idle a moment after the job has ended.
        while not pool._idle:
            threading.Event().wait(0.001)
    assert len(set(names)) == 1


def test_result_wakes_the_strategy() -> None:
    arrivals = Arrivals()
    results = NotedResults(['earlier'], arrivals)
    sleeper = threading.Thread(target=arrivals.sleep, args=(2 * WAIT,), daemon=True)
    sleeper.start()
    results.append('new')
    sleeper.join(WAIT)
    assert not sleeper.is_alive()
    assert list(results) == ['earlier', 'new']


# Who goes where.

def job(action: str = 'ansible.builtin.command', variables: dict[str, Any] | None = None, **task: Any) -> Any:
    attributes = {'action': action, 'collections': [], 'timeout': 0, 'debugger': None, 'delegate_to': None,
                  'connection': 'ssh', '_uuid': 'u1', **task}
    return SimpleNamespace(task=SimpleNamespace(**attributes), task_vars=variables or {}, loader=None)


@pytest.fixture
def placement() -> Placement:
    return Placement(persists=lambda name: name == 'ssh', trusted=['mine'])


@pytest.mark.parametrize('name', ['command', 'ansible.builtin.copy', 'ansible.legacy.template', 'debug', 'setup',
                                  'no_such_module'])
def test_actions_of_ansible_core_run_in_threads(placement: Placement, name: str) -> None:
    assert placement.reason_to_fork(job(name)) == ''


@pytest.mark.parametrize('given, reason', [
    (job('ansible.builtin.pause'), 'pause waits for the user'),
    (job('reboot'), 'reboot sleeps'),
    (job('{{ name }}'), 'the name of its action is a template'),
    (job(timeout=5), 'it has a timeout'),
    (job(debugger='on_failed'), 'it may call the debugger'),
    (job(debugger='never'), ''),
    (job(connection='winrm'), 'its connection, winrm, is not persistent'),
    (job(variables={'ansible_connection': 'winrm'}), 'its connection, winrm, is not persistent'),
    (job(connection='winrm', delegate_to='web1'), ''),
    (job(variables={'mitogen_workers': 'fork'}), 'mitogen_workers is fork'),
    (job(variables={'mitogen_workers': 'threads'}), ''),
])
def test_reason_to_fork(placement: Placement, given: Any, reason: str) -> None:
    assert placement.reason_to_fork(given) == reason


def test_task_that_has_needed_a_process_is_forked_for_all_hosts(placement: Placement) -> None:
    assert placement.reason_to_fork(job()) == ''
    placement.learn_task(job().task, 'of what it met')
    assert placement.reason_to_fork(job()) == 'of what it met'
    assert placement.reason_to_fork(job(_uuid='u2')) == ''


def test_plugins_are_trusted_by_either_name(placement: Placement) -> None:
    assert placement.trusts('mine') and placement.trusts('my.collection.mine')
    assert not placement.trusts('other')


# The hook.

def test_hook_fits() -> None:
    assert WorkerThreads().unfit_reason() == ''


@pytest.mark.parametrize('break_it, reason', [
    (lambda patch: patch.setattr(worker_threads.stock_strategy, 'WorkerProcess', object), 'WorkerProcess is not there'),
    (lambda patch: patch.setattr(worker_threads._STOCK, '_run', lambda self: os.setsid()), '_run uses os, setsid'),
    (lambda patch: patch.setattr(worker_threads._STOCK, '__init__', lambda self, queue: None), 'takes the parameters'),
    (lambda patch: patch.delattr(worker_threads.VariableManager, 'get_vars'), 'VariableManager.get_vars is not there'),
    (lambda patch: patch.setattr(worker_threads.task_executor, 'time', None), 'does not pause by time.sleep'),
    (lambda patch: patch.setattr(worker_threads.free_strategy, 'time', None), 'strategies do not pause by time.sleep'),
])
def test_hook_that_does_not_fit_says_why(monkeypatch: pytest.MonkeyPatch, break_it: Any, reason: str) -> None:
    break_it(monkeypatch)
    assert reason in WorkerThreads().unfit_reason()


def test_earlier_ansible_core_keeps_its_processes_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_threads, 'ansible_version', '2.18.1')
    monkeypatch.delattr(worker_threads.stock_strategy, 'WorkerProcess')
    hook = WorkerThreads()
    assert hook.unfit_reason() == ''
    hook.install(5)
    assert not hasattr(worker_threads.stock_strategy, 'WorkerProcess')
