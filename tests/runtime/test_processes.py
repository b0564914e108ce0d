"""Children that end, and being told of it: every scenario in a process of its own, whose signals it may change."""

import os
import subprocess
import sys
import time

import pytest

from mitogen.parent import processes
from mitogen.parent.processes import terminate_group, wait_ended

PRELUDE = '''
import os, signal, subprocess, sys, threading, time
from mitogen.parent.processes import ProcessMonitor, UNKNOWN_STATUS

def child(code=0, delay=0.0):
    pid = os.fork()
    if pid == 0:
        time.sleep(delay)
        os._exit(code)
    return pid

def wait_for(condition):
    deadline = time.time() + 20
    while not condition():
        assert time.time() < deadline, 'it did not happen'
        time.sleep(0.005)

def is_reaped(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False

seen = []
'''


def run(script):
    """Run `script` after the prelude in a fresh interpreter, and return what it prints."""
    path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get('PYTHONPATH')]))
    with subprocess.Popen([sys.executable, '-c', PRELUDE + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=path)) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    return out.decode().strip()


# ProcessMonitor


def test_the_callback_gets_the_raw_exit_status():
    assert run('''
monitor = ProcessMonitor()
monitor.add(child(3, delay=0.1), seen.append)
assert seen == []
wait_for(lambda: seen)
print(seen)
''') == '[768]'


def test_the_callback_tells_which_signal_ended_the_child():
    assert run('''
monitor = ProcessMonitor()
pid = child(delay=60)
monitor.add(pid, seen.append)
os.kill(pid, signal.SIGKILL)
wait_for(lambda: seen)
print(os.WIFSIGNALED(seen[0]), os.WTERMSIG(seen[0]))
''') == 'True 9'


def test_a_child_that_has_ended_before_is_reported_by_add():
    assert run('''
monitor = ProcessMonitor()
pid = child(5)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
monitor.add(pid, seen.append)
print(seen, is_reaped(pid))
''') == '[1280] True'


def test_a_child_that_ended_before_the_monitor_was_made_is_reported():
    assert run('''
pid = child(5)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
ProcessMonitor().add(pid, seen.append)
print(seen)
''') == '[1280]'


def test_each_child_is_reported_once():
    assert run('''
monitor = ProcessMonitor()
for _ in range(100):
    monitor.add(child(1, delay=0.05), seen.append)
wait_for(lambda: len(seen) >= 100)
time.sleep(0.2)
print(len(seen), set(seen))
''') == '100 {256}'


def test_threads_can_add_children_while_others_end():
    assert run('''
monitor = ProcessMonitor()
def start_some():
    for _ in range(25):
        monitor.add(subprocess_like(), seen.append)
def subprocess_like():
    return os.spawnvp(os.P_NOWAIT, 'sh', ['sh', '-c', 'exit 7'])
threads = [threading.Thread(target=start_some) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
wait_for(lambda: len(seen) == 100)
print(set(seen))
''') == '{1792}'


def test_children_of_others_are_left_alone():
    assert run('''
monitor = ProcessMonitor()
process = subprocess.Popen(['sh', '-c', 'exit 4'])
pid = child(6)
monitor.add(child(delay=0.1), seen.append)
wait_for(lambda: seen)
print(process.wait(), os.WEXITSTATUS(os.waitpid(pid, 0)[1]), subprocess.call(['sh', '-c', 'exit 9']))
''') == '4 6 9'


def test_the_handler_that_was_there_before_still_runs():
    assert run('''
others = []
signal.signal(signal.SIGCHLD, lambda number, frame: others.append(number))
monitor = ProcessMonitor()
monitor.add(child(delay=0.1), seen.append)
wait_for(lambda: seen and others)
print(others == [signal.SIGCHLD])
''') == 'True'


def test_a_handler_that_replaces_the_monitors_does_not_silence_it():
    assert run('''
monitor = ProcessMonitor()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
monitor.add(child(2, delay=0.1), seen.append)
wait_for(lambda: seen)
print(seen)
''') == '[512]'


def test_ignored_sigchld_does_not_lose_the_status():
    assert run('''
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
monitor = ProcessMonitor()
monitor.add(child(2, delay=0.1), seen.append)
wait_for(lambda: seen)
print(seen)
''') == '[512]'


def test_a_monitor_made_in_a_thread_works():
    assert run('''
def work():
    monitor = ProcessMonitor()
    monitor.add(child(2, delay=0.1), seen.append)
thread = threading.Thread(target=work)
thread.start()
thread.join()
wait_for(lambda: seen)
print(seen, signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL)
''') == '[512] True'


def test_several_monitors_do_not_disturb_each_other():
    assert run('''
first, second = ProcessMonitor(), ProcessMonitor()
first.add(child(1, delay=0.1), seen.append)
second.add(child(2, delay=0.1), seen.append)
wait_for(lambda: len(seen) == 2)
print(sorted(seen))
''') == '[256, 512]'


def test_a_child_that_someone_else_reaped_is_reported_as_unknown():
    assert run('''
monitor = ProcessMonitor()
pid = child()
os.waitpid(pid, 0)
monitor.add(pid, seen.append)
print(seen == [UNKNOWN_STATUS])
''') == 'True'


def test_a_callback_that_fails_does_not_disturb_the_others():
    assert run('''
monitor = ProcessMonitor()
monitor.add(child(delay=0.1), lambda status: 1 / 0)
monitor.add(child(2, delay=0.1), seen.append)
wait_for(lambda: seen)
print(seen)
''') == '[512]'


def test_a_callback_may_start_and_add_another_child():
    assert run('''
monitor = ProcessMonitor()
def again(status):
    seen.append(status)
    if len(seen) < 5:
        monitor.add(os.spawnvp(os.P_NOWAIT, 'true', ['true']), again)
monitor.add(child(), again)
wait_for(lambda: len(seen) == 5)
print(seen)
''') == '[0, 0, 0, 0, 0]'


def test_children_are_reported_while_the_main_thread_waits_for_something_else():
    assert run('''
monitor = ProcessMonitor()
done = threading.Event()
monitor.add(child(2, delay=0.1), lambda status: done.set())
print(done.wait(20))
read_end, write_end = os.pipe()
monitor.add(child(2, delay=0.1), lambda status: os.write(write_end, b'x'))
print(os.read(read_end, 1))
''') == "True\nb'x'"


def test_a_fork_does_not_report_children_of_its_parent():
    assert run('''
monitor = ProcessMonitor()
ours = child(delay=60)
monitor.add(ours, lambda status: os.write(1, b'reported by %s\\n' % (b'parent' if os.getpid() == parent else b'fork')))
parent = os.getpid()
fork = os.fork()
if fork == 0:
    subprocess.call(['true'])
    time.sleep(0.1)
    os._exit(0)
os.waitpid(fork, 0)
os.kill(ours, signal.SIGKILL)
wait_for(lambda: is_reaped(ours))
''') == 'reported by parent'


def test_close_puts_the_previous_handler_back():
    assert run('''
def handler(number, frame):
    pass
signal.signal(signal.SIGCHLD, handler)
monitor = ProcessMonitor()
pid = child()
monitor.close()
print(signal.getsignal(signal.SIGCHLD) is handler, os.waitpid(pid, 0)[0] == pid)
''') == 'True True'


# Ending children


@pytest.fixture(params=['pidfd', 'without pidfd'])
def either_wait(request, monkeypatch):
    """Run a test with pidfds and without."""
    if request.param == 'without pidfd':
        monkeypatch.delattr(os, 'pidfd_open', raising=False)
    elif not hasattr(os, 'pidfd_open'):
        pytest.skip('this Python has no pidfd_open')
    else:
        monkeypatch.setattr(processes, '_poll_ended', None)


@pytest.fixture
def group():
    """Start a shell script that leads a process group, and wait until it says that it is ready."""
    started = []

    def start(script):
        process = subprocess.Popen(['sh', '-c', script], stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        assert process.stdout.readline() == b'ready\n'
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()


@pytest.mark.usefixtures('either_wait')
def test_wait_ended_returns_at_the_end_without_reaping(group):
    process = group('echo ready; sleep 0.2; exit 3')
    assert not wait_ended(process.pid, 0)
    assert not wait_ended(process.pid, 0.05)
    started = time.monotonic()
    assert wait_ended(process.pid, 20)
    assert time.monotonic() - started < 5
    assert process.wait() == 3
    assert wait_ended(process.pid, 20)


@pytest.mark.usefixtures('either_wait')
def test_terminate_group_ends_an_obedient_group_at_once(group):
    process = group('sleep 60 & echo ready; sleep 60')
    started = time.monotonic()
    assert terminate_group(process.pid, 20)
    assert time.monotonic() - started < 5
    assert process.wait() == -15
    # The pipe is at its end when all that had it open are gone.
    assert process.stdout.read() == b''


@pytest.mark.usefixtures('either_wait')
def test_terminate_group_kills_a_stubborn_group_after_the_grace(group):
    process = group('trap "" TERM; sleep 60 & echo ready; while :; do sleep 60; done')
    started = time.monotonic()
    assert not terminate_group(process.pid, 0.2)
    assert 0.2 <= time.monotonic() - started < 5
    assert process.wait() == -9
    assert process.stdout.read() == b''


@pytest.mark.usefixtures('either_wait')
def test_terminate_group_kills_what_a_dead_leader_left(group):
    process = group('(trap "" TERM; echo ready; while :; do sleep 60; done) & wait')
    started = time.monotonic()
    assert terminate_group(process.pid, 20)
    assert time.monotonic() - started < 5
    process.wait()
    assert process.stdout.read() == b''


@pytest.mark.usefixtures('either_wait')
def test_terminate_group_lets_a_child_clean_up(group):
    process = group('trap "sleep 0.2; echo cleaned; exit 0" TERM; echo ready; while :; do sleep 0.05; done')
    assert terminate_group(process.pid, 20)
    assert process.stdout.read() == b'cleaned\n'
    assert process.wait() == 0


def test_terminate_group_of_a_group_that_is_gone_does_nothing(group):
    process = group('echo ready')
    process.wait()
    assert terminate_group(process.pid, 20)
