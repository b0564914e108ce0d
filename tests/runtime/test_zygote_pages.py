"""Memory that jobs write to is copied for the next one while that waits; what they find there stays what it was."""

import array
import ctypes
import io
import mmap
import os
import sys

import pytest

from mitogen.zygote import pages
from tests.harness.processes import wait_until
from tests.runtime.test_zygote import interpreter_id
from tests.runtime.test_zygote_blank import lines, ready
from tests.runtime.zygote_harness import INTERPRETERS, ZygoteClient

PAGE = os.sysconf('SC_PAGE_SIZE')

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='of Linux')


def numbers(told):
    found = array.array('Q', told)
    return list(zip(found[::2], found[1::2], strict=True))


def test_pages_are_told_in_runs():
    assert numbers(pages.as_ranges([])) == []
    assert numbers(pages.as_ranges([9, 4, 5, 6])) == [(4 * PAGE, 3 * PAGE), (9 * PAGE, PAGE)]


@pytest.mark.parametrize('told', [b'', b'odd', array.array('Q', [0, 1 << 40]).tobytes(), b'\xff' * 64])
def test_what_makes_no_sense_is_not_believed(told):
    assert pages._ranges(told) == []
    assert pages._ranges(pages.as_ranges([1, 2])) == [(PAGE, 2 * PAGE)]


def test_no_more_is_told_than_is_worth_it():
    assert sum(size for _, size in numbers(pages.as_ranges(range(0, 10000, 2)))) == 2048 * PAGE


def anonymous_memory():
    """Return how much this process has, in bytes."""
    with open('/proc/self/smaps_rollup') as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith('Anonymous')) * 1024


@pytest.mark.skipif(not hasattr(ctypes.PyDLL(None), 'malloc_trim'), reason='of the C library of GNU')
def test_memory_that_is_free_is_given_back_once():
    shared = pages.SharedPages()
    for state, is_given in ((1, True), (1, False), (2, True)):
        # Too small for a mapping of its own, and what is above it stays.
        blocks = [ctypes.create_string_buffer(b'x', 10000) for _ in range(1000)]
        kept = ctypes.create_string_buffer(10000)
        del blocks
        before = anonymous_memory()
        shared.give_back(state)
        assert (before - anonymous_memory() > 5_000_000) is is_given
        del kept


def in_child(func):
    """Return what a function returns in a forked process: bytes."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writer, func())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, 'rb') as file:
        told = file.read()
    os.waitpid(pid, 0)
    return told


@pytest.fixture
def memory():
    """Memory of ten pages that has been written to, and the address of its first page."""
    content = mmap.mmap(-1, 10 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    content.write(b'x' * (10 * PAGE))
    return content, ctypes.addressof(ctypes.c_char.from_buffer(content))


@pytest.fixture
def quiet(monkeypatch):
    """A machine that has nothing to do but what the test does."""
    monkeypatch.setattr(pages, 'is_busy', lambda: False)


def test_a_process_tells_what_it_has_written_to(memory):
    content, address = memory

    def job():
        content[0:1] = b'y'
        observation = pages.SharedPages.observe()
        content[3 * PAGE:3 * PAGE + 1] = content[4 * PAGE:4 * PAGE + 1] = b'y'
        assert content[7 * PAGE] == ord('x')
        return observation.told()
    told = numbers(in_child(job))
    covered = {page for start, size in told for page in range(start // PAGE, (start + size) // PAGE)}
    first = address // PAGE
    assert covered.intersection(range(first, first + 10)) == {first + 3, first + 4}


def test_what_was_learnt_is_copied_and_keeps_its_content(memory, quiet):
    content, address = memory
    known = pages.SharedPages()
    assert known.are_wanted('state')
    # What is not there any more does not matter.
    known.learn('state', array.array('Q', [1 << 40, PAGE, address + 2 * PAGE, 3 * PAGE]).tobytes())
    assert not known.are_wanted('state') and known.are_wanted('other')

    def job():
        before = pages.own_pages()
        known.copy()
        own = pages.own_pages() - before
        own.intersection_update(range(address // PAGE, address // PAGE + 10))
        return b'%r %r' % (sorted(page - address // PAGE for page in own), content[:] == b'x' * (10 * PAGE))
    assert in_child(job) == b'[2, 3, 4] True'


def test_the_zygote_copies_what_it_wrote_to_itself(memory, quiet):
    content, address = memory
    known = pages.SharedPages()
    assert known.are_wanted('state')
    first = address // PAGE

    def waiting(pipe):
        """Fork a process that lives until the other end of the pipe is closed."""
        pid = os.fork()
        if not pid:
            os.close(pipe[1])
            os.read(pipe[0], 1)
            os._exit(0)
        os.close(pipe[0])
        return pid, pipe[1]

    def own():
        return sorted(pages.own_pages().intersection(range(first, first + 10)))
    one = waiting(os.pipe())
    content[5 * PAGE:5 * PAGE + 1] = b'y'
    known.learn_own()
    other = waiting(os.pipe())
    assert own() == []
    known.copy_own()
    assert own() == [first + 5]
    assert content[:] == b'x' * (5 * PAGE) + b'y' + b'x' * (5 * PAGE - 1)
    # The later one has the earlier one's pipe open, too.
    for pid, pipe in (other, one):
        os.close(pipe)
        os.waitpid(pid, 0)


def test_a_busy_machine_has_no_time_for_it(memory, quiet, monkeypatch):
    _, address = memory
    known = pages.SharedPages()
    assert known.are_wanted('state')
    known.learn('state', array.array('Q', [address, PAGE]).tobytes())

    def job():
        before = pages.own_pages()
        known.copy()
        return b'%d' % (address // PAGE in pages.own_pages() - before)
    assert in_child(job) == b'1'
    monkeypatch.setattr(pages, 'is_busy', lambda: True)
    assert in_child(job) == b'0'
    assert not known.are_wanted('other')


@pytest.mark.parametrize('running, busy', [(1, False), (2, False), (3, True)])
def test_a_machine_is_busy_if_all_of_its_processors_are(monkeypatch, running, busy):
    files = {'/proc/loadavg': '0.01 2.00 3.00 %d/414 12345\n' % running}
    monkeypatch.setattr(pages, 'open', lambda path: io.StringIO(files[path]), raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 5})
    assert pages.is_busy() is busy
    files['/proc/loadavg'] = 'of another kind'
    assert pages.is_busy()


def test_it_is_nothing_where_nobody_has_imported_ctypes(quiet, monkeypatch):
    monkeypatch.delitem(sys.modules, 'ctypes')
    assert not pages.SharedPages().are_wanted('state')


@pytest.fixture(params=sorted({INTERPRETERS[0], sys.executable, INTERPRETERS[-1]}), ids=interpreter_id)
def zygote(request):
    quiet = 'from mitogen.zygote import pages\npages.is_busy = lambda: False\n'
    with ZygoteClient(request.param, lean=False, before=quiet) as client:
        yield client
        assert client.logs == []


#: A thousand pages, which each job finds as they were, and writes to.
DATA = 'import ctypes\ncontent = bytearray(b"x") * (1000 * %d)\n' % PAGE
WRITES = ('import data\nassert data.content.count(b"x") == len(data.content)\n'
          'data.content[:] = b"y" * len(data.content)\nprint("done")\n')


def kib_of_its_own(pid):
    with open('/proc/%d/smaps_rollup' % pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith('Private_Dirty:'))


def test_the_process_that_waits_has_what_the_jobs_before_wrote_to(zygote):
    def run():
        assert lines(zygote.script(WRITES, {'data.py': DATA}, preload=['data'])) == ['done']

    def has_them():
        run()
        return kib_of_its_own(ready(zygote)) > 1000 * PAGE // 1024
    for _ in range(3):
        run()
    assert kib_of_its_own(ready(zygote)) < 1000 * PAGE // 1024
    wait_until(has_them, 10, 'a process to have the pages that the jobs before it have written to')
    run()


def test_a_command_is_not_observed_and_modules_are_not_for_ever(tmp_path):
    count = tmp_path / 'count'
    noting = ('from mitogen.zygote import pages\npages.is_busy = lambda: False\n'
              'class Noting(pages.Observation):\n    def __init__(self):\n'
              '        with open(%r, "a") as file:\n            file.write(".")\n'
              '    def told(self):\n        return b""\n'
              'pages.Observation = Noting\n' % str(count))
    with ZygoteClient(lean=False, before=noting) as client:
        for _ in range(3):
            lines(client.script(WRITES, {'data.py': DATA}, preload=['data']))
        for _ in range(3):
            ready(client)
            client.command(['true'])
        assert not count.exists()
        for _ in range(6):
            ready(client)
            lines(client.script(WRITES, {'data.py': DATA}, preload=['data']))
        # The process for the next job may have been forked off before the first one had told.
        assert count.read_text() in ('.', '..')
