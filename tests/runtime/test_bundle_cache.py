"""What is kept of a run for the next: found again, made anew when it is not the same, and never in the way."""

import os
import sys
from pathlib import Path

import pytest

from mitogen.parent import bundle_cache
from mitogen.parent.bundle_cache import cached


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where Python keeps byte-code, and so what is tested here."""
    monkeypatch.setattr(sys, 'pycache_prefix', str(tmp_path / 'cache'))
    monkeypatch.setattr(sys, 'dont_write_bytecode', False)
    return tmp_path / 'cache'


def files(folder):
    return [path for path in Path(folder).rglob('*') if path.is_file()]


class Maker:
    """Counts how often something is made."""

    def __init__(self, made=b'made'):
        self.made, self.times = made, 0

    def __call__(self):
        self.times += 1
        return self.made


def test_it_is_made_once_for_the_same_inputs(folder):
    make = Maker()
    for _ in range(3):
        assert cached('x', [b'a', b'b'], make) == b'made'
    assert make.times == 1
    assert len(files(folder)) == 1


@pytest.mark.parametrize('other', [[b'a', b'c'], [b'ab'], [b'b', b'a'], []])
def test_other_inputs_make_it_anew(other):
    cached('x', [b'a', b'b'], Maker(b'old'))
    assert cached('x', other, Maker(b'new')) == b'new'


def test_names_are_apart():
    assert [cached(name, [b'a'], Maker(name.encode())) for name in ('x', 'y', 'x')] == [b'x', b'y', b'x']


@pytest.mark.parametrize('damage', [lambda content: content[:-1], lambda content: b'', lambda content: content + b'!'])
def test_a_damaged_file_is_made_anew(folder, damage):
    cached('x', [b'a'], Maker())
    path = files(folder)[0]
    path.write_bytes(damage(path.read_bytes()))
    make = Maker()
    assert cached('x', [b'a'], make) == b'made' and make.times == 1
    assert cached('x', [b'a'], make) == b'made' and make.times == 1


def test_nothing_is_written_where_byte_code_is_not(folder, monkeypatch):
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    assert cached('x', [b'a'], Maker()) == b'made'
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(folder):
    folder.write_text('a file is in the way')
    make = Maker()
    assert [cached('x', [b'a'], make) for _ in range(2)] == [b'made'] * 2
    assert make.times == 2


def test_no_cache_at_all(monkeypatch):
    monkeypatch.setattr(sys.implementation, 'cache_tag', None)
    assert cached('x', [b'a'], Maker()) == b'made'


def test_a_full_disk_leaves_nothing(folder, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'replace', full)
    assert cached('x', [b'a'], Maker()) == b'made'
    assert files(folder) == []


def test_it_lies_beside_the_code_by_default(monkeypatch):
    monkeypatch.setattr(sys, 'pycache_prefix', None)
    path = Path(bundle_cache._path('x') or '')
    assert path.parent == Path(bundle_cache.__file__).parent / '__pycache__'
