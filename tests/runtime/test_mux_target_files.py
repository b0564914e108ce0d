"""Files written whole or not at all."""

import errno
import os
import pathlib
import stat
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_mitogen.target import files
from ansible_mitogen.target.files import CHUNK, Destination, Transfers


@pytest.fixture
def umask() -> Any:
    before = os.umask(0o022)
    yield 0o022
    os.umask(before)


def write(path: Any, content: Any, mode: Any = None) -> Any:
    destination = Destination(str(path), mode)
    destination.write(content)
    destination.commit()


def mode_of(path: Any) -> Any:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize('mode, expected', [(None, 0o644), (0o600, 0o600), (0o777, 0o755)])
def test_a_new_file_has_the_mode_less_the_umask(tmp_path: Any, umask: Any, mode: Any, expected: Any) -> None:
    write(tmp_path / 'new', b'content', mode)
    assert (tmp_path / 'new').read_bytes() == b'content'
    assert mode_of(tmp_path / 'new') == expected
    assert os.listdir(tmp_path) == ['new']


@pytest.mark.parametrize('mode, expected', [(None, 0o750), (0o666, 0o644)])
def test_a_file_that_is_there_is_replaced_and_keeps_its_mode_unless_one_is_given(
        tmp_path: Any, umask: Any, mode: Any, expected: Any) -> None:
    path = tmp_path / 'there'
    path.write_bytes(b'a longer old content')
    path.chmod(0o750)
    inode = path.stat().st_ino
    write(path, b'new', mode)
    assert path.read_bytes() == b'new'
    assert path.stat().st_ino != inode
    assert mode_of(path) == expected


def test_the_old_content_stays_until_the_new_one_is_complete(tmp_path: Any) -> None:
    path = tmp_path / 'there'
    path.write_bytes(b'old')
    destination = Destination(str(path))
    destination.write(b'half of')
    assert path.read_bytes() == b'old'
    destination.abandon()
    assert os.listdir(tmp_path) == ['there']
    assert path.read_bytes() == b'old'


def test_a_symbolic_link_stays_one_and_its_target_is_written(tmp_path: Any) -> None:
    (tmp_path / 'real').write_bytes(b'old and long')
    (tmp_path / 'link').symlink_to('real')
    write(tmp_path / 'link', b'new')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'real').read_bytes() == b'new'


def test_a_hard_link_stays_one(tmp_path: Any) -> None:
    (tmp_path / 'one').write_bytes(b'old')
    os.link(tmp_path / 'one', tmp_path / 'other')
    write(tmp_path / 'one', b'new')
    assert (tmp_path / 'other').read_bytes() == b'new'


def test_a_device_is_written_in_place() -> None:
    write('/dev/null', b'gone')
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)


def test_a_fifo_is_written_in_place(tmp_path: Any) -> None:
    os.mkfifo(tmp_path / 'fifo')
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / 'fifo').read_bytes()), daemon=True)
    reader.start()
    for _ in range(500):
        try:
            destination = Destination(str(tmp_path / 'fifo'))
            break
        except OSError as exc:
            assert exc.errno == errno.ENXIO
            threading.Event().wait(0.01)
    destination.write(b'through')
    destination.commit()
    reader.join(5)
    assert got == [b'through']


def test_a_fifo_that_nobody_reads_fails_instead_of_waiting(tmp_path: Any) -> None:
    os.mkfifo(tmp_path / 'fifo')
    with pytest.raises(OSError) as caught:
        Destination(str(tmp_path / 'fifo'))
    assert caught.value.errno == errno.ENXIO


@pytest.mark.skipif(os.getuid() != 0, reason='needs two accounts')
def test_a_writable_file_in_a_directory_that_is_not_is_written_in_place(tmp_path: Any) -> None:
    for folder in (*tmp_path.parents[:3], tmp_path):
        if str(folder).startswith('/tmp/'):
            folder.chmod(0o755)
    path = tmp_path / 'there'
    path.write_bytes(b'old')
    path.chmod(0o666)
    pid = os.fork()
    if not pid:
        os.setuid(65534)
        try:
            write(path, b'new')
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert path.read_bytes() == b'new'
    assert path.stat().st_uid == 0


@pytest.mark.skipif(os.getuid() != 0, reason='needs two accounts')
def test_the_owner_stays_the_owner(tmp_path: Any) -> None:
    path = tmp_path / 'there'
    path.write_bytes(b'old')
    os.chown(path, 65534, 65534)
    write(path, b'new')
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


def test_a_directory_that_is_missing_is_an_error(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        Destination(str(tmp_path / 'no' / 'file'))


def test_a_long_name_needs_no_longer_one(tmp_path: Any) -> None:
    name = 'n' * 255
    write(tmp_path / name, b'content')
    assert os.listdir(tmp_path) == [name]


@pytest.fixture
def transfers() -> Any:
    return Transfers()


@pytest.mark.parametrize('size', [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_a_file_is_read_in_chunks_until_a_short_one(tmp_path: Any, transfers: Any, size: Any) -> None:
    content = os.urandom(size)
    (tmp_path / 'file').write_bytes(content)
    chunks = [transfers.begin_fetch(1, str(tmp_path / 'file'))[1]]
    while len(chunks[-1]) == CHUNK:
        chunks.append(transfers.read(1))
    assert b''.join(chunks) == content
    assert transfers.read(1) == b''


def test_a_fifo_is_empty_rather_than_waited_for(tmp_path: Any, transfers: Any) -> None:
    os.mkfifo(tmp_path / 'fifo')
    assert transfers.begin_fetch(1, str(tmp_path / 'fifo'))[1] == b''


def test_reading_a_directory_fails_and_leaves_no_descriptor(tmp_path: Any, transfers: Any) -> None:
    before = len(os.listdir('/proc/self/fd'))
    with pytest.raises(IsADirectoryError):
        transfers.begin_fetch(1, str(tmp_path))
    transfers.abandon(1)
    assert len(os.listdir('/proc/self/fd')) == before


def test_temporary_files_are_removed_at_the_end(tmp_path: Any, transfers: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(files.tempfile, 'tempdir', str(tmp_path))
    path = transfers.put(None, 0o600, b'input')
    assert pathlib.Path(path).read_bytes() == b'input'
    transfers.begin_put(1, None, None)
    transfers.begin_put(2, str(tmp_path / 'half'), None)
    transfers.abandon_all()
    assert os.listdir(tmp_path) == []


def test_errors_are_answers(tmp_path: Any) -> None:
    econtext = SimpleNamespace(at_end=[])
    done = files.perform('begin_fetch', 1, str(tmp_path / 'none'), econtext=econtext)
    assert done == [False, errno.ENOENT, 'No such file or directory']
    assert files.perform('write', 77, b'', econtext=econtext)[0] is False
    assert len(econtext.at_end) == 1
