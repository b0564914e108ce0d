"""Functions that tests call in other contexts. They travel there: nothing but the standard library and the runtime."""

import os
import sys
import time

from mitogen.core import Receiver
from mitogen.core.external import runs_in_thread, takes_econtext

#: What :func:`remember` was given.
remembered = []


class Greeter:
    """Has a method to be called by its dotted name."""

    word = 'hello'

    @classmethod
    def greet(cls, name):
        return '%s %s' % (cls.word, name)


def echo(*args, **kwargs):
    return [args, kwargs]


def double(number):
    return number * 2


def remember(value):
    remembered.append(value)


def take_remembered():
    found = list(remembered)
    del remembered[:]
    return found


def fail_deeply(text):
    def inner():
        raise LookupError(text)
    inner()


def raise_named(name):
    raise getattr(__import__('builtins'), name)('the end')


def return_what_cannot_cross():
    return object()


def announce_and_sleep(sender, seconds):
    """Tell that the call has begun, and sleep through every ordinary exception."""
    sender.send(os.getpid())
    try:
        time.sleep(seconds)
    except Exception:
        return 'swallowed'
    return 'slept'


def ignore_everything(sender, seconds):
    """Tell that the call has begun, and hang: neither exceptions nor polite signals end it."""
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sender.send(os.getpid())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(until - time.monotonic())
        except BaseException:
            continue


@takes_econtext
def describe_context(econtext):
    """Return the types of what a context has, its ID, the mailbox of calls, and the functions that call this one."""
    import threading
    import traceback
    assert econtext.importer in sys.meta_path
    assert threading.current_thread() is threading.main_thread()
    kinds = {name: type(getattr(econtext, name)).__name__ for name in (
        'broker', 'context', 'channel', 'importer', 'stdout_log', 'stderr_log')}
    return [kinds, econtext.context.context_id, econtext.channel.handle,
            [frame[2] for frame in traceback.extract_stack()]]


@takes_econtext
def wait_for_word(sender, econtext):
    """Send a mailbox to `sender`, and return what arrives there."""
    receiver = Receiver(econtext.router)
    sender.send(receiver.to_sender())
    return receiver.get()


@runs_in_thread
@takes_econtext
def wait_aside(sender, econtext):
    """Do as :func:`wait_for_word`, in a thread of its own."""
    return wait_for_word(sender, econtext)


def send_numbers(sender, count):
    for number in range(count):
        sender.send({'number': number, 'bytes': b'.' * 100})
    sender.close()


def send_blocks(sender, count, size):
    """Send blocks to `sender`, each beginning with its number; return how many it took."""
    filler = b'.' * (size - 8)
    for number in range(count):
        sender.send(number.to_bytes(8, 'big') + filler)
    sender.close()
    return count


@takes_econtext
def take_blocks(back, go_on, econtext):
    """Send a mailbox to `back`; read it to its end only after a message came to the mailbox sent before."""
    start, blocks = Receiver(econtext.router), Receiver(econtext.router)
    back.send([start.to_sender(), blocks.to_sender()])
    start.get()
    count = size = 0
    for block in blocks:
        assert int.from_bytes(block[:8], 'big') == count
        count += 1
        size += len(block)
    return [count, size]


def peak_memory():
    """Return the most memory that this process has had, in KiB."""
    with open('/proc/self/status') as status:
        for line in status:
            if line.startswith('VmHWM:'):
                return int(line.split()[1])
    raise LookupError('VmHWM')


def start_process(argv):
    """Start a process of its own, and leave it."""
    import subprocess
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL).pid


def describe():
    """Tell where this runs."""
    return {'pid': os.getpid(), 'version': list(sys.version_info[:2]), 'umask': current_umask(),
            'encoding': sys.getfilesystemencoding()}


def current_umask():
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def descriptors():
    return sorted(map(int, os.listdir('/proc/self/fd')))


def children():
    """Return the IDs of this process's children, zombies included."""
    with open('/proc/self/task/%d/children' % os.getpid()) as listing:
        return list(map(int, listing.read().split()))


def print_text(text):
    print(text)


def storm_of_signals():
    """Have a signal interrupt this process every millisecond."""
    import signal
    signal.signal(signal.SIGALRM, lambda number, frame: remembered.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)


def stop_the_storm():
    """End that; return how many signals there were."""
    import signal
    signal.setitimer(signal.ITIMER_REAL, 0)
    return len(take_remembered())


def hang_in_a_signal_handler(sender):
    """Have the main thread enter a signal handler that it does not leave."""
    import signal

    def hang(number, frame):
        ignore_everything(sender, 1000)
    signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(1000)
