"""A target that answers what it likes: the multiplexer and its other targets go on, and clients get an answer."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_mitogen.mux import launcher
from ansible_mitogen.mux.client import (
    ContextInfo,
    ContextLost,
    Hop,
    JobFailed,
    ModuleCall,
    MuxClient,
    MuxError,
    TransferFailed,
)
from mitogen.parent.bootstrap import bootstrap_command
from tests.harness.hostile_target import ANSWERS
from tests.harness.memory import peak_growth, reset_peak
from tests.harness.processes import process_table, wait_until

# Each keeps a core busy, and the honest child must get its share.
pytestmark = pytest.mark.xdist_group('hostile')

TARGET = str(Path(__file__).parents[1] / 'harness' / 'hostile_target.py')

#: Bytes by which the multiplexer may grow: what is kept for a target that does not read, and some for a client.
ROOM = 80 << 20


@pytest.fixture(scope='module')
def mux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, Path]]:
    """A multiplexer: its socket, its process, its log."""
    log = tmp_path_factory.mktemp('mux') / 'log'
    owner = subprocess.Popen(['sleep', '600'])
    path = launcher.ensure_mux(owner.pid, 8, str(log))
    client = MuxClient(path)
    client.open([honest_hop()], no_dialogue)
    client.close()
    (pid,) = (pid for pid, process in process_table().items() if '--owner-pid %d ' % owner.pid in process.command)
    yield path, pid, log
    owner.kill()
    owner.wait()
    wait_until(lambda: pid not in process_table(), 20, 'the multiplexer to end')


@pytest.fixture
def client(mux: tuple[str, int, Path]) -> Iterator[MuxClient]:
    client = MuxClient(mux[0])
    yield client
    client.close()


def honest_hop() -> Hop:
    return Hop(('/bin/sh', '-c', bootstrap_command([sys.executable])), 'honest', 'honest')


def hostile_hop(attack: str) -> Hop:
    return Hop((sys.executable, TARGET, attack), 'hostile-' + attack, attack)


def no_dialogue(hop: int, output: bytes) -> bytes | None:
    raise AssertionError('nothing was to be asked')


def module_call(path: str, source: bytes) -> ModuleCall:
    """A module of one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr(path, source)
    content = base64.b64encode(stream.getvalue())
    return ModuleCall(zip_id=hashlib.sha256(content).hexdigest(), zip_base64=content.decode(), module_fqn='x',
                      params='{}', profile='legacy', rlimit_nofile=0, date_time=(2024, 1, 1, 0, 0, 0), extensions={},
                      style='runpy', env={}, cwd=None, interpreter='')


def besiege(mux: tuple[str, int, Path], request: Callable[[MuxClient, ContextInfo], Any], attack: str) -> Any:
    """Make a request to a hostile target, and others to an honest one meanwhile; return its outcome."""
    outcome: list[Any] = []
    other, client = MuxClient(mux[0]), MuxClient(mux[0])
    honest = other.open([honest_hop()], no_dialogue)
    hostile = client.open([hostile_hop(attack)], no_dialogue)
    reset_peak(mux[1])

    def ask() -> None:
        try:
            outcome.append(request(client, hostile))
        except (MuxError, OSError) as error:
            outcome.append(error)
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    deadline, slowest = time.monotonic() + 60, 0.0
    while True:
        began = time.monotonic()
        assert other.run_command(honest, ['echo', 'fine']).stdout == b'fine\n'
        slowest = max(slowest, time.monotonic() - began)
        if not thread.is_alive():
            break
        assert time.monotonic() < deadline, 'a client got no answer'
    assert slowest < 20
    assert peak_growth(mux[1]) < ROOM
    client.close_context(hostile)
    for each in (client, other):
        each.close()
    return outcome[0]


def complaints(mux: tuple[str, int, Path], attack: str) -> list[str]:
    """What the multiplexer has logged of a target."""
    return [line for line in mux[2].read_text('utf-8', 'replace').splitlines()
            if ' ERROR mitogen.router' in line and 'hostile-%s ' % attack in line]


@pytest.mark.parametrize('attack', sorted(ANSWERS))
def test_whatever_a_job_is_answered_the_client_gets_its_end(mux: tuple[str, int, Path], attack: str) -> None:
    outcome = besiege(mux, lambda client, hostile: client.run_command(hostile, ['x']), attack)
    if attack == 'the_largest_result' and not isinstance(outcome, MuxError):
        assert len(outcome.stdout) > 1000000
    else:
        assert isinstance(outcome, ContextLost if attack == 'no_text' else JobFailed), outcome
        assert len(str(outcome)) <= 70000
    assert len(complaints(mux, attack)) <= 1


@pytest.mark.parametrize('attack', ['an_odd_mode', 'an_odd_errno', 'an_odd_chunk', 'no_text', 'no_fields', 'noise'])
def test_whatever_a_transfer_is_answered_the_client_gets_its_end(
        mux: tuple[str, int, Path], attack: str, tmp_path: Path) -> None:
    (tmp_path / 'sent').write_bytes(b'x' * 300000)
    for request in (lambda client, hostile: client.fetch_file(hostile, '/etc/hostname', str(tmp_path / 'got')),
                    lambda client, hostile: client.put_file(hostile, str(tmp_path / 'sent'), '/nowhere')):
        outcome = besiege(mux, request, attack)
        assert isinstance(outcome, ContextLost if attack == 'no_text' else TransferFailed), outcome
    assert not (tmp_path / 'got').exists()


def test_output_that_does_not_wait_for_its_reader_ends_the_job(mux: tuple[str, int, Path]) -> None:
    outcome = besiege(mux, lambda client, hostile: client.run_command(hostile, ['x']), 'endless_output')
    assert 'sent more output than may be under way' in str(outcome)
    assert len(complaints(mux, 'endless_output')) == 1


def test_a_target_gets_the_members_that_it_was_sent_once_and_none_of_others(
        mux: tuple[str, int, Path], client: MuxClient) -> None:
    honest = client.open([honest_hop()], no_dialogue)
    # It is sent with its secret, whether or not it can run.
    client.run_module(honest, module_call('secret.py', b'PASSWORD = 1\n'))
    outcome = besiege(mux, lambda client, hostile: client.run_module(
        hostile, module_call('own.py', os.urandom(60000).hex().encode())), 'code')
    members = json.loads(outcome.stdout)
    assert 'own.py' in members
    assert 'secret.py' not in members
    assert len(members) == len(set(members))


def test_a_target_that_does_all_of_it_at_once_harms_nobody(mux: tuple[str, int, Path]) -> None:
    outcome = besiege(mux, lambda client, hostile: client.run_command(hostile, ['x']), 'everything')
    assert outcome.stdout, outcome
    said = complaints(mux, 'everything')
    assert 2 <= len(said) <= 8
    assert len(said) == len({line.partition('hostile-')[2] for line in said})
