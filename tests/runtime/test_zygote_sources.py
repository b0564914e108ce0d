"""What tells that a login would be another one now."""

import os
from pathlib import Path

import pytest

from mitogen.zygote.sources import Sources


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
