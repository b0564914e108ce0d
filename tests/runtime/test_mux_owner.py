"""Noticing the end of the process that the multiplexer serves."""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from ansible_mitogen.mux import owner
from mitogen.core.broker import Broker


@pytest.fixture
def broker() -> Any:
    broker = Broker()
    yield broker
    broker.shutdown()
    broker.join(5)


@pytest.fixture
def sleeper() -> Any:
    process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(params=['descriptor', 'polling'])
def way(request: Any, monkeypatch: Any) -> Any:
    if request.param == 'polling':
        monkeypatch.setattr(owner, '_exit_fd', lambda pid: None)
        monkeypatch.setattr(owner, 'POLL', 0.05)


def test_the_end_is_noticed(broker: Any, sleeper: Any, way: Any) -> None:
    ended = threading.Event()
    broker.call_sync(owner.watch_owner, broker, sleeper.pid, ended.set)
    assert not ended.wait(0.2)
    sleeper.kill()
    sleeper.wait()
    assert ended.wait(2)


def test_a_process_that_has_ended_before_is_noticed(broker: Any, sleeper: Any, way: Any) -> None:
    sleeper.kill()
    sleeper.wait()
    ended = threading.Event()
    broker.call_sync(owner.watch_owner, broker, sleeper.pid, ended.set)
    assert ended.wait(2)


def test_another_accounts_process_is_alive() -> None:
    assert owner.is_alive(1)
    assert owner.is_alive(os.getpid())
