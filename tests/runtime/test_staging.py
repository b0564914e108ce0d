"""What is done on a target before a job."""

import os
import pwd
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_mitogen.target import staging
from mitogen.core.frames import DATA, Frame


@pytest.fixture
def econtext(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(staging, '_folders', set())
    routed: list[Frame] = []
    return SimpleNamespace(at_end=[], router=SimpleNamespace(route=routed.append), routed=routed)


def test_steps_are_done_in_order_and_the_message_is_passed_on(tmp_path: Path, econtext: Any) -> None:
    folder = tmp_path / 'a/b/tmp-1'
    steps = [['make_folder', str(folder.parent), str(folder), False],
             ['put_file', str(folder / 'f'), 0o400, b'content'],
             ['put_file', str(folder / 'g'), 0o400, b''],
             ['make_usable', [str(folder), str(folder / 'f')]], ['make_usable', [str(folder / 'g')], 'x']]
    assert staging.perform(steps, [7, 110, 1234, b'payload'], econtext) == []
    assert (folder / 'f').read_bytes() == b'content'
    assert [stat.S_IMODE((folder / name).stat().st_mode) for name in 'fg'] == [0o700, 0o500]
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in (folder, folder.parent, folder.parent.parent)} == {0o700}
    assert econtext.routed == [Frame(7, 0, 0, 110, 1234, DATA, b'payload')]


def test_a_step_that_fails_is_named_and_nothing_after_it_happens(tmp_path: Path, econtext: Any) -> None:
    steps = [['make_folder', str(tmp_path), str(tmp_path / 'x'), False], ['make_usable', [str(tmp_path / 'missing')]],
             ['put_file', str(tmp_path / 'x/f'), 0o600, b'']]
    assert staging.perform(steps, [7, 110, 1234, b''], econtext) == [1, 2, 'No such file or directory']
    assert os.listdir(tmp_path / 'x') == [] and econtext.routed == []


@pytest.mark.parametrize('follow', [False, True])
def test_what_must_exist_stops_all_if_there_is_nothing(tmp_path: Path, econtext: Any, follow: bool) -> None:
    (tmp_path / 'link').symlink_to('nowhere')
    (tmp_path / 'file').write_text('')
    found = {}
    # Not a folder, a name that is too long, and one that no system knows: the job says what is wrong with these.
    for name in ('file', 'link', 'missing', 'file/x', 'n' * 300, 'a\0b'):
        answer = staging.perform([['must_exist', str(tmp_path / name), follow]], [7, 110, 1234, b'go'], econtext)
        assert answer in ([], [0, 2, 'No such file or directory'])
        assert econtext.routed == ([] if answer else [Frame(7, 0, 0, 110, 1234, DATA, b'go')])
        econtext.routed.clear()
        found[name] = not answer
    assert found == {'file': True, 'link': not follow, 'missing': False, 'file/x': True, 'n' * 300: True, 'a\0b': True}


@pytest.mark.parametrize('handed_over', [False, True])
def test_a_folder_that_an_earlier_attempt_has_made_is_used(
        tmp_path: Path, econtext: Any, monkeypatch: pytest.MonkeyPatch, handed_over: bool) -> None:
    steps = [['make_folder', str(tmp_path), str(tmp_path / 'x'), handed_over],
             ['put_file', str(tmp_path / 'x/f'), 0o600, b'content']]
    assert staging.perform(steps, [7, 110, 1234, b''], econtext) == []
    # Another context, which knows nothing of the first one's.
    monkeypatch.setattr(staging, '_folders', set())
    assert staging.perform(steps, [7, 110, 1234, b''], econtext) == []
    assert staging._folders == (set() if handed_over else {str(tmp_path / 'x')})


@pytest.mark.parametrize('kind', ['writable', 'link', 'file', 'of another'])
def test_what_someone_else_may_have_made_is_not_taken(
        tmp_path: Path, econtext: Any, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tmp_path / 'x'
    if kind == 'file':
        path.touch(0o600)
    elif kind == 'link':
        path.symlink_to(tmp_path)
    else:
        path.mkdir(0o700)
    if kind == 'writable':
        path.chmod(0o770)
    elif kind == 'of another':
        monkeypatch.setattr(os, 'geteuid', lambda: path.stat().st_uid + 1)
    assert staging.perform([['make_folder', str(tmp_path), str(path), False]], [], econtext)[:2] == [0, 17]
    assert not staging._folders


def test_folders_are_removed_at_the_end_but_for_those_handed_over(tmp_path: Path, econtext: Any) -> None:
    for name, handed_over in (('kept', True), ('left', False), ('gone', False)):
        assert staging.perform([['make_folder', str(tmp_path), str(tmp_path / name), handed_over]], [], econtext) == []
    (tmp_path / 'left/file').write_text('')
    assert staging.perform([['remove_folder', str(tmp_path / 'gone')]] * 2, [], econtext) == []
    (at_end,) = econtext.at_end
    at_end()
    assert os.listdir(tmp_path) == ['kept']


def install_setfacl(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that tells what it was given, and succeeds with /a only."""
    program = folder / 'setfacl'
    program.write_text('#!/bin/sh\necho "$@" > %s/said\n[ "$3" = /a ]\n' % folder)
    program.chmod(0o755)
    monkeypatch.setenv('PATH', '%s:%s' % (folder, os.environ['PATH']))


def test_sharing_is_a_program_if_that_succeeds(
        tmp_path: Path, econtext: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install_setfacl(tmp_path, monkeypatch)
    assert staging.perform([['share', 'app', 'r-x', ['/a']]], [], econtext) == []
    assert (tmp_path / 'said').read_text() == '-m u:app:r-x /a\n'


@pytest.mark.skipif(os.geteuid() != 0, reason='only the administrator gives files away')
@pytest.mark.parametrize(('permissions', 'mode'), [('r-x', 0o700), ('r-X', 0o400)])
def test_files_that_cannot_be_shared_are_given_away(
        permissions: str, mode: int, tmp_path: Path, econtext: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install_setfacl(tmp_path, monkeypatch)
    (tmp_path / 'file').touch(0o400)
    assert staging.perform([['share', 'nobody', permissions, [str(tmp_path / 'file')]]], [], econtext) == []
    status = (tmp_path / 'file').stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (pwd.getpwnam('nobody').pw_uid, mode)


def test_files_that_can_be_neither_shared_nor_given_away_are_a_failure(
        tmp_path: Path, econtext: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, uid: int, gid: int) -> None:
        raise PermissionError(1, 'Operation not permitted')
    monkeypatch.setattr(os, 'chown', refuse)
    monkeypatch.setenv('PATH', '/nowhere')
    (tmp_path / 'file').touch()
    for account, failure in (('nobody', [0, 1, 'Operation not permitted']),
                             ('no-such-account', [0, 22, 'there is no account no-such-account'])):
        assert staging.perform([['share', account, 'r-x', [str(tmp_path / 'file')]]], [], econtext) == failure


def test_home_folders_are_what_a_shell_makes_of_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', '/elsewhere')
    assert staging.home_of('')[0] == '/elsewhere'
    assert staging.home_of('root')[0] == '/root'
    assert staging.home_of('no-such-account')[0] == '~no-such-account'
    assert staging.home_of('root')[1] == os.stat('/etc/passwd').st_mtime_ns
