"""The fork server, driven by real frames, on every interpreter that a target may have."""

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.runtime.zygote_harness import INTERPRETERS, ZygoteClient, ZygoteError


def interpreter_id(path):
    return path.split('/')[-3] if path.count('/') > 3 else path


@pytest.fixture(scope='module', params=INTERPRETERS, ids=interpreter_id)
def zygote(request):
    """A zygote that several tests share, as tasks do."""
    with ZygoteClient(request.param) as client:
        client.python = request.param
        yield client
        assert client.logs == []


@pytest.fixture
def own_zygote():
    with ZygoteClient(INTERPRETERS[-1]) as client:
        yield client


def alive(pid):
    """Whether a process exists and is no zombie."""
    try:
        return Path('/proc/%d/stat' % pid).read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def until(condition, seconds=20, client=None):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        if client is None:
            time.sleep(0.02)
        else:
            client.pump_for(0.02)


def printed(result):
    assert result['rc'] == 0, result
    return result['stdout'].decode()


# Commands

def test_a_command_gets_its_stdin_and_gives_its_output_and_status(zygote):
    result = zygote.command(['/bin/sh', '-c', 'cat; echo oops >&2; exit 7'], stdin=b'hello \x00\xff')
    assert (result['rc'], result['stdout'], result['stderr']) == (7, b'hello \x00\xff', b'oops\n')


def test_a_command_with_an_empty_name_runs_in_the_accounts_shell(zygote):
    assert zygote.command(['', '-c', 'echo $0 $((1 + 1))'])['stdout'].rstrip().endswith(b' 2')


def test_a_program_that_does_not_exist_is_an_error(zygote):
    with pytest.raises(ZygoteError, match='No such file'):
        zygote.command(['/no/such/program'])


def test_a_folder_that_does_not_exist_is_an_error(zygote):
    with pytest.raises(ZygoteError, match='/no/such/folder'):
        zygote.command(['/bin/true'], cwd='/no/such/folder')


def test_environment_folder_and_umask_are_the_commands_own(zygote):
    script = 'echo $FOO; pwd; umask; touch umask-test; stat -c %a umask-test; rm umask-test'
    result = zygote.command(['/bin/sh', '-c', script], env={'FOO': 'b ä r'}, cwd='/tmp', umask=0o27)
    assert result['stdout'].decode().split('\n') == ['b ä r', '/tmp', '0027', '640', '']
    result = zygote.command(['/bin/sh', '-c', 'echo $FOO; pwd'])
    assert result['stdout'] == b'\n%s\n' % os.getcwd().encode()


def test_a_command_may_reopen_its_output(zygote):
    script = 'echo a; echo b >/dev/stdout; echo c; echo x >&2; echo y >/dev/stderr'
    result = zygote.command(['/bin/sh', '-c', script])
    assert (result['stdout'], result['stderr']) == (b'a\nb\nc\n', b'x\ny\n')


def test_a_command_starts_with_default_signals(zygote):
    result = zygote.command(['/bin/sh', '-c', 'grep -E "Sig(Ign|Blk)" /proc/self/status'])
    assert [int(line.split()[1], 16) for line in result['stdout'].splitlines()] == [0, 0]


def test_a_command_with_a_terminal_has_it_as_its_controlling_one(zygote):
    script = 'tty; read -r word; echo "got $word"; (echo direct >/dev/tty) && test -t 0 -a -t 1 -a -t 2 && exit 3'
    result = zygote.command(['/bin/sh', '-c', script], stdin=b'typed\n', tty=True)
    out = result['stdout'].decode()
    assert result['rc'] == 3 and result['stderr'] == b''
    assert '/dev/pts/' in out and 'got typed\r\n' in out and 'direct\r\n' in out


def test_a_terminal_that_a_command_opens_once_more_and_closes_does_not_hang_up(zygote):
    script = 'exec 3</dev/tty; exec 3<&-; sleep 0.3; echo on; exec 3</dev/tty; exec 3<&-; sleep 0.3; echo and on'
    result = zygote.command(['/bin/sh', '-c', script], tty=True)
    assert (result['rc'], result['stdout']) == (0, b'on\r\nand on\r\n')


def test_reading_a_terminal_to_its_end_does_not_hang(zygote):
    result = zygote.command(['/bin/cat'], tty=True, stdin=b'line\n')
    assert result['stdout'].endswith(b'line\r\n')


def test_much_stdin_and_output(zygote):
    content = os.urandom(700 * 1024)
    result = zygote.command(['/bin/cat'], stdin=content)
    assert result['stdout'] == content


# Scripts

def test_a_script_sees_a_fresh_interpreter(zygote):
    script = '''
import json, os, signal, sys
print(json.dumps({
    'argv': len(sys.argv), 'stdin': sys.stdin.read(), 'name': __name__, 'cwd': '' in sys.path,
    'fds': sorted(int(fd) for fd in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + fd)),
    'int': signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    'pipe': signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN,
    'term': [signal.getsignal(getattr(signal, n)) == signal.SIG_DFL for n in ('SIGTERM', 'SIGHUP', 'SIGCHLD')],
    'wakeup': signal.set_wakeup_fd(-1), 'leader': os.getsid(0) == os.getpgrp() == os.getpid(),
    'names': [sys.stdin.name, sys.stdout.name, sys.stderr.name], 'main': sys.modules['__main__'].__name__,
    'streams': [sys.stdout.line_buffering, sys.stderr.errors, sys.stdout is sys.__stdout__],
}))
'''
    assert json.loads(printed(zygote.script(script))) == {
        'argv': 1, 'stdin': '', 'name': '__main__', 'cwd': False, 'fds': [0, 1, 2], 'int': True, 'pipe': True,
        'term': [True, True, True], 'wakeup': -1, 'leader': True, 'names': ['<stdin>', '<stdout>', '<stderr>'],
        'main': '__main__', 'streams': [False, 'backslashreplace', True]}


def test_encodings_are_those_of_a_fresh_interpreter(zygote):
    code = 'import sys; print([(s.encoding.lower(), s.errors) for s in (sys.stdin, sys.stdout, sys.stderr)])'
    fresh = subprocess.run([zygote.python, '-c', code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    assert zygote.script(code)['stdout'] == fresh.stdout


def test_a_jobs_locale_applies(zygote):
    code = 'import sys, locale; print(locale.setlocale(locale.LC_CTYPE), sys.stdout.encoding.lower().replace("-", ""))'
    assert printed(zygote.script(code, env={'LC_ALL': 'C.UTF-8'})) == 'C.UTF-8 utf8\n'


@pytest.mark.parametrize('python', INTERPRETERS, ids=interpreter_id)
def test_a_missing_locale_is_made_up_for_as_by_a_fresh_interpreter(python, monkeypatch):
    for name in [name for name in os.environ if name == 'LANG' or name.startswith('LC_')]:
        monkeypatch.delenv(name)
    code = 'import os, sys; print([name + "=" + os.environ[name] for name in ("LANG", "LC_ALL", "LC_CTYPE")' \
           ' if name in os.environ], [(s.encoding.lower(), s.errors) for s in (sys.stdin, sys.stdout, sys.stderr)])'
    with ZygoteClient(python) as client:
        for env in ({}, {'LC_ALL': 'C'}, {'LC_ALL': ''}, {'LANG': 'C.UTF-8'}, {'LANG': 'C'}, {'LANG': 'none.UTF-8'},
                    {'LC_CTYPE': 'C.UTF-8'}, {'LC_ALL': 'C.UTF-8'}, {'LC_MESSAGES': 'C'}):
            fresh = subprocess.run([python, '-c', code], env={**os.environ, **env}, stdout=subprocess.PIPE, check=True)
            assert printed(client.script(code, env=env)) == fresh.stdout.decode(), env
            seen = client.command(['/bin/sh', '-c', 'env | grep -e ^LANG= -e ^LC_'], env=env)
            assert seen['stdout'].decode().split() == ['='.join(item) for item in env.items()], env


def test_a_jobs_time_zone_applies(zygote):
    code = 'import time; print(time.tzname[0], time.localtime(0).tm_hour)'
    assert printed(zygote.script(code, env={'TZ': 'XYZ-5'})) == 'XYZ 5\n'
    assert 'XYZ' not in printed(zygote.script(code))


def test_nothing_leaks_into_the_next_job(zygote):
    leaky = '''
import json, locale, os, random, signal, sys, tempfile
os.environ['LEAK'] = '1'
os.chdir('/')
os.umask(0)
sys.path.insert(0, '/leak')
sys.modules['leak'] = sys
json.LEAK = 1
tempfile.tempdir = '/leak'
signal.signal(signal.SIGTERM, signal.SIG_IGN)
'''
    assert printed(zygote.script(leaky)) == ''
    check = '''
import json, os, sys, signal, tempfile
print('LEAK' in os.environ, os.getcwd() == '/', os.umask(0) == 0, '/leak' in sys.path, 'leak' in sys.modules,
      hasattr(json, 'LEAK'), tempfile.gettempdir() == '/leak', signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)
'''
    assert set(printed(zygote.script(check)).split()) == {'False'}


def test_random_numbers_differ_between_jobs(zygote):
    code = 'import random, tempfile; print(random.random(), next(tempfile._get_candidate_names()))'
    preload = {'rolls.py': 'import random, tempfile\nrandom.random()\nnext(tempfile._get_candidate_names())\n'}
    first, second = (printed(zygote.script('import rolls\n' + code, preload, ['rolls'])).split() for _ in range(2))
    assert first[0] != second[0] and first[1] != second[1]


@pytest.mark.parametrize('end, rc, stderr', [
    ('pass', 0, ''), ('sys.exit()', 0, ''), ('sys.exit(None)', 0, ''), ('sys.exit(5)', 5, ''),
    ('sys.exit(True)', 1, ''), ('sys.exit(-1)', 255, ''), ('sys.exit(256)', 0, ''),
    ('sys.exit("a message")', 1, 'a message\n'),
    ('sys.exit((1, 2))', 1, '(1, 2)\n'), ('os._exit(9)', 9, ''), ('raise SystemExit', 0, ''),
])
def test_exit_codes_are_those_of_an_interpreter(zygote, end, rc, stderr):
    result = zygote.script('import os, sys\nprint("out", flush=True)\n' + end)
    assert (result['rc'], result['stdout'], result['stderr'].decode()) == (rc, b'out\n', stderr)


def test_an_uncaught_exception_prints_its_traceback(zygote):
    result = zygote.script('def fail():\n    raise ValueError("how so")\nprint("before")\nfail()\n')
    assert (result['rc'], result['stdout']) == (1, b'before\n')
    trace = result['stderr'].decode()
    assert trace.startswith('Traceback (most recent call last):\n') and trace.endswith('ValueError: how so\n')
    assert 'script.py", line 4, in <module>' in trace and 'zygote' not in trace


def test_an_excepthook_of_the_script_is_used(zygote):
    result = zygote.script('import sys\nsys.excepthook = lambda *args: print("hooked", args[1])\nraise ValueError(3)\n')
    assert (result['rc'], result['stdout']) == (1, b'hooked 3\n')


def test_ctrl_c_ends_a_script_by_the_signal(zygote):
    result = zygote.script('import os, signal\nprint("x")\nos.kill(os.getpid(), signal.SIGINT)\n')
    assert (result['rc'], result['stdout']) == (130, b'x\n')
    assert b'KeyboardInterrupt' in result['stderr']


@pytest.mark.parametrize('number, notice', [
    (signal.SIGSEGV, 'Segmentation fault'), (signal.SIGABRT, 'Aborted'), (signal.SIGKILL, 'Killed'),
    (signal.SIGTERM, 'Terminated'), (signal.SIGHUP, 'Hangup'), (signal.SIGUSR2, 'User defined signal 2'),
])
def test_death_by_a_signal_is_told_as_a_shell_does(own_zygote, number, notice):
    result = own_zygote.script('import os\nos.kill(os.getpid(), %d)\n' % number)
    assert result['rc'] == 128 + number
    assert result['stderr'].decode().replace(' (core dumped)', '') == notice + '\n'
    assert own_zygote.script('print("still here")')['stdout'] == b'still here\n'


def test_a_real_segmentation_fault_hurts_nobody_else(zygote):
    result = zygote.script('import ctypes\nctypes.string_at(0)\n')
    assert result['rc'] == 128 + signal.SIGSEGV
    assert zygote.script('print(1)')['stdout'] == b'1\n'


def test_what_a_script_registers_for_its_end_runs_in_order(zygote):
    script = '''
import atexit, tempfile, threading, time, weakref, os, sys
holder = tempfile.TemporaryDirectory()
kept = tempfile.NamedTemporaryFile()
class Thing: pass
thing = Thing()
weakref.finalize(thing, print, 'finalized')
atexit.register(lambda: print('atexit', os.path.exists(holder.name)))
def work():
    time.sleep(0.2)
    print('thread')
threading.Thread(target=work).start()
threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
sys.stderr.write(holder.name + ' ' + kept.name)
sys.stdout.write('main ')
sys.exit(3)
'''
    result = zygote.script(script)
    assert result['rc'] == 3
    assert result['stdout'] == b'main thread\natexit True\nfinalized\n'
    assert not any(os.path.exists(path) for path in result['stderr'].decode().split())


def test_an_exit_handler_of_the_zygote_is_not_the_jobs(zygote):
    assert zygote.script('import atexit; print(atexit._ncallbacks())')['stdout'].strip() in (b'0', b'1', b'2')


def test_garbage_is_passed_on(zygote):
    result = zygote.script('import os\nos.write(1, bytes(range(256)))\nos.write(2, b"\\xff\\x00")')
    assert (result['stdout'], result['stderr']) == (bytes(range(256)), b'\xff\x00')


def test_a_daemon_left_behind_neither_delays_the_answer_nor_dies(zygote, tmp_path):
    script = '''
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        with open(%r, 'w') as pid_file:
            pid_file.write(str(os.getpid()))
        for number in range(200):
            os.write(1, b'x' * 65536)  # nobody reads it, and it must not die of that either
            time.sleep(0.05)
    os._exit(0)
os.wait()
print('parent')
'''
    pid_file = tmp_path / 'pid'
    began = time.monotonic()
    result = zygote.script(script % str(pid_file))
    assert time.monotonic() - began < 5
    assert result['stdout'].replace(b'x', b'') == b'parent\n'
    until(lambda: pid_file.exists() and pid_file.read_text())
    pid = int(pid_file.read_text())
    time.sleep(0.3)
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_what_is_left_behind_outlives_the_zygote(tmp_path):
    pid_file = tmp_path / 'pid'
    with ZygoteClient() as client:
        client.script('import os, time\nif os.fork() == 0:\n    with open(%r, "w") as file:\n'
                      '        file.write(str(os.getpid()))\n    os.closerange(0, 3)\n    time.sleep(100)\n'
                      '    os._exit(0)\nwhile not (os.path.exists(%r) and os.path.getsize(%r)):\n    time.sleep(0.01)'
                      % ((str(pid_file),) * 3))
        # The job's process may not have ended yet.
        client.hang_up()
    pid = int(pid_file.read_text())
    time.sleep(0.3)
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_a_script_that_has_been_answered_for_holds_nothing(zygote, tmp_path):
    for _ in range(10):
        pid = int(zygote.script(
            'import fcntl, os\nfcntl.flock(os.open(%r, os.O_CREAT), fcntl.LOCK_EX)\nos.chdir(%r)\nprint(os.getpid())'
            % (str(tmp_path / 'lock'), str(tmp_path)))['stdout'])
        with open(tmp_path / 'lock') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            assert os.readlink('/proc/%d/cwd' % pid) == '/'
        except FileNotFoundError:
            continue  # it has ended by now


@pytest.mark.parametrize('harm', [
    'import sys; sys.modules[3] = None', 'import os; del os.chdir, os.closerange, os.listdir',
    'import builtins; builtins.open = None',
    'import sys\nclass Odd:\n    __dict__ = property(lambda self: 1 / 0)\nsys.modules["odd"] = Odd()'])
def test_a_script_may_break_its_interpreter(own_zygote, harm):
    for _ in range(6):
        assert printed(own_zygote.script('print("done", flush=True)\n' + harm)) == 'done\n'
    assert own_zygote.logs == []


def test_a_script_that_has_loaded_a_library_has_ended_when_it_is_answered_for(own_zygote, tmp_path):
    script = '\n'.join([
        'import glob, os, shutil, sys, sysconfig',
        'folder = sysconfig.get_config_var("DESTSHARED")',
        'shutil.copy(glob.glob(folder + "/_lsprof*.so")[0], %r)' % str(tmp_path),
        'sys.path.insert(0, %r)' % str(tmp_path),
        'import _lsprof',
        'assert _lsprof.__file__.startswith(%r)' % str(tmp_path),
        'print(os.getpid())'])
    for _ in range(10):
        result = own_zygote.script(script)
        assert result['rc'] == 0, result
        assert not os.path.exists('/proc/%d' % int(result['stdout']))


# Jobs among each other

def test_jobs_run_at_the_same_time(zygote):
    began = time.monotonic()
    jobs = [zygote.start_script('import time; time.sleep(0.8); print(%d)' % number) for number in range(8)]
    jobs.append(zygote.start_command(['/bin/sleep', '0.8']))
    results = [zygote.wait(job) for job in jobs]
    assert [result['stdout'] for result in results[:8]] == [b'%d\n' % number for number in range(8)]
    assert time.monotonic() - began < 5


def test_a_cancelled_job_is_terminated_with_its_process_group(zygote, tmp_path):
    pid_file = tmp_path / 'pid'
    job = zygote.start_command(['/bin/sh', '-c', 'sleep 100 & echo $! >%s; wait' % pid_file])
    until(lambda: pid_file.exists() and pid_file.read_text())
    zygote.cancel(job)
    assert zygote.wait(job)['rc'] == 128 + signal.SIGTERM
    until(lambda: not alive(int(pid_file.read_text())))


def test_a_cancelled_job_that_does_not_listen_is_killed(own_zygote, tmp_path):
    ready = tmp_path / 'ready'
    job = own_zygote.start_script('import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
                                  'open(%r, "w").close()\ntime.sleep(100)' % str(ready))
    until(ready.exists, client=own_zygote)
    began = time.monotonic()
    own_zygote.cancel(job)
    assert own_zygote.wait(job)['rc'] == 128 + signal.SIGKILL
    assert time.monotonic() - began > 1.5


def test_cancelling_what_is_unknown_does_nothing(own_zygote):
    own_zygote.cancel(99)
    assert own_zygote.command(['/bin/true'])['rc'] == 0
    assert own_zygote.logs == []


def test_a_malformed_request_is_logged_and_dropped(own_zygote):
    own_zygote.send(110, {'kind': 'command'})
    own_zygote.send(110, 'nonsense')
    assert own_zygote.command(['/bin/true'])['rc'] == 0
    assert len(own_zygote.logs) == 2


@pytest.mark.parametrize('ending', ['socket', 'signal'])
def test_when_the_zygote_ends_its_jobs_end_within_a_second(tmp_path, ending):
    with ZygoteClient(INTERPRETERS[-1]) as client:
        stubborn = 'trap "" TERM; sleep 100 & echo $$ $! >%s; wait; sleep 100'
        client.start_command(['/bin/sh', '-c', stubborn % (tmp_path / 'one')])
        client.start_script('import os, time\nwith open(%r, "w") as f: f.write(str(os.getpid()))\ntime.sleep(100)'
                            % str(tmp_path / 'two'))
        files = [tmp_path / 'one', tmp_path / 'two']
        until(lambda: all(path.exists() and path.read_text() for path in files), client=client)
        pids = [int(pid) for path in files for pid in path.read_text().split()]
        if ending == 'socket':
            client.hang_up()
        else:
            os.kill(client.pid, signal.SIGTERM)
        until(lambda: not any(map(alive, [*pids, client.pid])), 10)


# Output

def test_large_output_is_streamed_with_acknowledgements(zygote):
    script = ('import os, sys\nsys.stderr.write("e" * 1000)\n'
              'for i in range(50):\n    sys.stdout.write(chr(65 + i % 26) * 1000000)')
    result = zygote.script(script)
    assert result['stdout_streamed'] == 50 * 1000000 and result['stderr_streamed'] == 1000
    assert result['stdout'] == b''.join(bytes([65 + i % 26]) * 1000000 for i in range(50))
    assert result['stderr'] == b'e' * 1000


def test_no_more_than_the_window_is_sent_without_acknowledgements(own_zygote):
    own_zygote.acknowledges = False
    job = own_zygote.start_script('import sys\nsys.stdout.write("x" * 4000000)')
    until(lambda: len(own_zygote.streamed.get(job, b'')) >= 8 * 128 * 1024, client=own_zygote)
    own_zygote.pump_for(0.3)
    assert len(own_zygote.streamed[job]) == 8 * 128 * 1024
    # Others pass meanwhile.
    assert own_zygote.command(['/bin/echo', 'hi'])['stdout'] == b'hi\n'
    own_zygote.acknowledge(job, 3)
    own_zygote.pump_for(0.3)
    assert len(own_zygote.streamed[job]) == 11 * 128 * 1024
    own_zygote.acknowledges = True
    own_zygote.acknowledge(job, 8)
    assert len(own_zygote.wait(job)['stdout']) == 4000000


def test_a_stream_that_nobody_wants_any_more_can_be_cancelled(own_zygote):
    own_zygote.acknowledges = False
    job = own_zygote.start_script('import sys\nsys.stdout.write("x" * 4000000)')
    until(lambda: len(own_zygote.streamed.get(job, b'')) >= 8 * 128 * 1024, client=own_zygote)
    own_zygote.cancel(job)
    with pytest.raises(ZygoteError):
        own_zygote.wait(job)
