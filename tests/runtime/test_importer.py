"""Importing from the master: what a child finds, and what it leaves alone."""

import sys
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitogen.core.errors import CallError
from mitogen.core.router import Context
from mitogen.master import ChildSpec, Router
from mitogen.parent.bootstrap import bootstrap_command

#: What the master has.
TREE = {
    'wares/__init__.py': 'from . import inner\nfrom .deep.down import WHERE\nKIND = "new"\n',
    'wares/inner.py': 'from .deep import down\nfrom wares.loop_a import A\nVALUE = 6 * 7\n',
    'wares/loop_a.py': 'A = 1\nfrom wares import loop_b\n\ndef both():\n    return A + loop_b.B\n',
    'wares/loop_b.py': 'from wares import loop_a\nB = 2\nSEEN = loop_a.A\n',
    'wares/deep/__init__.py': '',
    'wares/deep/down.py': 'from .. import deep\nfrom ..inner import __name__ as upper\nWHERE = __name__\n',
    'wares/data.txt': 'some data\n',
    'wares/deep/more.txt': 'deep data\n',
    'wares/slow.py': 'import time\ntime.sleep(0.3)\nCOUNT = globals().get("COUNT", 0) + 1\n',
    'json/__init__.py': 'raise RuntimeError("the library of the target was shadowed")\n',
    'colorsys.py': 'raise RuntimeError("the library of the target was shadowed")\n',
    'probe.py': '''
        import importlib, pkgutil, sys, threading, zlib


        def look(name, *attributes):
            module = importlib.import_module(name)
            return [getattr(module, attribute) for attribute in attributes]


        def both():
            from wares import loop_a
            return loop_a.both(), loop_a.loop_b.SEEN


        def read(package, path):
            from importlib import resources
            ways = [pkgutil.get_data(package, path), resources.files(package).joinpath(path).read_bytes()]
            return [[len(content), zlib.crc32(content)] for content in ways]


        def listing(package):
            from importlib import resources
            return sorted(item.name for item in resources.files(package).iterdir())


        def import_in_threads(name, count):
            found, start = [], threading.Barrier(count)

            def work():
                start.wait(30)
                try:
                    found.append(importlib.import_module(name).COUNT)
                except BaseException as exc:
                    found.append(repr(exc))
            threads = [threading.Thread(target=work) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            return found


        def fail_to_import(name):
            try:
                importlib.import_module(name)
            except ImportError as exc:
                return type(exc).__name__
    ''',
}


@pytest.fixture(scope='module')
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What the master has, and an older copy that is installed on the target."""
    ours, theirs = tmp_path_factory.mktemp('master'), tmp_path_factory.mktemp('target')
    for path, text in TREE.items():
        (ours / path).parent.mkdir(parents=True, exist_ok=True)
        (ours / path).write_text(textwrap.dedent(text))
    (ours / 'wares' / 'large.bin').write_bytes(bytes(range(256)) * 6000)
    for path, text in {'wares/__init__.py': 'KIND = "old"\n', 'wares/only_there.py': '', 'theirs/__init__.py': '',
                       'theirs/part.py': 'WHERE = "target"\n'}.items():
        (theirs / path).parent.mkdir(parents=True, exist_ok=True)
        (theirs / path).write_text(text)
    return ours, theirs


@pytest.fixture
def router(trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Router]:
    monkeypatch.syspath_prepend(str(trees[0]))
    router = Router()
    yield router
    router.broker.shutdown()
    router.broker.join(20)
    sys.modules.pop('probe', None)


@pytest.fixture
def child(router: Router, trees: tuple[Path, Path]) -> Context:
    # As from elsewhere: a local child would read the files of its parent.
    return router.open(ChildSpec(['sh', '-c', bootstrap_command([sys.executable])], 'child',
                                 env={'PYTHONPATH': str(trees[1])}))


def ask(child: Context, function: str, *args: Any) -> Any:
    """Call a function of the module `probe`, which only the master has."""
    import probe  # type: ignore[import-not-found]
    return child.call(getattr(probe, function), *args, mitogen_timeout=60)


def test_packages_relative_and_circular_imports_come_from_the_master(router: Router, child: Context) -> None:
    assert ask(child, 'look', 'wares', 'WHERE', 'KIND') == ['wares.deep.down', 'new']
    assert ask(child, 'look', 'wares.inner', 'VALUE', '__package__') == [42, 'wares']
    assert ask(child, 'look', 'wares.deep.down', 'upper') == ['wares.inner']
    assert ask(child, 'both') == (3, 1)
    # All of it came with the first of them.
    assert router.responder.requests <= 3


def test_an_older_copy_on_the_target_is_not_used_and_nothing_of_it_is_mixed_in(child: Context) -> None:
    assert ask(child, 'look', 'wares', 'KIND') == ['new']
    assert ask(child, 'fail_to_import', 'wares.only_there') == 'ModuleNotFoundError'


def test_a_package_that_only_the_target_has_is_left_to_it(child: Context) -> None:
    assert ask(child, 'look', 'theirs.part', 'WHERE') == ['target']


def test_the_library_of_the_target_is_never_shadowed(child: Context) -> None:
    assert ask(child, 'look', 'json', '__name__') == ['json']
    assert ask(child, 'look', 'colorsys', '__name__') == ['colorsys']


def test_data_of_packages_is_read_whole_whatever_its_size(child: Context, trees: tuple[Path, Path]) -> None:
    for package, path in (('wares', 'data.txt'), ('wares.deep', 'more.txt'), ('wares', 'large.bin')):
        content = trees[0].joinpath(*package.split('.'), path).read_bytes()
        assert ask(child, 'read', package, path) == [[len(content), zlib.crc32(content)]] * 2
    assert {'data.txt', 'large.bin', 'deep', '__init__.py'} <= set(ask(child, 'listing', 'wares'))
    with pytest.raises(CallError, match='FileNotFoundError|OSError'):
        ask(child, 'read', 'wares', 'missing.txt')


def test_threads_that_import_the_same_at_once_import_it_once(child: Context) -> None:
    assert ask(child, 'import_in_threads', 'wares.slow', 8) == [1] * 8


def test_what_the_master_has_not_is_asked_for_once(router: Router, child: Context) -> None:
    assert ask(child, 'fail_to_import', 'wares.missing') == 'ModuleNotFoundError'
    before = router.responder.requests
    for _ in range(3):
        assert ask(child, 'fail_to_import', 'wares.missing') == 'ModuleNotFoundError'
    assert router.responder.requests == before


def test_a_large_file_reaches_a_child_behind_another_one(
        router: Router, child: Context, trees: tuple[Path, Path]) -> None:
    inner = router.local(via=child, python=sys.executable)
    content = (trees[0] / 'wares' / 'large.bin').read_bytes()
    assert ask(inner, 'read', 'wares', 'large.bin') == [[len(content), zlib.crc32(content)]] * 2
