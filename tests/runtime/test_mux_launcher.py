"""Where the multiplexer's socket is, and who may make it."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_mitogen.mux import launcher


@pytest.fixture(autouse=True)
def temp(monkeypatch: Any) -> Iterator[Path]:
    # Not pytest's own, whose path can be too long for a socket: the tests would meet each other in /tmp.
    with tempfile.TemporaryDirectory(prefix='mt-', dir='/tmp') as folder:
        monkeypatch.setattr(tempfile, 'tempdir', folder)
        yield Path(folder)


def test_the_directory_is_private_and_the_same_for_the_same_owner() -> None:
    first = launcher.make_directory(os.getpid())
    assert launcher.make_directory(os.getpid()) == first
    assert os.stat(first).st_mode & 0o777 == 0o700
    assert launcher.make_directory(1) != first


def test_a_directory_that_others_may_enter_is_refused() -> None:
    directory = launcher.make_directory(os.getpid())
    os.chmod(directory, 0o755)
    with pytest.raises(PermissionError):
        launcher.make_directory(os.getpid())


def test_a_symbolic_link_in_its_place_is_refused(temp: Any) -> None:
    directory = launcher.make_directory(os.getpid())
    os.rmdir(directory)
    (temp / 'elsewhere').mkdir(mode=0o700)
    os.symlink(temp / 'elsewhere', directory)
    with pytest.raises(PermissionError):
        launcher.make_directory(os.getpid())


@pytest.mark.skipif(os.getuid() != 0, reason='needs two accounts')
def test_a_directory_of_someone_else_is_refused() -> None:
    directory = launcher.make_directory(os.getpid())
    os.chown(directory, 65534, 65534)
    with pytest.raises(PermissionError):
        launcher.make_directory(os.getpid())


def test_a_long_temporary_directory_gives_way_to_a_short_one(temp: Any, monkeypatch: Any) -> None:
    long = temp / ('d' * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(long))
    directory = launcher.make_directory(os.getpid())
    try:
        assert directory.startswith('/tmp/')
    finally:
        os.rmdir(directory)


def test_processes_with_the_same_id_are_told_apart() -> None:
    assert launcher.start_time(os.getpid()) not in ('', '0')
    assert launcher.start_time(1 << 22) == '0'


def test_only_a_socket_that_is_listened_on_accepts(temp: Any) -> None:
    path = str(temp / 's')
    assert not launcher.accepts(path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    assert not launcher.accepts(path)
    sock.listen(1)
    assert launcher.accepts(path)
    sock.close()
    assert not launcher.accepts(path)


def test_looking_for_a_multiplexer_starts_none(temp: Any) -> None:
    assert launcher.find_mux(os.getpid()) is None
    assert os.listdir(temp) == []
