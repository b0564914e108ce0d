"""A process that is forked before its job is known: used when nothing has changed, and by nobody's notice."""

import os
import signal
import sys

import pytest

from tests.harness.processes import wait_until
from tests.runtime.test_zygote import interpreter_id
from tests.runtime.zygote_harness import INTERPRETERS, ZygoteClient

pytestmark = pytest.mark.skipif(not os.path.isdir('/proc/self/task'), reason='looks for processes in /proc')


@pytest.fixture(params=sorted({INTERPRETERS[0], sys.executable, INTERPRETERS[-1]}), ids=interpreter_id)
def zygote(request):
    with ZygoteClient(request.param) as client:
        yield client
        assert client.logs == []


def children(pid):
    with open('/proc/%d/task/%d/children' % (pid, pid)) as file:
        return [int(child) for child in file.read().split()]


def is_sleeping(pid):
    try:
        with open('/proc/%d/stat' % pid) as file:
            return file.read().rpartition(')')[2].split()[0] == 'S'
    except OSError:
        return False


def lines(result):
    assert result['rc'] == 0, result
    return result['stdout'].decode().splitlines()


def ready(zygote):
    """Return the process ID of the one that waits."""
    # That of the job before may be about to end still.
    return wait_until(lambda: [pid for pid in children(zygote.pid) if is_sleeping(pid)], 10,
                      'a process that waits for a job')[0]


WHO = 'import os\nprint(os.getpid())\n'


def warm(zygote, script=WHO, members=None):
    """Run a script until the zygote has nothing to learn of it; return the process ID of the one that waits."""
    for _ in range(3):
        zygote.script(script, members)
    return ready(zygote)


def test_a_job_like_the_last_ones_has_a_process_already(zygote):
    for _ in range(2):
        waiting = warm(zygote)
        assert lines(zygote.script(WHO)) == [str(waiting)]


def test_a_single_job_leaves_none_behind(zygote):
    zygote.script(WHO)
    zygote.pump_for(0.5)  # it would be forked after the answer
    assert children(zygote.pid) == []


def test_what_belongs_to_the_job_reaches_it(zygote, tmp_path):
    script = ('import os, sys\nprint(os.getpid(), os.environ["MINE"], os.getcwd(), sys.stdin.read(),'
              ' oct(os.umask(0)), os.getsid(0) == os.getpid(), sorted(os.listdir("/proc/self/fd")))\n'
              'print("problem", file=sys.stderr)\n')
    fields = {'env': {'MINE': 'yes'}, 'cwd': str(tmp_path), 'umask': 0o27, 'stdin': b'typed'}
    first = zygote.script(script, **fields)
    for _ in range(3):
        zygote.script(script, **fields)
    waiting = ready(zygote)
    again = zygote.script(script, **fields)
    assert again['stdout'].split()[0] == b'%d' % waiting
    assert again['stdout'].split()[1:] == first['stdout'].split()[1:]
    assert first['stdout'].split()[1:6] == [b'yes', str(tmp_path).encode(), b'typed', b'0o27', b'True']
    assert (again['rc'], again['stderr']) == (first['rc'], first['stderr']) == (0, b'problem\n')


def test_a_command_may_have_it(zygote):
    waiting = warm(zygote)
    assert lines(zygote.command(['/bin/sh', '-c', 'cat; echo $$ $MINE'], b'x\n', env={'MINE': 'yes'})) == [
        'x', '%d yes' % waiting]


def test_a_terminal_is_the_controlling_one(zygote):
    waiting = warm(zygote)
    result = zygote.command(['/bin/sh', '-c', 'tty -s && echo $$ >/dev/tty'], tty=True)
    assert result['stdout'].split() == [b'%d' % waiting]


def test_new_code_makes_a_new_process(zygote):
    members = {'shared.py': 'NUMBER = 1\n'}
    script = 'import shared\nprint(shared.NUMBER)\n' + WHO
    waiting = warm(zygote, script, members)
    number, pid = lines(zygote.script(script, {'shared.py': 'NUMBER = 2\n'}))
    assert number == '2' and int(pid) != waiting
    wait_until(lambda: not os.path.exists('/proc/%d' % waiting), 10, 'the end of the one that knew too little')
    number, pid = lines(zygote.script(script, members))
    assert number == '1'


def test_one_that_is_killed_is_replaced(zygote):
    waiting = warm(zygote)
    os.kill(waiting, signal.SIGKILL)
    wait_until(lambda: waiting not in children(zygote.pid), 10, 'its end')
    assert int(lines(zygote.script(WHO))[0]) != waiting


def test_two_jobs_at_once_have_two(zygote):
    waiting = warm(zygote)
    jobs = [zygote.start_script(WHO) for _ in range(2)]
    pids = [int(lines(zygote.wait(job))[0]) for job in jobs]
    assert waiting in pids and len(set(pids)) == 2


@pytest.mark.parametrize('end', ['hang up', signal.SIGTERM])
def test_it_ends_before_the_zygote(zygote, end):
    waiting = warm(zygote)
    if end == 'hang up':
        zygote.hang_up()
    else:
        os.kill(zygote.pid, end)
        zygote.process.wait(10)
    assert not os.path.exists('/proc/%d' % waiting)


def test_it_ends_soon_when_the_zygote_is_killed(zygote):
    waiting = warm(zygote)
    os.kill(zygote.pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists('/proc/%d' % waiting), 10, 'its end')
