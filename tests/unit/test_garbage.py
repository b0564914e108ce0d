"""What is there from the start is not searched for garbage; at the end nothing is, unless it does something then."""

import io
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible_mitogen.hooks.garbage import is_command_of_ansible, reason_to_collect

pytestmark = pytest.mark.every_core

TEXT = b'text'


class Finalized:
    def __del__(self) -> None:
        pass


def steps() -> Iterator[int]:
    try:
        yield 1
        yield 2
    finally:
        pass


def begun() -> Iterator[int]:
    generator = steps()
    next(generator)
    return generator


def ended() -> Iterator[int]:
    generator = steps()
    assert list(generator) == [1, 2]
    return generator


def written(mode: str, *, flush: bool) -> Any:
    """Return a file that was written to: to the disk as well, or not yet."""
    file = tempfile.TemporaryFile(mode)  # noqa: SIM115
    file.write(TEXT if 'b' in mode else TEXT.decode())
    if flush:
        file.flush()
    return file


def closed(mode: str) -> Any:
    file = written(mode, flush=False)
    file.close()
    return file


def pipe_writer() -> Any:
    return subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL).stdin


@pytest.mark.parametrize('make', [
    lambda: 5, list, dict, lambda: steps, steps, ended, io.BytesIO, io.StringIO, socket.socket,
    lambda: io.FileIO(__file__), lambda: io.BufferedReader(io.FileIO(__file__)),
    lambda: written('wb', flush=True), lambda: written('w+b', flush=True), lambda: closed('w'), lambda: closed('wb'),
    lambda: sys.__stdout__, lambda: sys.__stdout__ and sys.__stdout__.buffer])
def test_what_only_takes_memory_is_left(make: Callable[[], object]) -> None:
    assert reason_to_collect([make()], {}) == ''


@pytest.mark.parametrize('make, kind', [
    (Finalized, Finalized.__module__ + '.Finalized'),
    (begun, 'builtins.generator'),
    (lambda: written('wb', flush=False), '_io.BufferedWriter'),
    (lambda: written('w+b', flush=False), '_io.BufferedRandom'),
    (lambda: written('w', flush=False), '_io.TextIOWrapper'),
    (pipe_writer, '_io.BufferedWriter'),
    (type('Mine', (socket.socket,), {'__module__': 'there'}), 'there.Mine'),
])
def test_what_has_something_left_to_do_is_not(make: Callable[[], object], kind: str) -> None:
    assert reason_to_collect([1, make(), 2], {}) == 'an object of %s' % kind


def module(name: str, file: str | None) -> dict[str, ModuleType]:
    found = ModuleType(name)
    found.__file__ = file
    return {name: found}


@pytest.mark.parametrize('name, file', [
    ('mine', '/there/mine.py'), ('made', None), ('_json', '/lib/_json.so'), ('yaml._yaml', '/lib/yaml/_yaml.so')])
def test_known_modules_are_no_reason(name: str, file: str | None) -> None:
    assert reason_to_collect([], module(name, file)) == ''


@pytest.mark.parametrize('name', ['_sqlite3', '_gdbm', 'lmdb.cpython'])
def test_unknown_extension_modules_are_one(name: str) -> None:
    assert reason_to_collect([], module(name, '/lib/module.so')) == 'the extension module %s' % name


@pytest.mark.parametrize('path, is_left', [(None, True), (Path('/there'), False)])
def test_template_that_keeps_its_code_in_a_file_removes_it(path: Path | None, is_left: bool) -> None:
    template = type('AnsibleTemplate', (Finalized,), {'__module__': 'ansible._internal._templating._jinja_bits'})()
    template._python_source_temp_path = path
    assert (reason_to_collect([template], {}) == '') is is_left


@pytest.mark.parametrize('program, is_one', [
    ('/usr/bin/ansible', True), ('ansible-playbook', True), ('/lib/ansible/__main__.py', True),
    ('/lib/service/__main__.py', False), ('/usr/bin/service', False), ('-c', False), ('', False)])
def test_other_programs_are_left_alone(program: str, is_one: bool) -> None:
    assert is_command_of_ansible(program) is is_one


#: What is registered first is called last.
PROGRAM = """
import atexit, gc, os, sys
frozen = gc.get_freeze_count()
atexit.register(lambda: print(gc.get_freeze_count() > frozen))
from ansible_mitogen.hooks.garbage import Garbage
sys.argv = ['/usr/bin/ansible-playbook']
Garbage().install(5)
assert len(gc.get_objects()) < 100 < gc.get_freeze_count() - frozen
%s
"""


@pytest.mark.parametrize('line, is_left', [
    ('', True),
    ('file = open(os.devnull, "w"); file.write("text")', False),
    ('import threading; threading.Thread(target=print, args=("thread",)).start()', True),
    ('sys.modules["odd"] = type("Odd", (), {"__getattr__": lambda self, name: 1 / 0})()', False),
    ('if os.fork(): os.wait(); os._exit(0)\ngc.unfreeze()', False),
])
def test_it_is_done_when_the_process_exits(line: str, is_left: bool) -> None:
    ended = subprocess.run([sys.executable, '-c', PROGRAM % line], check=True, capture_output=True, text=True)
    assert set(ended.stdout.split()) - {'thread'} == {str(is_left)}
    assert ended.stderr == ''
