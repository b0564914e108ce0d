"""Modules are built for tasks to come, as those would build them, while no task is at work."""

import base64
import hashlib
import inspect
import io
import itertools
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible import constants as C
from ansible.executor import module_common
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar
from ansible.utils.collection_loader import AnsibleCollectionConfig

from ansible_mitogen.forkgate import ForkGate
from ansible_mitogen.hooks import modules_ahead
from ansible_mitogen.hooks.modules_ahead import ModulesAhead, Outlook, modules_of, tasks_of
from ansible_mitogen.hooks.worker_threads import WorkerThreads
from ansible_mitogen.workers.idle import IdleThread
from tests.harness.processes import wait_until

WAIT = 30

needs_threads = pytest.mark.skipif(
    not hasattr(module_common, '_CachedModule'), reason='before ansible-core 2.19 tasks do not run in threads')


@pytest.fixture(scope='module', autouse=True)
def _collections() -> None:
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()


# The thread.

@pytest.fixture
def gate() -> ForkGate:
    return ForkGate()


@pytest.fixture
def idle(gate: ForkGate) -> Iterator[IdleThread]:
    thread = IdleThread(gate)
    yield thread
    thread.stop()


def test_jobs_are_done_in_order_and_later_ones_too(idle: IdleThread) -> None:
    done: list[int] = []
    idle.add([lambda: done.append(1), lambda: done.append(2)])
    wait_until(lambda: done == [1, 2], WAIT, 'the jobs to be done')
    idle.add([])
    idle.add([lambda: done.append(3)])
    wait_until(lambda: done == [1, 2, 3], WAIT, 'the later job to be done')


def test_none_is_begun_while_a_task_is_at_work_or_has_just_been(gate: ForkGate, idle: IdleThread) -> None:
    begun: list[float] = []
    gate.enter()
    idle.add([lambda: begun.append(time.monotonic())])
    time.sleep(0.1)
    assert not begun
    left = time.monotonic()
    gate.leave()
    wait_until(lambda: begun, WAIT, 'the job to begin')
    assert begun[0] - left > 0.009


def test_a_fork_waits_for_the_job_that_is_under_way(gate: ForkGate, idle: IdleThread) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        go_on.wait(WAIT)

    idle.add([job, lambda: None])
    assert begun.wait(WAIT)
    with gate.closed(0.05) as is_quiet:
        assert not is_quiet
    go_on.set()
    with gate.closed(WAIT) as is_quiet:
        assert is_quiet


def test_at_its_end_it_forgets_all_but_what_is_under_way(gate: ForkGate, idle: IdleThread) -> None:
    begun, done = threading.Event(), []

    def job() -> None:
        begun.set()
        time.sleep(0.1)
        done.append(1)

    idle.add([job, lambda: done.append(2)])
    assert begun.wait(WAIT)
    idle.stop()
    assert done == [1]
    gate.enter()
    idle.add([lambda: done.append(3)])
    idle.stop()
    gate.leave()
    time.sleep(0.05)
    assert done == [1]
    idle.add([lambda: done.append(4)])
    wait_until(lambda: done == [1, 4], WAIT, 'the job of the next play to be done')


# What comes next.

def block(*tasks: Any, rescue: Iterable[Any] = (), always: Iterable[Any] = ()) -> SimpleNamespace:
    return SimpleNamespace(block=list(tasks), rescue=list(rescue), always=list(always))


_numbers = itertools.count()


def task(action: str, collections: Iterable[str] | None = None) -> SimpleNamespace:
    return SimpleNamespace(action=action, collections=collections, _uuid=str(next(_numbers)))


def test_tasks_of_blocks_are_found_in_order() -> None:
    blocks = [block('a', block('b', rescue=['c', block('d')]), 'e', always=['f']), block('g')]
    assert list(tasks_of(blocks)) == list('abcdefg')


class Recorder:
    """Stands for the thread; does nothing."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.stopped = 0

    def add(self, jobs: Iterable[Any]) -> None:
        self.names += [job.args[0] for job in jobs]

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def outlook(recorder: Recorder) -> Outlook:
    made = Outlook()
    made.idle_thread = recorder  # type: ignore[assignment]
    return made


def test_each_module_of_a_task_and_those_that_follow_is_built_once(
    outlook: Outlook, recorder: Recorder
) -> None:
    tasks = [task(action) for action in ('ping', 'file', 'ping', 'ansible.builtin.template', 'file', 'apt')]
    outlook.begin_play([block(*tasks)])
    outlook.note_task(tasks[0])
    assert recorder.names == ['ping', 'file', 'copy', 'stat', 'apt']
    for one in tasks:
        outlook.note_task(one)
    assert len(recorder.names) == 5
    outlook.begin_play([block(tasks[0], task('user'))])
    outlook.note_task(tasks[0])
    assert recorder.names[5:] == ['user']


def test_it_looks_no_further_than_it_is_told(
    outlook: Outlook, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules_ahead, '_AHEAD', 2)
    tasks = [task('m%d' % number) for number in range(6)]
    outlook.begin_play([block(*tasks)])
    outlook.note_task(tasks[0])
    assert recorder.names == ['m0', 'm1', 'm2']
    outlook.note_task(tasks[1])
    # With the strategy `free` another host may be far behind.
    outlook.note_task(tasks[0])
    assert recorder.names == ['m0', 'm1', 'm2', 'm3']
    outlook.note_task(tasks[3])
    assert recorder.names == ['m0', 'm1', 'm2', 'm3', 'm4', 'm5']
    # Of one that was included the play has not told.
    outlook.note_task(task('included'))
    outlook.note_task(tasks[5])
    outlook.end_play()
    assert (len(recorder.names), recorder.stopped) == (6, 1)


def test_without_threads_there_is_nothing_to_do() -> None:
    hook = ModulesAhead(WorkerThreads())
    assert hook.unfit_reason() == ''
    hook.install(5)
    alone = Outlook()
    alone.begin_play([block(task('ping'))])
    alone.note_task(task('ping'))
    alone.end_play()


@pytest.mark.parametrize('name', sorted(modules_ahead._MODULES_OF))
def test_what_actions_are_said_to_run_are_modules_that_are_built(name: str) -> None:
    for prefix in ('', 'ansible.builtin.', 'ansible.legacy.'):
        assert modules_of(prefix + name) == list(modules_ahead._MODULES_OF[name])
    for module in modules_of(name):
        assert b'ansible.module_utils' in Path(module_loader.find_plugin(module)).read_bytes()
    assert modules_of('some.collection.' + name) == ['some.collection.' + name]


# Building.

@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """Tells what has been built."""
    monkeypatch.setattr(C, 'DEFAULT_LOCAL_TMP', str(tmp_path))
    cache = tmp_path / 'ansiballz_cache'
    return lambda: sorted(path.name.split('-')[0] for path in cache.glob('*') if not path.name.endswith('.lock'))


def for_a_task(name: str) -> None:
    """Build a module as a task does."""
    module_common.modify_module(
        module_name=name, module_path=module_loader.find_plugin(name), module_args={'data': 'x'},
        templar=Templar(DataLoader()), task_vars={'ansible_python_interpreter': '/usr/bin/python3'},
        module_compression=C.config.get_config_value('DEFAULT_MODULE_COMPRESSION', variables={}))


@needs_threads
@pytest.mark.parametrize('name', ['ping', 'ansible.builtin.ping', 'ansible.legacy.ping'])
def test_what_was_built_ahead_is_what_a_task_takes(
    built: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    modules_ahead._build(name, [])
    assert built() == ['ansible.modules.ping']

    def again(*args: object) -> None:
        raise AssertionError('it is built again')
    monkeypatch.setattr(module_common, 'recursive_finder', again)
    for_a_task(name)
    with pytest.raises(AssertionError):
        for_a_task('stat')


@needs_threads
def test_what_was_built_is_given_to_the_multiplexer(
    built: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[str, str]] = []
    monkeypatch.setattr(modules_ahead.link, 'running_client', lambda: SimpleNamespace(
        keep_zip=lambda *args: kept.append(args)))
    modules_ahead._build('ping', [])
    [(zip_id, zip_base64)] = kept
    assert zip_id == hashlib.sha256(zip_base64.encode()).hexdigest()
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(zip_base64))) as archive:
        assert 'ansible/modules/ping.py' in archive.namelist()


@needs_threads
@pytest.mark.parametrize('name', ['debug', 'no_such_module', 'no.such.module'])
def test_what_is_no_module_of_ansible_core_is_left_alone(built: Callable[[], list[str]], name: str) -> None:
    modules_ahead._build(name, [])
    assert built() == []


@needs_threads
def test_nothing_that_others_have_written_is_built(
    built: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = tmp_path / 'mine.py'
    mine.write_text(Path(module_loader.find_plugin('ping')).read_text())
    monkeypatch.setattr(module_loader, 'find_plugin_with_context', lambda name, collection_list: SimpleNamespace(
        plugin_resolved_path=str(mine)))
    modules_ahead._build('mine', [])
    assert built() == []


@needs_threads
def test_all_that_is_passed_is_a_parameter() -> None:
    assert set(inspect.signature(module_common.modify_module).parameters) >= modules_ahead._PARAMETERS
