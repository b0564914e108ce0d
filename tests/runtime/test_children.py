"""Real children, and what they find themselves wired to."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time

import pytest

from mitogen.core.errors import StreamError, TimeoutError
from mitogen.parent import children
from mitogen.parent.children import Child, create_child, hybrid_create_child, tty_create_child
from mitogen.parent.pipes import iter_read, read_any, write_all

SPAWNERS = ['posix_spawn', 'popen']


@pytest.fixture(params=SPAWNERS, autouse=True)
def spawner(request, monkeypatch):
    """Run each test with both ways of starting a child."""
    if request.param == 'popen':
        monkeypatch.setattr(children, '_posix_spawn', lambda *args: None)
    elif not hasattr(os, 'posix_spawn'):
        pytest.skip('this Python has no posix_spawn')
    else:
        # What needs no other way must not take it.
        real = children._popen

        def popen(program, args, wiring, cwd, env):
            assert cwd is not None
            return real(program, args, wiring, cwd, env)

        monkeypatch.setattr(children, '_popen', popen)
    return request.param


@contextlib.contextmanager
def running(made):
    """Own a child and its descriptors until the end of the block."""
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(made[0], signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(made[0], 0)
        for end in made[1:]:
            if isinstance(end, int):
                os.close(end)
            else:
                end.close()


def soon():
    return time.time() + 20


def read_all(fd):
    received = []
    with contextlib.suppress(StreamError):
        for chunk in iter_read(fd, soon()):
            received.append(chunk)
    return b''.join(received)


def read_until(fd, end):
    received = b''
    for chunk in iter_read(fd, soon()):
        received += chunk
        if received.endswith(end):
            return received
    raise AssertionError(received)


def python(script):
    return sys.executable, '-c', script


def report(script):
    """Return what a child's `script` leaves in its variable `found`."""
    source = 'import json, os, signal, sys\n%s\njson.dump(found, sys.stdout)' % script
    with running(create_child(*python(source))) as (_, sock):
        return json.loads(read_all(sock.fileno()).decode())


def open_descriptors():
    return sorted(os.listdir('/proc/self/fd'))


# create_child


def test_create_child_gives_a_socket_that_is_stdin_and_stdout():
    with running(create_child('cat')) as (pid, sock):
        assert isinstance(sock, socket.socket)
        write_all(sock.fileno(), b'there and back', soon())
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock.fileno()) == b'there and back'
        assert os.waitpid(pid, 0) == (pid, 0)


def test_arguments_arrive_as_they_are():
    arguments = ['', 'a b', "it's", '"$HOME"', '-n', '*', 'caf\u00e9', 'two\nlines']
    script = 'import os, sys; sys.stdout.write("|".join(map(ascii, map(os.fsencode, sys.argv[1:]))))'
    with running(create_child(*python(script), *arguments)) as (_, sock):
        assert read_all(sock.fileno()).decode() == '|'.join(ascii(os.fsencode(a)) for a in arguments)


def test_stderr_is_inherited_unless_given():
    read_end, write_end = os.pipe()
    saved = os.dup(2)
    os.dup2(write_end, 2)
    try:
        with running(create_child('sh', '-c', 'echo inherited >&2')) as (pid, _):
            assert read_until(read_end, b'\n') == b'inherited\n'
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    with running(create_child('sh', '-c', 'echo given >&2', stderr=write_end)):
        os.close(write_end)
        assert read_all(read_end) == b'given\n'
    os.close(read_end)


def test_cwd_is_where_the_child_starts(tmp_path):
    with running(create_child('pwd', cwd=str(tmp_path))) as (_, sock):
        assert read_all(sock.fileno()).decode() == '%s\n' % tmp_path


def test_env_is_the_whole_environment():
    with running(create_child('env', env={'PATH': os.environ['PATH'], 'ONE': '1'})) as (_, sock):
        assert set(read_all(sock.fileno()).split(b'\n')) == {
            b'ONE=1', b'PATH=' + os.fsencode(os.environ['PATH']), b''}


def test_environment_is_inherited(monkeypatch):
    monkeypatch.setenv('INHERITED', 'yes')
    with running(create_child('sh', '-c', 'echo $INHERITED')) as (_, sock):
        assert read_all(sock.fileno()) == b'yes\n'


def test_the_program_is_looked_up_in_the_path_of_env(tmp_path):
    (tmp_path / 'directory').mkdir()
    (tmp_path / 'directory' / 'thing').mkdir()
    (tmp_path / 'plain').mkdir()
    (tmp_path / 'plain' / 'thing').write_text('not executable')
    (tmp_path / 'program').mkdir()
    thing = tmp_path / 'program' / 'thing'
    thing.write_text('#!/bin/sh\necho found\n')
    thing.chmod(0o755)
    path = os.pathsep.join(str(tmp_path / name) for name in ('missing', 'directory', 'plain', 'program'))
    with running(create_child('thing', env={'PATH': path})) as (_, sock):
        assert read_all(sock.fileno()) == b'found\n'


@pytest.mark.parametrize('start', [create_child, tty_create_child, hybrid_create_child])
def test_a_missing_command_is_a_stream_error_that_names_it(start):
    before = open_descriptors()
    with pytest.raises(StreamError, match='no-such-command: command not found'):
        start('no-such-command', '-x')
    assert open_descriptors() == before


@pytest.mark.parametrize('start', [create_child, tty_create_child, hybrid_create_child])
def test_a_file_that_cannot_run_is_a_stream_error_that_says_why(start, tmp_path):
    before = open_descriptors()
    with pytest.raises(StreamError, match=r'/no/such/file: No such file'):
        start('/no/such/file')
    with pytest.raises(StreamError, match='Permission denied'):
        start(str(tmp_path))
    assert open_descriptors() == before


def test_a_missing_directory_is_a_stream_error_that_names_it():
    with pytest.raises(StreamError, match='no such directory: /no/such/place'):
        create_child('true', cwd='/no/such/place')


def test_a_child_leads_a_session_and_a_group_of_its_own():
    with running(create_child('cat')) as (pid, _):
        assert os.getsid(pid) == os.getpgid(pid) == pid


def test_a_child_without_a_terminal_cannot_open_one():
    with running(create_child('sh', '-c', 'if (: < /dev/tty) 2>/dev/null; then echo tty; else echo none; fi')) as child:
        assert read_all(child[1].fileno()) == b'none\n'


def test_no_other_descriptor_is_inherited():
    sockets = socket.socketpair()
    pipe = os.pipe()
    os.set_inheritable(pipe[0], True)
    try:
        # The listing itself has one descriptor open.
        found = report('found = [fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists('
                       '"/proc/self/fd/%d" % fd)]')
    finally:
        for end in sockets:
            end.close()
        for fd in pipe:
            os.close(fd)
    assert found == [0, 1, 2]


def test_ignored_signals_are_at_their_default_in_the_child():
    numbers = [signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGQUIT]
    saved = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    try:
        with running(create_child('grep', 'SigIgn', '/proc/self/status')) as (_, sock):
            line = read_all(sock.fileno())
    finally:
        for number, handler in saved:
            signal.signal(number, handler)
    mask = int(line.split()[1], 16)
    assert [number for number in numbers if mask & 1 << number - 1] == []


def test_blocked_signals_are_not_blocked_in_the_child():
    saved = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    try:
        with running(create_child('grep', 'SigBlk', '/proc/self/status')) as (_, sock):
            assert int(read_all(sock.fileno()).split()[1], 16) == 0
        assert {signal.SIGTERM, signal.SIGINT} <= signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, saved)


def test_children_can_be_started_with_all_standard_streams_closed(tmp_path, spawner):
    script = '''
import os, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.dup2(out, 50)
out = 50
os.closerange(0, 3)
from mitogen.parent import children
from mitogen.parent.pipes import iter_read
if sys.argv[2] == 'popen':
    children._posix_spawn = lambda *args: None
command = 'read line; echo "$line"; echo err >&2'
pid, sock = children.create_child('sh', '-c', command)
sock.sendall(b'one\\n')
os.write(out, next(iter_read(sock.fileno())))
os.waitpid(pid, 0)
child = children.hybrid_create_child('sh', '-c', command)
child.stdio.sendall(b'two\\n')
os.write(out, next(iter_read(child.stdio.fileno())))
os.write(out, next(iter_read(child.stderr)))
os.waitpid(child.pid, 0)
pid, master = children.tty_create_child('sh', '-c', 'test -t 0 && test -t 1 && test -t 2 && echo three')
os.write(out, next(iter_read(master)))
'''
    report_path = tmp_path / 'report'
    assert subprocess.call([*python(script), str(report_path), spawner]) == 0
    assert report_path.read_text() == 'one\ntwo\nerr\nthree\n'


def test_many_threads_can_start_children_at_once():
    before = open_descriptors()
    answers = []

    def start_some(number):
        for index in range(10):
            text = '%d.%d' % (number, index)
            with running(create_child('echo', text)) as (_, sock):
                answers.append((text + '\n', read_all(sock.fileno()).decode()))

    threads = [threading.Thread(target=start_some, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 80
    assert [pair for pair in answers if pair[0] != pair[1]] == []
    assert open_descriptors() == before


# tty_create_child


def test_the_terminal_is_all_three_standard_streams():
    with running(tty_create_child(*python('import os; print([os.isatty(fd) for fd in range(3)])'))) as (_, master):
        assert read_all(master) == b'[True, True, True]\n'


def test_the_terminal_is_the_controlling_one():
    script = '''
import os
tty = os.open('/dev/tty', os.O_RDWR)
assert os.tcgetpgrp(tty) == os.getpgrp() == os.getsid(0)
# The device itself has another name.
assert os.fstat(0).st_rdev != os.fstat(tty).st_rdev
os.write(tty, b'by /dev/tty: ' + os.read(tty, 10))
'''
    with running(tty_create_child(*python(script))) as (pid, master):
        write_all(master, b'typed\n', soon())
        assert read_all(master) == b'by /dev/tty: typed\n'
        assert os.waitpid(pid, 0) == (pid, 0)


def test_terminals_pass_every_byte_unchanged_and_do_not_echo():
    every_byte = bytes(range(256)) * 8
    script = 'import os\nos.write(1, b"ready")\nleft = 2048\nwhile left: left -= os.write(1, os.read(0, left))'
    with running(tty_create_child(*python(script))) as (_, master):
        assert read_until(master, b'ready') == b'ready'
        write_all(master, every_byte, soon())
        assert read_all(master) == every_byte


def test_closing_the_master_hangs_the_child_up():
    pid, master = tty_create_child('sleep', '60')
    os.close(master)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGHUP


def test_passwords_are_read_from_the_terminal():
    script = 'import getpass; print("<%s>" % getpass.getpass("Password: "))'
    with running(tty_create_child(*python(script))) as (_, master):
        assert read_until(master, b': ').endswith(b'Password: ')
        write_all(master, b's3cret\n', soon())
        assert b's3cret' not in read_until(master, b'>\n').replace(b'<s3cret>', b'')


def test_terminal_children_take_cwd_and_env(tmp_path):
    with running(tty_create_child('sh', '-c', 'pwd; echo $A; : < /dev/tty && echo tty', cwd=str(tmp_path),
                                  env={'PATH': os.environ['PATH'], 'A': 'b'})) as (_, master):
        assert read_all(master).decode() == '%s\nb\ntty\n' % tmp_path


# hybrid_create_child


def test_hybrid_children_have_a_socket_a_pipe_and_a_terminal():
    script = '''
import os, stat
def kind(fd):
    mode = os.fstat(fd).st_mode
    return [n for n in ('SOCK', 'FIFO', 'CHR') if getattr(stat, 'S_IS' + n)(mode)][0]
print([kind(fd) for fd in (0, 1, 2)], flush=True)
tty = os.open('/dev/tty', os.O_RDWR)
os.write(2, b'to stderr')
os.write(tty, b'to the terminal')
os.write(1, os.read(0, 100) + b', ' + os.read(tty, 100))
'''
    with running(hybrid_create_child(*python(script))) as child:
        assert isinstance(child, Child)
        assert read_until(child.stdio.fileno(), b'\n') == b"['SOCK', 'SOCK', 'FIFO']\n"
        assert read_until(child.tty, b'terminal') == b'to the terminal'
        write_all(child.stdio.fileno(), b'from stdin', soon())
        write_all(child.tty, b'from the terminal\n', soon())
        assert read_all(child.stdio.fileno()) == b'from stdin, from the terminal\n'
        assert read_all(child.stderr) == b'to stderr'
        assert os.waitpid(child.pid, 0) == (child.pid, 0)


def test_the_terminal_of_a_hybrid_child_does_not_read_as_closed_before_it_is_opened():
    with running(hybrid_create_child('sleep', '60')) as child, pytest.raises(TimeoutError):
        next(iter_read(child.tty, time.time() + 0.2))


def test_hybrid_children_can_ask_for_a_password_on_the_terminal():
    script = 'import getpass, sys; sys.stdin.read(); print(getpass.getpass("Password: "))'
    with running(hybrid_create_child(*python(script))) as child:
        child.stdio.shutdown(socket.SHUT_WR)
        assert read_until(child.tty, b': ') == b'Password: '
        write_all(child.tty, b's3cret\n', soon())
        assert read_all(child.stdio.fileno()) == b's3cret\n'


def test_hybrid_children_can_be_watched_on_all_three_ends():
    command = 'echo out; echo err >&2; echo tty > /dev/tty'
    with running(hybrid_create_child('sh', '-c', command)) as child:
        sock = child.stdio.fileno()
        received = {sock: b'', child.stderr: b'', child.tty: b''}
        ended = set()
        for fd, chunk in read_any([sock, child.tty, child.stderr], soon()):
            received[fd] += chunk
            if not chunk:
                ended.add(fd)
            if len(ended) == 2 and received[child.tty]:
                break
    assert ended == {sock, child.stderr}
    assert received == {sock: b'out\n', child.stderr: b'err\n', child.tty: b'tty\n'}


def test_hybrid_children_start_without_echo():
    with running(hybrid_create_child('sleep', '60')) as child:
        assert not termios.tcgetattr(child.tty)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)


def test_all_ends_are_closed_in_other_programs():
    with running(hybrid_create_child('sleep', '60')) as child:
        for end in child[1:]:
            assert not os.get_inheritable(end if isinstance(end, int) else end.fileno())
