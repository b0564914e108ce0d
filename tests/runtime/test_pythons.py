"""Every Python of this machine that a target may have, as one: calls, imports, zygote, and children of its own."""

import importlib
import os
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitogen.core import CallError, Context, Receiver, TimeoutError, handles
from mitogen.master import ChildSpec, HopError, Router
from mitogen.parent.bootstrap import LATE_MEMBERS, bootstrap_command
from tests.harness.pythons import find_python, target_pythons
from tests.runtime import remote

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = target_pythons()
SOON = 60

#: A package that exists nowhere but here: relative and circular imports, data, a library that the target has.
PACKAGE = {
    '__init__.py': 'from .first import one\nfrom . import second\n',
    'first.py': '''
        """Imports the second, which imports it."""
        from typing import Dict, List
        from . import second
        one = 1
        def two() -> "List[int]":
            return [one, second.number]
        ''',
    'second.py': '''
        import json, logging
        import travelling
        from travelling import first
        number = 2
        def all_of_it():
            import importlib, pkgutil
            from travelling.below.deep import where
            found = [first.two(), where(), pkgutil.get_data('travelling.below', 'words.txt').decode('utf-8'), __file__]
            try:
                importlib.import_module('travelling.missing')
            except ImportError as exc:
                found.append(exc.name)
            try:
                from importlib import resources
                found.append(resources.read_text('travelling.below', 'words.txt', encoding='utf-8'))
            except (ImportError, AttributeError):
                found.append(found[2])
            logging.getLogger('travelling').warning('it has %s', 'arrived')
            return found
        ''',
    'below/__init__.py': '',
    'below/deep.py': 'from ..first import one\nfrom .. import second\ndef where():\n    return [__name__, one]\n',
    'below/words.txt': 'caf\u00e9\n',
}


@pytest.fixture(scope='module')
def travelling(tmp_path_factory: Any) -> Iterator[Any]:
    """The package's module `second`, importable here."""
    folder = tmp_path_factory.mktemp('package')
    for path, source in PACKAGE.items():
        target = folder / 'travelling' / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(source), 'utf-8')
    sys.path.insert(0, str(folder))
    import travelling.second  # type: ignore[import-not-found]
    yield travelling.second
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition('.')[0] == 'travelling']:
        del sys.modules[name]


@pytest.fixture(scope='module')
def router() -> Iterator[Router]:
    router = Router()
    yield router
    router.broker.shutdown()
    router.broker.join(20)
    assert not router.broker.thread.is_alive()


@pytest.fixture(scope='module', params=PYTHONS)
def version(request: Any) -> str:
    return str(request.param)


def start(router: Router, python: str, via: Context | None = None, zygote: bool = True) -> Context:
    """Start a context as on another host: by its shell, from the bundle."""
    argv = ['env', '-u', 'PYTHONPATH', 'sh', '-c', bootstrap_command([python])]
    return router.open(ChildSpec(argv, 'target', deadline=SOON, zygote=zygote), via)  # type: ignore[call-arg]


@pytest.fixture(scope='module')
def target(router: Router, version: str) -> Iterator[Context]:
    context = start(router, PYTHONS[version])
    yield context
    context.shutdown(wait=True, timeout=SOON)


def test_this_machine_has_more_than_one_python() -> None:
    if os.environ.get('CI'):
        assert {'3.6', '3.13'} <= set(PYTHONS)
    assert PYTHONS


def test_functions_are_called(target: Context, version: str) -> None:
    assert '3.%d' % target.call(remote.describe)['version'][1] == version
    assert list(target.info['python'][:2]) == target.call(remote.describe)['version']
    assert target.call(remote.echo, {(1,): b'\xff', 'a': {2}}, key='\u20ac') == [
        ({(1,): b'\xff', 'a': {2}},), {'key': '\u20ac'}]
    with pytest.raises(CallError, match='no such thing') as caught:
        target.call(remote.fail_deeply, 'no such thing')
    assert 'in fail_deeply' in caught.value.traceback
    with pytest.raises(TimeoutError):
        target.call(remote.announce_and_sleep, Receiver(target.router).to_sender(), 600, mitogen_timeout=0.2)
    assert target.call(remote.double, 2, mitogen_timeout=SOON) == 4


def test_values_stream_both_ways(router: Router, target: Context) -> None:
    inbox = Receiver(router, source=target.context_id)
    sent = target.call_async(remote.send_blocks, inbox.to_sender(), 100, 65536)
    assert sum(map(len, inbox)) == 100 * 65536 and sent.get(SOON) == 100
    inbox = Receiver(router, source=target.context_id)
    taken = target.call_async(remote.take_blocks, inbox.to_sender(), None)
    go, blocks = inbox.get(SOON)
    go.send(None)
    for number in range(100):
        blocks.send(number.to_bytes(8, 'big') + b'.' * 65528)
    blocks.close()
    assert taken.get(SOON) == [100, 100 * 65536]


def test_packages_are_imported_with_their_data(target: Context, travelling: Any, caplog: Any) -> None:
    found = target.call(travelling.all_of_it)
    assert found == [[1, 2], ['travelling.below.deep', 1], 'caf\u00e9\n', travelling.__file__, 'travelling.missing',
                     'caf\u00e9\n']
    assert 'it has arrived' in caplog.text


def test_the_zygote_runs_commands(router: Router, target: Context) -> None:
    zygote = router.context_for(target.info['zygote_id'])
    job = {'kind': 'command', 'env': {'WORD': 'caf\u00e9'}, 'cwd': '/', 'umask': 0o27, 'tty': False}
    script = 'cat; echo "$WORD $(umask) $(pwd)"; echo err >&2; exit 3'
    answers = [zygote.ask(handles.RUN, {**job, 'job': number, 'argv': ['sh', '-c', script], 'stdin': b'in\n'})
               for number in range(5)]
    for answer in answers:
        result = answer.get(SOON)
        assert (result['rc'], result['stdout'], result['stderr']) == (3, 'in\ncaf\u00e9 0027 /\n'.encode(), b'err\n')


def test_the_zygote_runs_modules_from_the_members_that_were_sent(router: Router, target: Context) -> None:
    members = {path: (ROOT / path).read_bytes() for path in LATE_MEMBERS}
    members['launcher.py'] = b'import runpy\ndef run(name):\n    runpy.run_module(name, None, "__main__", True)\n'
    members['library/__init__.py'] = b''
    members['library/words.py'] = 'WORD = "caf\u00e9"\n'.encode()
    members['module.py'] = (b'import os, sys\nfrom library.words import WORD\n'
                            b'os.environ["WORD"] = WORD\nprint(ascii(WORD), __name__, len(sys.argv))\nsys.exit(7)\n')
    listing = [[number, path, len(source)] for number, (path, source) in enumerate(members.items())]
    router.send(target.context_id, handles.PUSH_CODE, {
        'members': listing, 'blob': zlib.compress(b''.join(members.values()))})
    zygote = router.context_for(target.info['zygote_id'])
    for number in range(2):
        result = zygote.ask(handles.RUN, {
            'job': 100 + number, 'kind': 'module', 'env': {}, 'cwd': None, 'umask': None,
            'members': [[0, len(listing) - 1]], 'entry': 'launcher:run', 'args': {'name': 'module'},
            'preload': ['library.words'] * number}).get(SOON)
        assert (result['rc'], result['stdout'], result['stderr']) == (7, b"'caf\\xe9' __main__ 1\n", b'')
        assert 'library.words' in result['imported']


def test_it_becomes_a_parent(router: Router, target: Context, version: str, travelling: Any) -> None:
    below = start(router, PYTHONS[version], via=target)
    forked = router.fork(via=target)
    assert [context.call(os.getppid) for context in (below, forked)] == [target.call(os.getpid)] * 2
    assert below.call(travelling.all_of_it)[:2] == [[1, 2], ['travelling.below.deep', 1]]
    zygote = router.context_for(below.info['zygote_id'])
    answer = zygote.ask(handles.RUN, {'job': 1, 'kind': 'command', 'env': {}, 'cwd': None, 'umask': None, 'stdin': b'',
                                      'argv': ['echo', 'below'], 'tty': False})
    assert answer.get(SOON)['stdout'] == b'below\n'
    forked.shutdown(wait=True, timeout=SOON)
    below.shutdown(wait=True, timeout=SOON)


def test_one_that_has_no_zygote_can_have_children_that_have(router: Router, version: str) -> None:
    for plain in (start(router, PYTHONS[version], zygote=False), router.local(python=PYTHONS[version])):
        below = start(router, PYTHONS[version], via=plain)
        zygote = router.context_for(below.info['zygote_id'])
        answer = zygote.ask(handles.RUN, {'job': 1, 'kind': 'command', 'env': {}, 'cwd': None, 'umask': None,
                                          'stdin': b'', 'argv': ['echo', 'below'], 'tty': False})
        assert answer.get(SOON)['stdout'] == b'below\n'
        plain.shutdown(wait=True, timeout=SOON)


def test_it_runs_with_its_own_libraries_in_a_local_child(router: Router, version: str) -> None:
    child = router.local(python=PYTHONS[version])
    assert '3.%d' % child.call(remote.describe)['version'][1] == version
    assert child.call(remote.double, 2) == 4
    child.shutdown(wait=True, timeout=SOON)


def test_a_package_of_a_hundred_modules_comes_in_few_requests(router: Router, target: Context, tmp_path: Path,
                                                              version: str, monkeypatch: Any) -> None:
    # Another name for each target, since this process imports it too.
    name = 'hundred_%s' % version.replace('.', '_')
    (tmp_path / name).mkdir()
    for number in range(99):
        (tmp_path / name / ('part_%d.py' % number)).write_text(
            'from %s import part_%d\n' % (name, number // 2) * bool(number) + 'number = %d\n' % number)
    (tmp_path / name / '__init__.py').write_text(
        ''.join('from %s import part_%d\n' % (name, number) for number in reversed(range(99))))
    (tmp_path / name / 'remote_part.py').write_text(
        'import sys\ndef count():\n    package = __name__.partition(".")[0]\n'
        '    return sum(name.startswith(package) for name in sys.modules)\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    count = importlib.import_module(name + '.remote_part').count
    before = router.responder.requests
    assert target.call(count) == 101
    assert router.responder.requests - before <= 5


# No Python that would do


@pytest.fixture
def python2() -> str:
    """A Python 2.7, or what passes for one where there is none."""
    found = find_python('2.7')
    if found is None:
        pytest.skip('this machine has no Python 2.7')
    return found


def failure_of(router: Router, pythons: list[str], via: Context | None = None) -> HopError:
    with pytest.raises(HopError) as caught:
        router.open(ChildSpec(['sh', '-c', bootstrap_command(pythons)], 'old box'), via)  # type: ignore[call-arg]
    return caught.value


def test_a_target_with_python_2_only_is_told_in_one_line_that_names_it(router: Router, python2: str) -> None:
    for via in (None, router.local()):
        error = failure_of(router, ['no-such-python3', python2], via)
        assert error.kind == 'no_python'
        text = subprocess.run([python2, '-c', 'import sys; print(sys.version.split()[0])'], stdout=subprocess.PIPE,
                              text=True).stdout.strip()
        assert str(error) == ('old box: no Python 3.6 or later found, looked for no-such-python3, %s; %s is %s'
                              % (python2, python2, text))
        assert b'Traceback' not in error.output and b'SyntaxError' not in error.output


def test_a_target_without_any_python_is_told_in_one_line_what_was_looked_for(router: Router) -> None:
    error = failure_of(router, ['no-such-python3', '/no/such/python'])
    assert error.kind == 'no_python'
    assert str(error) == 'old box: no Python found, looked for no-such-python3, /no/such/python'


def test_a_terminal_in_place_of_the_standard_input_is_told(router: Router) -> None:
    command = ['sh', '-c', bootstrap_command([sys.executable])]
    through_a_terminal = [sys.executable, '-c', 'import pty, sys; pty.spawn(sys.argv[1:])', *command]
    for via in (None, router.local()):
        with pytest.raises(HopError) as caught:
            router.open(ChildSpec(through_a_terminal, 'machine m1', may_prompt=True), via)  # type: ignore[call-arg]
        assert caught.value.kind == 'terminal'
        assert str(caught.value) == 'machine m1 gives a terminal in place of the standard input'


def test_a_program_that_prints_the_command_and_refuses_it_gives_no_terminal(router: Router) -> None:
    command = bootstrap_command([sys.executable])
    with pytest.raises(HopError) as caught:
        router.open(ChildSpec(['sh', '-c', 'echo "may not run $0"; exit 1', command], 'box'))  # type: ignore[call-arg]
    assert caught.value.kind == 'exited'


def test_an_old_python_makes_way_for_a_later_one(router: Router, python2: str, tmp_path: Path) -> None:
    context = router.open(ChildSpec(['sh', '-c', bootstrap_command([  # type: ignore[call-arg]
        'no-such-python3', python2, sys.executable])], 'old box'))
    assert context.call(remote.double, 2) == 4
    assert context.info['chosen'] == sys.executable
    context.shutdown()
