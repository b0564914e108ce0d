"""What the main process loads so that its workers need not."""

import inspect
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible.plugins import loader

from ansible_mitogen.hooks import warm_up
from ansible_mitogen.strategy import add_slots

pytestmark = pytest.mark.every_core


@pytest.fixture(autouse=True)
def nothing_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, '_prepared', set())


def task(action: str, become: bool = False, method: str = 'sudo') -> SimpleNamespace:
    return SimpleNamespace(action=action, collections=[], become=become, become_method=method)


def test_the_twins_are_loaded() -> None:
    warm_up.WarmUp().install(5)
    assert 'ansible_mitogen.connection.ssh' in sys.modules
    assert 'ansible_mitogen.connection.local' in sys.modules


def test_whoever_looks_at_the_stack_need_not_look_for_the_files_of_all_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = inspect.currentframe()
    expected = inspect.getmodule(frame)
    assert expected is not None
    monkeypatch.setattr(inspect, 'modulesbyfile', {})
    monkeypatch.setattr(inspect, '_filesbymodname', {})
    warm_up.WarmUp().install(5)
    looked: list[object] = []
    monkeypatch.setattr(inspect, 'getabsfile', lambda *args: looked.append(args))
    assert inspect.getmodule(frame, __file__) is expected
    assert looked == []


def test_modules_are_looked_up_once_for_all_tasks_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(loader.module_loader, 'find_plugin_with_context', lambda name, **kwargs: asked.append(name))
    for _ in range(3):
        warm_up.prepare_task(task('ansible.builtin.command'))
    assert asked == ['ansible.builtin.command', 'ansible.legacy.command']


def test_the_become_plugin_of_a_task_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(loader.become_loader, 'get', asked.append)
    warm_up.prepare_task(task('ping', become=True, method='su'))
    warm_up.prepare_task(task('ping', method='sudo'))
    assert asked == ['su']


def test_what_cannot_be_loaded_is_left_to_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError('not here')
    monkeypatch.setattr(loader.module_loader, 'find_plugin_with_context', fail)
    monkeypatch.setattr(loader, 'get_shell_plugin', fail)
    warm_up.WarmUp().install(5)
    warm_up.prepare_task(task('no.such.thing'))


@pytest.mark.parametrize('hosts, forks, slots', [(1, 5, 2), (1, 1, 1), (3, 5, 5), (20, 20, 20), (5, 50, 10)])
def test_slots_are_doubled_within_the_limit_of_forks(hosts: int, forks: int, slots: int) -> None:
    workers = [None] * hosts
    add_slots(workers, forks)
    assert workers == [None] * slots
