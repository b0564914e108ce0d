"""What tells that a login would be another one now."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mitogen.zygote import sources as sources_module
from mitogen.zygote.sources import Sources, lines_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'file').write_text('one')
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'inside').write_text('one')
    return tmp_path


def sources(folder: Path) -> Sources:
    return Sources([str(folder / name) for name in ('file', 'folder', 'missing')])


def test_nothing_changes_by_itself(folder: Path) -> None:
    found = sources(folder)
    assert not found.are_outdated() and not found.are_outdated()


@pytest.mark.parametrize('name', ['file', 'folder/inside', 'folder/new', 'missing'])
def test_a_change_stays_one(folder: Path, name: str) -> None:
    found = sources(folder)
    before = (folder / name).read_text() if (folder / name).exists() else None
    (folder / name).write_text('other text')
    assert found.are_outdated()
    (folder / name).write_text(before or '')
    assert found.are_outdated()


def test_a_file_that_is_replaced_or_removed_has_changed(folder: Path) -> None:
    replaced, removed = sources(folder), sources(folder)
    (folder / 'new').write_text('one')
    os.replace(folder / 'new', folder / 'file')
    assert replaced.are_outdated()
    (folder / 'folder' / 'inside').unlink()
    assert removed.are_outdated()


def test_a_home_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(folder))
    found = Sources(['~/file'])
    (folder / 'file').write_text('changed')
    assert found.are_outdated()


GROUPS = (b'root:x:0:\nsudo:x:27:alice,bob\ndaemon:x:1:\nusers:x:100:bob,carol\n'
          b'alice:x:1000:\nbob:x:1001:\nbroken line\n')


def test_groups_matter_by_their_number_and_by_their_members() -> None:
    assert lines_of(GROUPS, {b'alice', b'root'}, {b'0', b'1000'}) == [
        b'root:x:0:', b'sudo:x:27:alice,bob', b'alice:x:1000:', b'broken line']


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of groups, in the process of an account that a user has entered by sudo."""
    path = tmp_path / 'group'
    path.write_bytes(GROUPS)
    monkeypatch.setattr(sources_module, 'GROUPS', str(path))
    monkeypatch.setenv('SUDO_USER', 'alice')
    numbers = {'alice': 1000}
    monkeypatch.setattr(sources_module.pwd, 'getpwuid', lambda uid: SimpleNamespace(pw_name='root', pw_gid=0))
    monkeypatch.setattr(sources_module.pwd, 'getpwnam', lambda name: SimpleNamespace(
        pw_name=name, pw_gid=numbers[name]))
    return path


def test_groups_of_others_may_change(groups: Path) -> None:
    found = Sources([str(groups)])
    for line in (b'app:x:990:bob\n', b'more:x:991:\n'):
        groups.write_bytes(groups.read_bytes() + line)
        assert not found.are_outdated()
    groups.write_bytes(groups.read_bytes() + b'docker:x:992:alice\n')
    assert found.are_outdated()


@pytest.mark.parametrize('before, after', [
    (b'sudo:x:27:alice,bob', b'sudo:x:27:bob'), (b'root:x:0:', b'root:x:0:carol'), (b'alice:x:1000:\n', b''),
    (b'users:x:100:bob', b'users:x:100:root'), (b'sudo:x:27', b'wheel:x:27'),
])
def test_those_of_the_two_accounts_may_not(groups: Path, before: bytes, after: bytes) -> None:
    found = Sources([str(groups)])
    assert before in GROUPS
    groups.write_bytes(GROUPS.replace(before, after))
    assert found.are_outdated()


def test_nor_any_if_it_is_not_known_which_accounts_matter(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Sources([str(groups)])
    monkeypatch.setenv('SUDO_USER', 'nobody here')
    unknown = Sources([str(groups)])
    monkeypatch.delenv('SUDO_USER')
    by_su = Sources([str(groups)])
    groups.write_bytes(GROUPS + b'app:x:990:bob\n')
    assert stranger.are_outdated() and unknown.are_outdated() and by_su.are_outdated()
    monkeypatch.setenv('SUDO_USER', 'alice')
    assert Sources([str(groups)]).are_outdated() is False


def test_something_else_may_not_change_with_them(groups: Path, folder: Path) -> None:
    found = Sources([str(groups), str(folder / 'file')])
    groups.write_bytes(GROUPS + b'app:x:990:bob\n')
    (folder / 'file').write_text('other text')
    assert found.are_outdated()
