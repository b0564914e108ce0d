"""Run a command, and account for every process that it leaves behind.

    python warden.py REPORT_FD GRACE PRIVATE COMMAND...

The warden is a child subreaper: whatever COMMAND starts stays below it in the
process tree, also when it makes itself a daemon. To REPORT_FD go lines of JSON:
``{"pid": N}`` at the start, ``{"status": N}`` when COMMAND ends (as
:func:`os.waitstatus_to_exitcode` has it), and ``{"left": [[pid, command], ...]}``
when everything else is gone, or at the end of GRACE seconds; what is left then
is killed.

PRIVATE is a JSON list of [source, target]: COMMAND and its children, and nobody else, see the folder `source` at
`target`. ``{"private": true}`` tells that it worked; it takes a kernel and rights that not every container has.
"""

import ctypes
import json
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x20000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18


def children_of(root: int) -> 'list[tuple[int, str]]':
    """Every living process below `root`, as (pid, command line)."""
    parents, commands = {}, {}
    for name in os.listdir('/proc'):
        if not name.isdigit():
            continue
        try:
            with open('/proc/%s/stat' % name) as stat:
                state, parent = stat.read().rpartition(')')[2].split()[:2]
            with open('/proc/%s/cmdline' % name, 'rb') as cmdline:
                command = cmdline.read().replace(b'\0', b' ').decode('utf-8', 'replace').strip()
        except OSError:
            continue
        parents[int(name)] = int(parent)
        if state != 'Z':
            commands[int(name)] = command

    def is_below(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == root:
                return True
        return False

    return sorted((pid, command) for pid, command in commands.items() if is_below(pid))


def kill_all() -> None:
    """Kill everything below this process; again and again, for what is forked meanwhile."""
    for _ in range(100):
        living = children_of(os.getpid())
        for pid, _command in living:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        if not living:
            return
        time.sleep(0.02)


def reap() -> 'dict[int, int]':
    """Collect the children that have ended: {pid: status}."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def all_end_within(seconds: float) -> bool:
    """Wait for all children, and those that become so when their parents end; returns whether none is left."""
    def too_late(*_signal: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_late)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            os.wait()
    except ChildProcessError:
        return True
    except TimeoutError:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def start(command: 'list[str]') -> int:
    """Start `command` in a session of its own, as a terminal's shell would."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, ('warden: %s: %s\n' % (command[0], error)).encode())
    os._exit(127)


def make_private(libc: ctypes.CDLL, folders: list[list[str]]) -> bool:
    """Lay folders over others, in a mount namespace of this process; returns whether that was possible."""
    if not folders or libc.unshare(CLONE_NEWNS) or libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None):
        return False
    return not any(libc.mount(source.encode(), target.encode(), None, MS_BIND, None) for source, target in folders)


def give_up(*_signal: object) -> None:
    """The tests want no more of it, or are dead."""
    kill_all()
    os._exit(143)


def main() -> None:
    """Do as the module's text says."""
    report_fd, grace, private, command = int(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:]
    os.set_inheritable(report_fd, False)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGTERM, give_up)

    def report(line: dict) -> None:
        os.write(report_fd, json.dumps(line).encode() + b'\n')

    report({'private': make_private(libc, private)})
    pid = start(command)
    report({'pid': pid})
    ended: dict[int, int] = {}
    while pid not in ended:
        # Blocks until any child ends, and leaves it for reap() to collect.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        ended = reap()
    report({'status': ended[pid]})
    if grace and all_end_within(grace):
        left = []
    else:
        left = children_of(os.getpid())
    report({'left': left})
    kill_all()


main()
