"""How processes of a tree end: with their parent, by a deadline, at a shutdown; and who is told."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.harness.processes import process_table, wait_until
from tests.runtime.programs import Program, run

#: Seconds that a tree has to be gone after its root. It takes less than one; a busy machine may need more.
GONE = 4

#: Two branches: a chain of three with zygotes and jobs, and a context whose calls started processes of their own.
TREE = '''
router = Router()
python = ['sh', '-c', bootstrap_command([sys.executable])]
chain = []
for number in range(3):
    chain.append(router.open(ChildSpec(python, 'chain %d' % number, zygote=True), chain[-1] if chain else None))
forked = router.fork(via=chain[0])
local = router.local(via=chain[1], python=sys.executable)
jobs = [start_job(router, context, ['sh', '-c', 'trap "" HUP TERM; sleep 1000 & sleep 1000']) for context in chain]
started = [context.call(remote.start_process, ['sleep', '1000']) for context in [*chain, forked, local]]
busy = local.call_async(time.sleep, 1000)
contexts = [context.info['pid'] for context in [*chain, forked, local]]
'''


def tree_below(pid):
    """Return the process IDs of all living processes below one."""
    table = process_table()
    found, queue = set(), [pid]
    while queue:
        parent = queue.pop()
        below = [process.pid for process in table.values() if process.parent == parent]
        found.update(below)
        queue += below
    return found


def alive(pids):
    return sorted(set(pids) & set(process_table()))


def names(pids):
    table = process_table()
    return [table[pid].command for pid in pids if pid in table]


def test_a_killed_root_takes_every_process_of_its_tree_with_it():
    with Program(TREE + 'tell(pid=os.getpid(), contexts=contexts, started=started)\nsignal.pause()\n') as program:
        told = program.hear()
        everybody = wait_until(lambda: len(tree_below(told['pid'])) >= 22 and tree_below(told['pid']), 20,
                               'five contexts, three zygotes, three jobs of three processes, five others')
        assert {*told['contexts'], *told['started']} <= everybody
        os.kill(told['pid'], signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: not alive(everybody), GONE, 'all gone: %s' % names(alive(everybody)))
        assert time.monotonic() - began < GONE


@pytest.mark.parametrize('via', ['None', 'router.local()'])
def test_a_context_that_was_told_to_end_is_gone_when_its_last_process_is(via):
    with Program('router = Router()\nvia = %s' % via + '''
child = router.open(ChildSpec(['sh', '-c', bootstrap_command([sys.executable])], 'child', zygote=True), via)
tell(pid=child.info['pid'])
sys.stdin.readline()
child.shutdown(wait=True)
tell()
sys.stdin.readline()
end(router)
''', stdin=-1) as program:
        child = program.hear()['pid']
        [zygote] = wait_until(lambda: tree_below(child), 20, 'a zygote')
        # Slower than any other.
        os.kill(zygote, signal.SIGSTOP)
        program.process.stdin.write(b'\n')
        program.process.stdin.flush()
        program.hear()
        assert not alive({child, zygote}), names({child, zygote})
        program.process.stdin.write(b'\n')
        program.finish()


def test_a_killed_context_takes_its_subtree_with_it_and_no_other():
    with Program(TREE + '''
lost = []
router.broker.call_sync(router.on_context_lost, chain[2].context_id, lambda number, reason: lost.append(reason))
tell(pid=os.getpid(), middle=chain[1].info['pid'])
sys.stdin.readline()
for context in (chain[1], chain[2], local):
    try:
        context.call(os.getpid, mitogen_timeout=SOON)
    except ChannelError as exc:
        continue
    raise AssertionError(context)
assert lost
tell(pids=[context.call(os.getpid) for context in (chain[0], forked)])
end(router)
''', stdin=-1) as program:
        told = program.hear()
        below = wait_until(lambda: len(tree_below(told['middle'])) >= 13 and tree_below(told['middle']), 20, 'a tree')
        others = tree_below(told['pid']) - below - {told['middle']}
        os.kill(told['middle'], signal.SIGKILL)
        wait_until(lambda: not alive(below), GONE, 'all below gone')
        assert set(alive(others)) == others
        program.process.stdin.write(b'\n')
        program.process.stdin.flush()
        assert set(program.hear()['pids']) <= others
        program.finish()
        assert not alive(others)


def test_all_who_wait_for_a_dead_context_are_told_why():
    told = run('''
router = Router()
child = router.local()
below = router.local(via=child, python=sys.executable)
told = {}

def note(name, func, *args):
    try:
        func(*args)
    except ChannelError as exc:
        told[name] = str(exc)

inbox = Receiver(router)
below.call_async(remote.announce_and_sleep, inbox.to_sender(), 1000)
inbox.get(SOON)
running = child.call_async(remote.take_blocks, inbox.to_sender(), None)
_, blocks = inbox.get(SOON)
queued = [context.call_async(remote.double, 1) for context in (child, below) for _ in range(10)]
mailbox = Receiver(router, source=below.context_id)

def fill():
    while True:
        blocks.send(b'.' * 100000)

threads = [threading.Thread(target=note, args=args) for args in (
    ('running', running.get), ('thread mailbox', mailbox.get),
    ('select', lambda: Select([queued[0]]).get().get()), ('sender', fill),
    ('call', below.call, remote.double, 1))]
for thread in threads:
    thread.start()
time.sleep(0.5)
os.kill(child.info['pid'], signal.SIGKILL)
for thread in threads:
    thread.join(SOON)
    assert not thread.is_alive()
for number, call in enumerate(queued[1:]):
    note('queued %d' % number, call.get, SOON)
# Also who comes too late.
note('late call', child.call, remote.double, 2)
note('late mailbox', Receiver(router, source=below.context_id).get, SOON)
note('late via', lambda: router.local(via=child))
end(router)
tell(told=told)
''')['told']
    assert told.keys() == {'running', 'thread mailbox', 'select', 'sender', 'call', 'late call', 'late mailbox',
                           'late via', *('queued %d' % number for number in range(19))}
    assert 'killed by signal 9' in told['running']


@pytest.mark.parametrize('how', ['stopped', 'hung'])
@pytest.mark.parametrize('hops', [1, 2])
def test_a_context_that_does_not_answer_is_ended_by_the_deadline(how, hops):
    with Program('''
how, hops = sys.argv[1], int(sys.argv[2])
router = Router()
path = []
for _ in range(hops):
    path.append(router.local(via=path[-1] if path else None, python=sys.executable))
context = path[-1]
pids = [context.info['pid'], context.call(remote.start_process, ['sleep', '1000'])]
if how == 'stopped':
    os.kill(context.info['pid'], signal.SIGSTOP)
else:
    inbox = Receiver(router)
    context.call_async(remote.ignore_everything, inbox.to_sender(), 1000)
    inbox.get(SOON)
try:
    context.call(remote.double, 1, mitogen_timeout=0.3)
    raise AssertionError('it answered')
except TimeoutError:
    pass
waiting = context.call_async(remote.double, 1)
context.shutdown(wait=True, timeout=1)
try:
    waiting.get(SOON)
    raise AssertionError('it answered')
except ChannelError as exc:
    reason = str(exc)
tell(pids=pids, reason=reason, above=[other.call(remote.double, 2) for other in path[:-1]])
sys.stdin.readline()
end(router)
''', how, str(hops), stdin=-1) as program:
        found = program.hear()
        assert 'gone' in found['reason'] or 'shut down' in found['reason'], found
        assert found['above'] == [4] * (hops - 1)
        # While all others go on.
        wait_until(lambda: not alive(found['pids']), GONE, 'it and what it started are gone')
        program.process.stdin.write(b'\n')
        program.finish()


def test_a_hung_middle_does_not_keep_a_shutdown_from_ending():
    found = run('''
router = Router()
top = router.local()
middle = router.local(via=top, python=sys.executable)
bottom = router.local(via=middle, python=sys.executable)
pids = [context.info['pid'] for context in (top, middle, bottom)]
os.kill(middle.info['pid'], signal.SIGSTOP)
os.kill(top.info['pid'], signal.SIGSTOP)
end(router)
tell(pids=pids)
''')
    wait_until(lambda: not alive(found['pids'][:1]), GONE, 'the stopped child is gone')
    # Stopped by others, it sees its end only when it goes on.
    for pid in alive(found['pids'][1:2]):
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not alive(found['pids']), GONE, 'all are gone')


def test_a_stopped_context_does_not_outlive_its_parent():
    with Program('''
router = Router()
top = router.local()
middle = router.local(via=top, python=sys.executable)
bottom = router.local(via=middle, python=sys.executable)
started = middle.call(remote.start_process, ['sleep', '1000'])
os.kill(middle.info['pid'], signal.SIGSTOP)
tell(pids=[context.info['pid'] for context in (top, middle, bottom)] + [started])
signal.pause()
''') as program:
        pids = program.hear()['pids']
        program.process.kill()
        wait_until(lambda: not alive(pids), GONE, 'all are gone')


def test_a_command_that_never_greets_is_ended_by_its_deadline():
    found = run('''
before = time.monotonic()
router = Router()
pids = []
for script in ('echo $$ >&2; trap "" TERM; while :; do sleep 100; done', 'echo noise; exec cat'):
    try:
        router.open(ChildSpec(['sh', '-c', script], 'mute', deadline=0.7))
    except HopError as exc:
        pids.append([exc.kind, str(exc)])
deadline = time.monotonic() + SOON
while remote.children() and time.monotonic() < deadline:
    time.sleep(0.02)
tell(errors=pids, children=remote.children())
end(router)
''')
    assert [kind for kind, _ in found['errors']] == ['timeout', 'timeout']
    assert all(text.startswith('mute: no answer within 0.7 s') for _, text in found['errors'])
    assert found['children'] == []


COUNT = '''
def count():
    """Return threads, descriptors and children of this process."""
    children = open('/proc/self/task/%d/children' % os.getpid()).read().split()
    fds = {}
    for fd in os.listdir('/proc/self/fd'):
        try:
            fds[int(fd)] = os.readlink('/proc/self/fd/' + fd).split(':')[0]
        except OSError:
            pass
    return {'threads': sorted(thread.name for thread in threading.enumerate()), 'children': children, 'fds': fds}
'''


def test_a_shutdown_leaves_no_thread_no_descriptor_and_no_zombie():
    found = run(COUNT + '''
def live():
    router = Router()
    python = ['sh', '-c', bootstrap_command([sys.executable])]
    plain = router.local()
    full = router.open(ChildSpec(python, 'full', zygote=True, needs_tty=True, may_prompt=True), None, lambda text: None)
    forked = router.fork()
    below = router.local(via=full, python=sys.executable)
    doomed = router.local()
    jobs = [start_job(router, full, ['sleep', '1000']) for _ in range(3)]
    for context in (plain, full, forked, below, doomed):
        context.call_async(remote.double, 1)
    for argv in (['/no/such/program'], ['false'], ['sh', '-c', 'sleep 1000']):
        try:
            router.open(ChildSpec(argv, 'never', deadline=0.3))
        except HopError:
            pass
    os.kill(doomed.info['pid'], signal.SIGKILL)
    running = plain.call_async(time.sleep, 1000)
    inbox = Receiver(router)
    waiters = [threading.Thread(target=lambda: list(inbox)) for _ in range(3)]
    for thread in waiters:
        thread.start()
    end(router)
    for thread in waiters:
        thread.join(SOON)

live()
before = count()
for _ in range(2):
    live()
tell(before=before, after=count())
''')
    assert found['after'] == found['before']
    assert found['after']['threads'] == ['MainThread']
    assert found['after']['children'] == []
    assert not {'socket', 'anon_inode', '/dev/ptmx'} & set(found['after']['fds'].values())


def test_a_child_gives_back_what_its_own_children_took():
    found = run('''
router = Router()
parent = router.local()

def live():
    forked = router.fork(via=parent)
    below = router.local(via=parent, python=sys.executable, zygote=True)
    assert below.call(remote.double, 2) == 4
    killed = router.local(via=parent, python=sys.executable)
    os.kill(killed.info['pid'], signal.SIGKILL)
    forked.shutdown(wait=True)
    below.shutdown(wait=True)
    try:
        killed.call(time.sleep, 1000)
    except ChannelError:
        pass

live()
before = parent.call(remote.descriptors)
for _ in range(3):
    live()
deadline = time.time() + SOON
while parent.call(remote.children) and time.time() < deadline:
    time.sleep(0.02)
tell(before=before, after=parent.call(remote.descriptors), children=parent.call(remote.children))
end(router)
''')
    assert found['children'] == []
    assert len(found['after']) == len(found['before'])


def test_a_program_without_a_shutdown_ends_and_leaves_nothing():
    with Program(TREE + 'tell(contexts=contexts, started=started)\n') as program:
        told = program.hear()
        program.finish()
        wait_until(lambda: not alive(told['contexts'] + told['started']), GONE, 'all are gone')


# Odd circumstances


def test_contexts_can_be_used_in_a_signal_handler_while_the_main_thread_waits():
    found = run('''
router = Router()
slow, quick = router.local(), router.local()
found = {}

def on_alarm(number, frame):
    found['call'] = quick.call(remote.double, 21)
    found['child'] = router.local().call(remote.double, 2)
    inbox = Receiver(router)
    quick.call(remote.send_numbers, inbox.to_sender(), 100)
    found['stream'] = len(list(inbox))
    word.send('from the handler')

inbox = Receiver(router)
call = slow.call_async(remote.wait_for_word, inbox.to_sender())
word = inbox.get(SOON)
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.2)
found['slow'] = call.get(SOON)
signal.signal(signal.SIGALRM, lambda number, frame: end(router))
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    Receiver(router).get(SOON)
except ChannelError as exc:
    found['end'] = str(exc)
tell(**found)
''')
    assert found == {'call': 42, 'child': 4, 'stream': 100, 'slow': 'from the handler', 'end': 'the broker has ended'}


def test_calls_survive_a_storm_of_signals_on_both_sides():
    assert run('''
router = Router()
child = router.local()
child.call(remote.storm_of_signals)
counted = [0]
def on_alarm(number, frame):
    counted[0] += 1
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
answers = [child.call(remote.double, number) for number in range(1000)]
signal.setitimer(signal.ITIMER_REAL, 0)
assert answers == [number * 2 for number in range(1000)] and counted[0]
tell(in_child=child.call(remote.stop_the_storm))
end(router)
''')['in_child'] > 0


def test_a_child_whose_main_thread_stays_in_a_signal_handler_can_be_ended():
    found = run('''
router = Router()
child = router.local()
inbox = Receiver(router)
child.call_async(remote.hang_in_a_signal_handler, inbox.to_sender())
inbox.get(SOON)
child.shutdown(wait=True, timeout=20)
tell(pid=child.info['pid'])
end(router)
''')
    assert not alive([found['pid']])


@pytest.mark.parametrize('closed', [(0,), (0, 1, 2)])
def test_standard_streams_may_be_closed(closed):
    found = run('''
router = Router()
python = ['sh', '-c', bootstrap_command([sys.executable])]
contexts = [router.local(), router.fork(), router.open(ChildSpec(python, 'full', zygote=True, needs_tty=True,
            may_prompt=True), None, lambda text: None)]
contexts.append(router.local(via=contexts[0], python=sys.executable))
job = start_job(router, contexts[2], ['sh', '-c', 'cat; echo out; echo err >&2']).get(SOON)
tell(answers=[context.call(remote.double, 3) for context in contexts], out=[job['stdout'].decode(),
     job['stderr'].decode()], pids=[context.call(os.getpid) for context in contexts])
end(router)
''', preexec_fn=lambda: [os.close(fd) for fd in closed])
    assert found['answers'] == [6] * 4
    assert found['out'] == ['out\n', 'err\n']
    wait_until(lambda: not alive(found['pids']), GONE, 'all are gone')


def test_a_program_on_the_way_may_have_closed_stderr():
    found = run('''
router = Router()
command = 'exec 2>&-; ' + bootstrap_command([sys.executable])
context = router.open(ChildSpec(['sh', '-c', command], 'full', zygote=True), None, lambda text: None)
job = start_job(router, context, ['sh', '-c', 'cat; echo out; echo err >&2']).get(SOON)
tell(answer=context.call(remote.double, 3), out=[job['stdout'].decode(), job['stderr'].decode()])
end(router)
''')
    assert found == {'answer': 6, 'out': ['out\n', 'err\n']}


def test_a_limit_of_64_descriptors_is_enough_and_running_out_is_told():
    found = run('''
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
router = Router()
python = ['sh', '-c', bootstrap_command([sys.executable])]
full = router.open(ChildSpec(python, 'full', zygote=True))
contexts, error = [full, router.local(via=full, python=sys.executable)], None
answers = []
# Not all at once: on a busy machine none of them would have ended before the last one wants its descriptors.
for first in range(0, 12, 4):
    jobs = [start_job(router, full, ['echo', str(number)]) for number in range(first, first + 4)]
    answers += [job.get(SOON)['stdout'].decode().strip() for job in jobs]
many = [start_job(router, full, ['sh', '-c', 'sleep 1; echo %d' % number]) for number in range(40)]
refused = done = 0
for job in many:
    try:
        done += job.get(SOON)['rc'] == 0
    except CallError as exc:
        assert 'could not be started' in str(exc) and 'Too many open files' in str(exc), exc
        refused += 1
for number in range(64):
    try:
        contexts.append(router.local())
    except HopError as exc:
        error = [exc.kind, str(exc)]
        break
# Those that are open work all the same, and when some are gone there is room for others.
assert [context.call(remote.double, 4) for context in contexts] == [8] * len(contexts)
for context in contexts[-4:]:
    context.shutdown(wait=True)
assert router.local().call(remote.double, 5) == 10
end(router)
tell(answers=answers, count=len(contexts), error=error, refused=refused, done=done)
''')
    assert found['answers'] == [str(number) for number in range(12)]
    assert found['done'] + found['refused'] == 40 and found['done'] >= 10 and found['refused']
    assert found['count'] >= 12
    kind, text = found['error']
    assert kind == 'spawn' and 'Too many open files' in text


def test_a_read_only_file_system_is_enough():
    wrapper = ['unshare', '--mount', 'sh', '-ec', '''
        for point in $(awk '$5 !~ "^/(proc|sys|dev)(/|$)" {print $5}' /proc/self/mountinfo); do
            mount -o remount,bind,ro "$point" 2>/dev/null || mount -o remount,ro "$point"
        done
        exec "$@"''', 'sh']
    found = run('''
for folder in ('/', '/tmp', '/var/tmp', os.path.expanduser('~')):
    try:
        os.close(os.open(folder + '/written', os.O_CREAT | os.O_WRONLY))
    except OSError as exc:
        assert exc.errno == 30, exc
    else:
        raise AssertionError('%s can be written to' % folder)
router = Router()
python = ['sh', '-c', bootstrap_command([sys.executable])]
full = router.open(ChildSpec(python, 'full', zygote=True))
contexts = [full, router.fork(), router.local(), router.local(via=full, python=sys.executable)]
job = start_job(router, full, ['cat', '/etc/passwd']).get(SOON)
tell(answers=[context.call(remote.double, 5) for context in contexts], rc=job['rc'])
end(router)
''', wrapper=wrapper)
    assert found == {'answers': [10] * 4, 'rc': 0}


def test_a_umask_of_077_passes_down_and_hinders_nothing(tmp_path):
    found = run('''
os.umask(0o077)
router = Router()
python = ['sh', '-c', bootstrap_command([sys.executable])]
full = router.open(ChildSpec(python, 'full', zygote=True))
contexts = [full, router.fork(), router.local(), router.local(via=full, python=sys.executable)]
job = start_job(router, full, ['sh', '-c', 'umask']).get(SOON)
tell(masks=[context.call(remote.current_umask) for context in contexts], job=job['stdout'].decode().strip())
end(router)
''')
    assert found == {'masks': [0o077] * 4, 'job': '0077'}


@pytest.mark.parametrize('settings', [
    {'LC_ALL': 'C', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'},
    {'LC_ALL': 'POSIX', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0', 'PYTHONIOENCODING': 'latin-1'}])
def test_a_locale_without_utf_8_changes_no_text(settings, tmp_path):
    (tmp_path / 'caf\u00e9').touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b'/\xff')).touch()
    found = run('''
import logging
class Keep(logging.Handler):
    def emit(self, record):
        kept.append(record.getMessage())
kept = []
logging.getLogger('mitogen.ctx').addHandler(Keep())
logging.getLogger('mitogen.ctx').setLevel(logging.INFO)
router = Router()
python = ['sh', '-c', bootstrap_command([sys.executable])]
full = router.open(ChildSpec(python, 'caf\\u00e9', zygote=True))
context = router.local(via=full, python=sys.executable)
assert context.call(remote.describe)['encoding'] != 'utf-8'
names = sorted(map(ascii, map(os.fsencode, context.call(os.listdir, sys.argv[1]))))
[[text], _] = context.call(remote.echo, '\\u20ac \\U0001f600')
try:
    context.call(remote.fail_deeply, '\\u20ac')
except CallError as exc:
    message = exc.message
context.call(remote.print_text, 'printed \\u20ac')
assert context.call(remote.double, 1) == 2
os.kill(full.info['pid'], signal.SIGKILL)
try:
    context.call(time.sleep, 100)
except ChannelError as exc:
    end(router)
    tell(names=names, text=ascii(text), message=ascii(message), gone=ascii(str(exc)), kept=list(map(ascii, kept)))
''', str(tmp_path), env=settings)
    assert found['names'] == ["b'\\xff'", "b'caf\\xc3\\xa9'"]
    assert found['text'] == r"'\u20ac \U0001f600'"
    assert found['message'] == r"'\u20ac'"
    assert 'gone' in found['gone']
    assert any(r'printed \u20ac' in line or r'printed \\u20ac' in line for line in found['kept'])


NOISES = [
    'Welcome!\\n', 'no newline: ', 'MITOGEN-1 not yet\\n', 'MITOGEN-1 [1, 2\\n', 'MITOGEN-0 no Python in the motd\\n',
    '\\377\\000\\033[1m\\n', '$(yes "motd line" | head -c 300000)', '$(head -c 200000 /dev/zero | tr "\\\\0" x)']


def test_what_a_login_shell_prints_before_the_greeting_is_skipped():
    found = run('''
router = Router()
answers = []
for noise in sys.argv[1:]:
    login = 'printf "%b" "' + noise + '"; ' + 'printf "%b" "' + noise + '" >&2; '
    argv = ['sh', '-c', login + bootstrap_command([sys.executable])]
    direct = router.open(ChildSpec(argv, 'noisy'))
    prompting = router.open(ChildSpec(argv, 'noisy', may_prompt=True, needs_tty=True), direct, lambda text: None)
    answers.append([context.call(remote.double, 6) for context in (direct, prompting)])
    direct.shutdown()
tell(answers=answers)
end(router)
''', *NOISES)
    assert found['answers'] == [[12, 12]] * len(NOISES)
