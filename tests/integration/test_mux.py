"""The multiplexer as its clients see it: a process of its own, contexts on this machine, real modules."""

import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_mitogen.ansiballz import recognise
from ansible_mitogen.mux import launcher
from ansible_mitogen.mux.client import (
    Completed,
    ContextInfo,
    ContextLost,
    Hop,
    HopFailed,
    JobFailed,
    ModuleCall,
    MuxClient,
    MuxError,
    MuxGone,
    TransferFailed,
)
from mitogen.parent.bootstrap import bootstrap_command
from tests.harness.processes import process_table, wait_until

pytestmark = pytest.mark.once

MIB = 1 << 20


def local_hop(key: str = 'local', python: str = sys.executable, before: str = '', **options: object) -> Hop:
    return Hop(('/bin/sh', '-c', before + bootstrap_command([python])), 'local', key, **options)  # type: ignore[arg-type]


def no_dialogue(hop: int, output: bytes) -> bytes | None:
    raise AssertionError('nothing was to be asked')


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[bytes]]:
    """What stands for ansible-playbook; nothing of its multiplexer is left when it is gone."""
    process = subprocess.Popen(['sleep', '300'])
    yield process
    process.kill()
    process.wait()
    wait_until(lambda: not of_mux(process.pid), 20, 'the multiplexer to end')


def of_mux(owner_pid: int) -> list[int]:
    """The processes of the owner's multiplexer: itself, its contexts, what they run."""
    table = process_table()
    found = [pid for pid, process in table.items() if '--owner-pid %d ' % owner_pid in process.command]
    for pid in found:
        found += [child for child, process in table.items() if process.parent == pid]
    return found


@pytest.fixture
def path(owner: subprocess.Popen[bytes]) -> str:
    return launcher.ensure_mux(owner.pid, 8)


@pytest.fixture
def client(path: str) -> Iterator[MuxClient]:
    client = MuxClient(path)
    yield client
    client.close()


@pytest.fixture
def context(client: MuxClient) -> ContextInfo:
    return client.open([local_hop()], no_dialogue)


@pytest.fixture(scope='session')
def module_call(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModuleCall]:
    """Makes calls of builtin modules, from what ansible-core would send."""
    made: dict[str, ModuleCall] = {}

    def make(module: str, arguments: str) -> ModuleCall:
        key = '%s %s' % (module, arguments)
        if key not in made:
            folder = tmp_path_factory.mktemp('payload')
            env = dict(os.environ, ANSIBLE_KEEP_REMOTE_FILES='1', ANSIBLE_REMOTE_TMP=str(folder),
                       ANSIBLE_LOCAL_TEMP=str(folder))
            subprocess.run(
                [str(Path(sys.executable).with_name('ansible')), 'localhost', '-c', 'local', '-m', module,
                 '-a', arguments, '-e', 'ansible_python_interpreter=' + sys.executable],
                env=env, check=True, capture_output=True, timeout=60)
            (program,) = folder.rglob('AnsiballZ_*.py')
            call = recognise(program.read_bytes(), '/usr/bin/python3')
            assert call is not None
            made[key] = ModuleCall(**{**vars(call), 'interpreter': '', 'cwd': None})
        return made[key]
    return make


def result_of(completed: Completed) -> dict[str, object]:
    assert completed.rc == 0, completed
    found: dict[str, object] = json.loads(completed.stdout)
    return found


# Contexts


def test_a_context_is_opened_once_and_described(client: MuxClient) -> None:
    first = client.open([local_hop()], no_dialogue)
    assert first.fresh
    assert first.python_version[:2] == sys.version_info[:2]
    assert (first.executable, first.chosen) == (sys.executable, sys.executable)
    again = client.open([local_hop()], no_dialogue)
    assert again == first
    assert not again.fresh
    assert client.open([local_hop('other')], no_dialogue) != first


def test_a_context_is_known_to_all_who_share_what_they_know_until_it_proves_to_be_closed(
    owner: subprocess.Popen[bytes], path: str
) -> None:
    known: dict[tuple[str, ...], ContextInfo] = {}
    clients = [MuxClient(path, known=known) for _ in range(2)]
    hops = [local_hop()]
    assert clients[0].known(hops) is None
    first = clients[0].open(hops, no_dialogue)
    found = clients[1].known(hops)
    assert found == first and not found.fresh
    assert clients[1].run_command(found, ['true']).rc == 0
    assert MuxClient(path).known(hops) is None
    # Closed by someone who does not tell.
    MuxClient(path).close_context(first)
    with pytest.raises(ContextLost) as caught:
        clients[1].run_command(found, ['true'])
    assert not caught.value.started
    clients[1].forget(found)
    assert clients[0].known(hops) is None
    second = clients[0].open(hops, no_dialogue)
    assert second.fresh and second != first
    clients[1].close_context(second)
    assert clients[0].known(hops) is None
    clients[0].open(hops, no_dialogue)
    assert clients[0].known(hops) is not None
    MuxClient(path).shutdown()
    wait_until(lambda: not of_mux(owner.pid), 20, 'the multiplexer to end')
    # Neither by one that was connected nor by one that would connect now.
    late = MuxClient(path, deadline=0, known=known)
    assert (clients[0].known(hops), clients[1].known(hops), late.known(hops)) == (None, None, None)


def counted(path: Path) -> str:
    """Return shell text that leaves a line in a file."""
    return 'echo >>%s; ' % path


def test_a_context_asked_for_ahead_is_opened_meanwhile_and_once(client: MuxClient, tmp_path: Path) -> None:
    count = tmp_path / 'count'
    hops = [local_hop(before=counted(count))]
    client.open_ahead(hops, no_dialogue)
    wait_until(count.exists, 10, 'the hop to be opened')
    context = client.open(hops, no_dialogue)
    assert context.fresh
    assert client.run_command(context, ['echo', 'in']).stdout == b'in\n'
    assert client.known(hops) == client.open(hops, no_dialogue)
    assert count.read_text() == '\n'


def test_the_way_may_be_longer_than_what_was_asked_for_ahead(client: MuxClient, tmp_path: Path) -> None:
    count = tmp_path / 'count'
    outer = local_hop('outer', before=counted(count))
    client.open_ahead([outer], no_dialogue)
    inner = client.open([outer, local_hop('inner')], no_dialogue)
    assert client.run_command(inner, ['echo', 'in']).stdout == b'in\n'
    assert count.read_text() == '\n'


@pytest.mark.parametrize('further', [[], [local_hop('inner')]])
def test_what_fails_ahead_is_not_tried_again_and_told_to_whoever_wants_it(
    client: MuxClient, tmp_path: Path, further: list[Hop]
) -> None:
    count = tmp_path / 'count'
    hop = Hop(('/bin/sh', '-c', counted(count) + 'echo refused >&2; exit 7'), 'ssh web1', 'a')
    client.open_ahead([hop], no_dialogue)
    with pytest.raises(HopFailed) as caught:
        client.open([hop, *further], no_dialogue)
    assert (caught.value.hop_index, caught.value.status, caught.value.output) == (0, 7, b'refused\n')
    assert count.read_text() == '\n'
    with pytest.raises(HopFailed):
        client.open([hop, *further], no_dialogue)
    assert count.read_text() == '\n\n'


def test_prompts_of_what_was_asked_for_ahead_are_answered_when_it_is_wanted(client: MuxClient) -> None:
    hop = local_hop('asking', before=ASKING, needs_tty=True, may_prompt=True)
    for hops in ([hop], [hop, local_hop('inner')]):
        client.open_ahead([hop], lambda number, output: b'secret\n')
        context = client.open(hops, lambda number, output: b'secret\n')
        assert client.run_command(context, ['echo', 'in']).stdout == b'in\n'
        client.close_context(client.open([hop], no_dialogue))


def test_another_request_gives_up_what_was_asked_for_ahead(
    client: MuxClient, owner: subprocess.Popen[bytes]
) -> None:
    context = client.open([local_hop()], no_dialogue)
    slow = Hop(('/bin/sleep', '61'), 'ssh web1', 'a')
    client.open_ahead([slow], no_dialogue)

    def sleeps() -> bool:
        table = process_table()
        return any('sleep 61' in table[pid].command for pid in of_mux(owner.pid) if pid in table)
    wait_until(sleeps, 10, 'the hop to be opened')
    assert client.run_command(context, ['echo', 'on']).stdout == b'on\n'
    wait_until(lambda: not sleeps(), 10, 'the hop to be given up')
    client.open_ahead([slow], no_dialogue)
    assert client.open([local_hop()], no_dialogue) == context


def test_a_forked_process_asks_for_itself(client: MuxClient) -> None:
    hops = [local_hop(before='sleep 0.3; ')]
    client.open_ahead(hops, no_dialogue)
    pid = os.fork()
    if not pid:
        try:
            os._exit(client.run_command(client.open(hops, no_dialogue), ['/bin/sh', '-c', 'exit 5']).rc)
        finally:
            os._exit(99)
    assert client.run_command(client.open(hops, no_dialogue), ['/bin/sh', '-c', 'exit 6']).rc == 6
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_fifty_hop_lists_are_opened_by_fifty_clients_at_once(path: str) -> None:
    outcome: list[tuple[int, bytes]] = []

    def open_one(number: int) -> None:
        client = MuxClient(path)
        context = client.open([local_hop(f'host {number % 25}', deadline=60.0)], no_dialogue)
        outcome.append((context.context_id, client.run_command(context, ['echo', str(number)]).stdout))
        client.close()
    threads = [threading.Thread(target=open_one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(output for _, output in outcome) == sorted(b'%d\n' % n for n in range(50))
    assert len({context_id for context_id, _ in outcome}) == 25


def test_hops_follow_each_other(client: MuxClient) -> None:
    inner = client.open([local_hop('outer'), local_hop('inner')], no_dialogue)
    assert client.run_command(inner, ['echo', 'deep']).stdout == b'deep\n'
    outer = client.open([local_hop('outer')], no_dialogue)
    assert not outer.fresh
    client.close_context(outer)
    with pytest.raises(ContextLost) as caught:
        client.run_command(inner, ['true'])
    assert not caught.value.started
    assert client.open([local_hop('outer'), local_hop('inner')], no_dialogue).fresh


@pytest.mark.parametrize('hop, kind, status', [
    (Hop(('/bin/sh', '-c', 'echo refused >&2; exit 7'), 'ssh web1', 'a'), 'exited', 7),
    (Hop(('/bin/sh', '-c', 'kill -9 $$'), 'ssh web1', 'a'), 'exited', 137),
    (Hop(('/bin/sleep', '60'), 'ssh web1', 'a', deadline=0.3), 'timeout', None),
    (Hop(('/no/such/ssh',), 'ssh web1', 'a'), 'spawn', None),
    (Hop(('/bin/sh', '-c', bootstrap_command(['/no/such/python'])), 'ssh web1', 'a'), 'no_python', 127),
])
def test_a_hop_that_fails_says_how(client: MuxClient, hop: Hop, kind: str, status: int | None) -> None:
    with pytest.raises(HopFailed) as caught:
        client.open([hop], no_dialogue)
    assert (caught.value.kind, caught.value.hop_index) == (kind, 0)
    assert 'ssh web1' in str(caught.value)
    if status is not None:
        assert caught.value.status == status
    if status == 7:
        assert b'refused' in caught.value.output
    assert client.open([local_hop()], no_dialogue).fresh


def test_the_second_hop_is_named_when_it_fails(client: MuxClient) -> None:
    with pytest.raises(HopFailed) as caught:
        client.open([local_hop(), Hop(('/bin/sh', '-c', 'exit 3'), 'sudo root', 'b')], no_dialogue)
    assert (caught.value.hop_index, caught.value.status) == (1, 3)


ASKING = 'printf "Password: " >/dev/tty; read p </dev/tty; [ "$p" = secret ] || exit 9; '


@pytest.mark.parametrize('through', [[], [local_hop()]])
def test_prompts_are_answered_by_the_dialogue(client: MuxClient, through: list[Hop]) -> None:
    heard = []

    def answer(hop: int, output: bytes) -> bytes | None:
        heard.append((hop, output))
        return b'secret\n' if output.endswith(b'Password: ') else None
    hop = local_hop('asking', before=ASKING, needs_tty=True, may_prompt=True)
    context = client.open([*through, hop], answer)
    assert heard[-1] == (len(through), b'Password: ')
    assert client.run_command(context, ['echo', 'in']).stdout == b'in\n'


class NoPasswordError(Exception):
    """As a plugin raises it."""


@pytest.mark.parametrize('through', [[], [local_hop()]])
def test_what_the_dialogue_raises_ends_the_hop_and_is_raised(client: MuxClient, owner: subprocess.Popen[bytes],
                                                            through: list[Hop]) -> None:
    def refuse(hop: int, output: bytes) -> bytes | None:
        raise NoPasswordError
    with pytest.raises(NoPasswordError):
        client.open([*through, local_hop('asking', before=ASKING, needs_tty=True, may_prompt=True)], refuse)
    wait_until(lambda: not any('Password' in process_table()[pid].command for pid in of_mux(owner.pid)
                               if pid in process_table()), 3, 'the asking program to end')
    assert client.run_command(client.open([local_hop()], no_dialogue), ['true']).rc == 0


def test_when_the_client_that_answers_dies_another_one_is_asked(path: str) -> None:
    hop = local_hop('asking', before=ASKING, needs_tty=True, may_prompt=True)
    asked = threading.Event()
    outcome = []
    first, second = MuxClient(path), MuxClient(path)

    def never(number: int, output: bytes) -> bytes | None:
        asked.set()
        threading.Event().wait(1)
        first.close_abruptly()  # type: ignore[attr-defined]
        raise NoPasswordError
    first.close_abruptly = lambda: first._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined, union-attr]

    def attempt() -> None:
        with pytest.raises((NoPasswordError, MuxGone)):
            first.open([hop], never)
    thread = threading.Thread(target=attempt)
    thread.start()
    assert asked.wait(5)
    outcome.append(second.open([hop], lambda number, output: b'secret\n'))
    thread.join(5)
    assert second.run_command(outcome[0], ['echo', 'in']).stdout == b'in\n'
    second.close()


def test_a_context_that_dies_is_reported_at_once_and_can_be_opened_anew(
        client: MuxClient, context: ContextInfo) -> None:
    agent = int(client.run_command(context, ['/bin/sh', '-c', 'ps -o ppid= -p $PPID']).stdout)
    began = time.monotonic()
    threading.Timer(0.3, os.kill, (agent, signal.SIGKILL)).start()
    with pytest.raises(ContextLost) as caught:
        client.run_command(context, ['sleep', '30'])
    assert caught.value.started
    assert time.monotonic() - began < 25
    with pytest.raises(ContextLost) as again:
        client.run_command(context, ['true'])
    assert not again.value.started
    assert client.run_command(client.open([local_hop()], no_dialogue), ['true']).rc == 0


def test_a_context_whose_zygote_dies_is_opened_anew(client: MuxClient, context: ContextInfo) -> None:
    with pytest.raises(ContextLost):
        client.run_command(context, ['/bin/sh', '-c', 'kill -9 $PPID; sleep 30'])
    fresh = client.open([local_hop()], no_dialogue)
    assert fresh.fresh
    assert client.run_command(fresh, ['true']).rc == 0


def test_with_few_descriptors_idle_contexts_make_room_for_others(
        client: MuxClient, context: ContextInfo, owner: subprocess.Popen[bytes]) -> None:
    pid = of_mux(owner.pid)[0]
    # More than are kept free, and fewer than the contexts need.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (80, 80))
    contexts = [client.open([local_hop(f'host {number}')], no_dialogue) for number in range(14)]
    assert all(client.run_command(other, ['true']).rc == 0 for other in contexts[-3:])
    with pytest.raises(ContextLost) as caught:
        client.run_command(context, ['true'])
    assert not caught.value.started
    wait_until(lambda: len(os.listdir(f'/proc/{pid}/fd')) < 24, 20, 'the idle contexts to be closed')


# Commands


def test_a_command_gets_its_input_environment_and_directory(client: MuxClient, context: ContextInfo,
                                                            tmp_path: Path) -> None:
    done = client.run_command(context, ['/bin/sh', '-c', 'cat; echo "$X"; pwd; echo err >&2; exit 3'], b'in\0put\n',
                              env={'X': 'val ue'}, cwd=str(tmp_path))
    assert (done.rc, done.stderr, done.round_trips) == (3, b'err\n', 1)
    assert done.stdout == b'in\0put\nval ue\n%s\n' % str(tmp_path).encode()
    assert done.ms > 0


def test_the_login_shell_runs_what_names_no_program(client: MuxClient, context: ContextInfo) -> None:
    assert client.run_command(context, ['', '-c', 'echo $0']).stdout


def test_a_command_on_a_terminal_sees_one(client: MuxClient, context: ContextInfo) -> None:
    done = client.run_command(context, ['/bin/sh', '-c', 'test -t 0 && test -t 1 && test -t 2 && echo yes'], tty=True)
    assert done.stdout.strip() == b'yes'


def test_a_command_that_is_not_there_fails_without_harm(client: MuxClient, context: ContextInfo) -> None:
    with pytest.raises(JobFailed):
        client.run_command(context, ['/no/such/program'])
    assert client.run_command(context, ['true']).rc == 0


@pytest.mark.parametrize('size', [0, 1, 500_000, 700_000, 5 * MIB])
def test_input_of_any_size_arrives_whole_and_leaves_nothing_behind(client: MuxClient, tmp_path: Path,
                                                                   size: int) -> None:
    context = client.open([local_hop(before="export TMPDIR='%s';" % tmp_path)], no_dialogue)
    content = os.urandom(size)
    done = client.run_command(context, ['cat'], content)
    assert done.stdout == content
    assert os.listdir(tmp_path) == []
    if size > 600_000:
        assert client.run_command(context, ['', '-c', 'wc -c'], content).stdout.split() == [str(size).encode()]


def peak_memory(pid: int) -> int:
    match = re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/%d/status' % pid).read_text())
    assert match is not None
    return int(match[1]) * 1024


def test_a_hundred_megabytes_of_output_arrive_without_filling_the_multiplexer(
        client: MuxClient, context: ContextInfo, owner: subprocess.Popen[bytes]) -> None:
    done = client.run_command(
        context, [sys.executable, '-c', 'import os\nfor n in range(100): os.write(1, bytes([n]) * (1 << 20))\n'
                  'os.write(2, b"e" * 300000)'])
    assert len(done.stdout) == 100 * MIB
    assert all(done.stdout[n * MIB] == n for n in range(100))
    assert done.stderr == b'e' * 300_000
    assert peak_memory(of_mux(owner.pid)[0]) < 80 * MIB


def test_jobs_of_one_host_run_at_the_same_time(path: str, context: ContextInfo) -> None:
    began = time.monotonic()
    threads = [threading.Thread(target=MuxClient(path).run_command, args=(context, ['sleep', '1'])) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert time.monotonic() - began < 9


def test_a_client_that_is_killed_takes_its_job_with_it(path: str, context: ContextInfo, tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        MuxClient(path).run_command(context, ['/bin/sh', '-c', 'echo $$ > %s/pid; exec sleep 60' % tmp_path])
        os._exit(0)
    job = int(wait_until(lambda: (tmp_path / 'pid').exists() and (tmp_path / 'pid').read_text(), 10, 'the job'))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_until(lambda: job not in process_table(), 20, 'the job to end')


def test_an_interrupted_request_is_cancelled_and_the_client_goes_on(
        client: MuxClient, context: ContextInfo, tmp_path: Path) -> None:
    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt_when_it_runs() -> None:
        wait_until((tmp_path / 'pid').exists, 30, 'the job to run')
        os.kill(os.getpid(), signal.SIGALRM)
    before = signal.signal(signal.SIGALRM, interrupt)
    watcher = threading.Thread(target=interrupt_when_it_runs)
    try:
        watcher.start()
        with pytest.raises(KeyboardInterrupt):
            client.run_command(context, [
                '/bin/sh', '-c', 'cd %s; echo $$ > new; mv new pid; exec sleep 60' % tmp_path])
    finally:
        watcher.join()
        signal.signal(signal.SIGALRM, before)
    job = int((tmp_path / 'pid').read_text())
    assert client.run_command(context, ['echo', 'on']).stdout == b'on\n'
    wait_until(lambda: job not in process_table(), 20, 'the job to end')


# Modules


def test_a_module_runs_and_the_zip_is_sent_once(client: MuxClient, context: ContextInfo,
                                                module_call: Callable[..., ModuleCall]) -> None:
    call = module_call('ping', 'data=hello')
    done = client.run_module(context, call)
    assert result_of(done)['ping'] == 'hello'
    assert done.round_trips == 1
    other = ModuleCall(**{**vars(call), 'zip_base64': '', 'params': call.params.replace('hello', 'again')})
    assert result_of(client.run_module(context, other))['ping'] == 'again'


def test_a_zip_can_be_sent_before_a_module_is_run(client: MuxClient, context: ContextInfo,
                                                  module_call: Callable[..., ModuleCall]) -> None:
    call = module_call('ping', 'data=hello')
    for _ in range(2):
        client.keep_zip(call.zip_id, call.zip_base64)
    done = client.run_module(context, ModuleCall(**{**vars(call), 'zip_base64': ''}))
    assert result_of(done)['ping'] == 'hello'
    with pytest.raises(JobFailed, match='the zip is not the one that was announced'):
        client.keep_zip('0' * 64, call.zip_base64)
    assert result_of(client.run_module(context, call))['ping'] == 'hello'


def test_modules_run_in_contexts_behind_others(client: MuxClient, module_call: Callable[..., ModuleCall]) -> None:
    inner = client.open([local_hop('outer'), local_hop('inner')], no_dialogue)
    for _ in range(2):
        assert result_of(client.run_module(inner, module_call('ping', 'data=deep')))['ping'] == 'deep'


def test_a_module_gets_its_environment_and_directory(client: MuxClient, context: ContextInfo, tmp_path: Path,
                                                     module_call: Callable[..., ModuleCall]) -> None:
    call = module_call('command', '/bin/sh -c "echo $X; pwd"'.replace('$', '${').replace('${X', '${X}'))
    call = ModuleCall(**{**vars(call), 'env': {'X': 'ok'}, 'cwd': str(tmp_path)})
    assert result_of(client.run_module(context, call))['stdout'] == 'ok\n%s' % tmp_path


def test_a_module_may_run_under_another_interpreter(client: MuxClient, context: ContextInfo, tmp_path: Path,
                                                    module_call: Callable[..., ModuleCall]) -> None:
    venv = tmp_path / 'venv'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(venv)], check=True, timeout=60)
    interpreter = str(venv / 'bin' / 'python')
    call = ModuleCall(**{**vars(module_call('setup', 'gather_subset=!all,!min,python')), 'interpreter': interpreter})
    for expected in (3, 1):
        done = client.run_module(context, call)
        facts = result_of(done)['ansible_facts']
        assert facts['ansible_python']['executable'] == interpreter  # type: ignore[index]
        assert done.round_trips == expected


def test_another_name_of_the_same_interpreter_needs_no_other_context(
        client: MuxClient, tmp_path: Path, module_call: Callable[..., ModuleCall]) -> None:
    (tmp_path / 'python-too').symlink_to('/usr/bin/python3')
    context = client.open([local_hop(python='/usr/bin/python3')], no_dialogue)
    call = module_call('ping', 'data=hello')
    client.run_module(context, call)
    for _ in range(2):
        client.run_module(context, ModuleCall(**{**vars(call), 'interpreter': str(tmp_path / 'python-too')}))
    assert not [process.command for process in process_table().values() if 'python-too' in process.command]


@pytest.mark.parametrize('interpreter', ['/no/such/python', 'no-such-python', "it's", '/bin/true'])
def test_an_interpreter_that_is_none_is_a_failed_hop(client: MuxClient, context: ContextInfo, interpreter: str,
                                                     module_call: Callable[..., ModuleCall]) -> None:
    call = ModuleCall(**{**vars(module_call('ping', 'data=hello')), 'interpreter': interpreter})
    with pytest.raises(HopFailed):
        client.run_module(context, call)
    assert client.run_command(context, ['true']).rc == 0


def test_arguments_that_fit_no_message_are_a_failed_hop(client: MuxClient, context: ContextInfo,
                                                        module_call: Callable[..., ModuleCall]) -> None:
    call = ModuleCall(**{**vars(module_call('ping', 'data=hello')), 'params': 'x' * MIB})
    with pytest.raises(HopFailed):
        client.run_module(context, call)


# Files


@pytest.mark.parametrize('size', [0, 100, 128 * 1024 - 1, 128 * 1024, 5 * MIB])
def test_files_go_there_and_back(client: MuxClient, context: ContextInfo, tmp_path: Path, size: int) -> None:
    (tmp_path / 'source').write_bytes(os.urandom(size))
    client.put_file(context, str(tmp_path / 'source'), str(tmp_path / 'there'), 0o640)
    client.fetch_file(context, str(tmp_path / 'there'), str(tmp_path / 'back'))
    assert (tmp_path / 'back').read_bytes() == (tmp_path / 'there').read_bytes() == (tmp_path / 'source').read_bytes()
    assert stat.S_IMODE((tmp_path / 'there').stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ['back', 'source', 'there']


def test_a_large_file_fills_no_memory_and_lets_other_traffic_pass(
        client: MuxClient, path: str, context: ContextInfo, tmp_path: Path, owner: subprocess.Popen[bytes]) -> None:
    with open(tmp_path / 'source', 'wb') as file:
        for number in range(300):
            file.write(bytes([number % 251]) * MIB)
    arguments = (context, str(tmp_path / 'source'), str(tmp_path / 'there'))
    copying = threading.Thread(target=client.put_file, args=arguments)
    other, slowest, started = MuxClient(path), 0.0, time.monotonic()
    copying.start()
    while copying.is_alive():
        began = time.monotonic()
        other.run_command(context, ['true'])
        slowest = max(slowest, time.monotonic() - began)
    copying.join()
    assert slowest < max(1, (time.monotonic() - started) / 4)
    client.fetch_file(context, str(tmp_path / 'there'), str(tmp_path / 'back'))
    assert subprocess.run(['cmp', str(tmp_path / 'source'), str(tmp_path / 'back')], timeout=60).returncode == 0
    for pid in of_mux(owner.pid):
        assert peak_memory(pid) < 80 * MIB
    other.close()


@pytest.mark.parametrize('target', ['/no/such/folder/file', '/proc/version', '/tmp'])
@pytest.mark.parametrize('size', [10, 5 * MIB])
def test_a_file_that_cannot_be_written_is_a_failed_transfer(
        client: MuxClient, context: ContextInfo, tmp_path: Path, target: str, size: int) -> None:
    (tmp_path / 'source').write_bytes(b'x' * size)
    with pytest.raises(TransferFailed) as caught:
        client.put_file(context, str(tmp_path / 'source'), target)
    assert caught.value.errno
    assert client.run_command(context, ['echo', 'on']).stdout == b'on\n'


def test_a_file_that_cannot_be_read_is_a_failed_transfer_and_makes_no_local_one(
        client: MuxClient, context: ContextInfo, tmp_path: Path) -> None:
    for source in ('/no/such/file', '/tmp'):
        with pytest.raises(TransferFailed):
            client.fetch_file(context, source, str(tmp_path / 'back'))
    with pytest.raises(FileNotFoundError):
        client.put_file(context, str(tmp_path / 'none'), '/tmp/x')
    assert os.listdir(tmp_path) == []


def test_a_client_that_dies_while_copying_leaves_nothing_half_done(
        path: str, context: ContextInfo, tmp_path: Path) -> None:
    (tmp_path / 'there').mkdir()
    os.mkfifo(tmp_path / 'source')
    pid = os.fork()
    if not pid:
        MuxClient(path).put_file(context, str(tmp_path / 'source'), str(tmp_path / 'there' / 'file'))
        os._exit(0)
    with open(tmp_path / 'source', 'wb') as feed:
        feed.write(b'x' * MIB)
        wait_until(lambda: os.listdir(tmp_path / 'there'), 20, 'the transfer')
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    wait_until(lambda: not os.listdir(tmp_path / 'there'), 20, 'the temporary file to go')


# Beginning and end


def test_there_is_one_multiplexer_however_many_start_it(owner: subprocess.Popen[bytes]) -> None:
    paths: list[str] = []
    threads = [threading.Thread(target=lambda: paths.append(launcher.ensure_mux(owner.pid, 4))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(paths)) == 1 and len(paths) == 10
    assert launcher.find_mux(owner.pid) == paths[0]
    client = MuxClient(paths[0])
    client.open([local_hop()], no_dialogue)
    assert sum('ansible_mitogen.mux' in process_table()[pid].command for pid in of_mux(owner.pid)) == 1
    client.close()


def test_a_client_of_a_multiplexer_that_is_not_there_says_so(tmp_path: Path) -> None:
    client = MuxClient(str(tmp_path / 'none'), deadline=0.1)
    with pytest.raises(MuxGone):
        client.open([local_hop()], no_dialogue)


def test_garbage_on_the_socket_harms_nobody(path: str, client: MuxClient, context: ContextInfo) -> None:
    for garbage in (b'\0' * 100, os.urandom(5000), b'GET / HTTP/1.1\r\n\r\n' * 10):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.settimeout(5)
            try:
                sock.sendall(garbage)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert client.run_command(context, ['echo', 'on']).stdout == b'on\n'


def test_a_context_of_an_earlier_multiplexer_is_lost(owner: subprocess.Popen[bytes], client: MuxClient,
                                                     context: ContextInfo) -> None:
    client.shutdown()
    wait_until(lambda: not of_mux(owner.pid), 20, 'the multiplexer to end')
    second = MuxClient(launcher.ensure_mux(owner.pid, 8))
    second.open([local_hop()], no_dialogue)
    with pytest.raises(ContextLost) as caught:
        second.run_command(context, ['true'])
    assert not caught.value.started
    second.close()


def everything_ends(owner: subprocess.Popen[bytes], path: str, end: Callable[[list[int]], None]) -> None:
    """Have contexts with jobs, a background process and an opening hop; then end it, and find nothing left."""
    client = MuxClient(path)
    context = client.open([local_hop(), local_hop('inner')], no_dialogue)
    client.run_command(context, ['true'])

    def keep_busy(*request: object) -> None:
        with pytest.raises(MuxError):
            MuxClient(path).run_command(context, ['sleep', '71'])

    def keep_opening() -> None:
        stuck = Hop(('/bin/sh', '-c', 'trap "" TERM HUP; sleep 72; :'), 'stuck', 'stuck')
        with pytest.raises(MuxError):
            MuxClient(path).open([stuck], no_dialogue)
    threads = [threading.Thread(target=keep_busy), threading.Thread(target=keep_opening)]
    for thread in threads:
        thread.start()
    wait_until(lambda: {'sleep 71', 'sleep 72'} <= {process_table()[pid].command for pid in of_mux(owner.pid)
                                                    if pid in process_table()}, 30, 'the jobs')
    everyone = of_mux(owner.pid)
    end(everyone)
    wait_until(lambda: not set(everyone) & set(process_table()), 20, 'everything to end')
    wait_until(lambda: not Path(path).parent.exists(), 20, 'the directory to go')
    for thread in threads:
        thread.join(5)
    with pytest.raises(MuxGone):
        client.run_command(context, ['true'])


def test_nothing_is_left_when_it_is_shut_down(owner: subprocess.Popen[bytes], path: str) -> None:
    everything_ends(owner, path, lambda pids: MuxClient(path).shutdown())


def test_nothing_is_left_when_its_owner_is_killed(owner: subprocess.Popen[bytes], path: str) -> None:
    def kill_owner(pids: list[int]) -> None:
        owner.kill()
        owner.wait()
    everything_ends(owner, path, kill_owner)


def test_nothing_is_left_when_it_is_terminated(owner: subprocess.Popen[bytes], path: str) -> None:
    everything_ends(owner, path, lambda pids: os.kill(pids[0], signal.SIGTERM))


def test_contexts_end_and_another_one_can_be_started_when_it_is_killed(
        owner: subprocess.Popen[bytes], path: str, client: MuxClient, context: ContextInfo) -> None:
    everyone = of_mux(owner.pid)
    os.kill(everyone[0], signal.SIGKILL)
    with pytest.raises(MuxGone):
        client.run_command(context, ['true'])
    wait_until(lambda: not set(everyone) & set(process_table()), 20, 'the contexts to end')
    second = MuxClient(launcher.ensure_mux(owner.pid, 8))
    assert second.run_command(second.open([local_hop()], no_dialogue), ['echo', 'on']).stdout == b'on\n'
    second.close()
