"""Run a daemon for as long as anyone holds a shared lock on a file.

    python keeper.py LOCK GRACE COMMAND...

Whoever needs the daemon holds the lock while that is so; one that is killed lets go of it as well. When nobody
holds it any more, COMMAND is told to end, and is killed if it has not after GRACE seconds. While it ends, nobody gets
the lock.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Do as the module's text says."""
    path, grace, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    # The one who ends the keeper means the daemon.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(path, 'a') as lock:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL)

        def leave_with_the_daemon() -> None:
            os._exit(daemon.wait() & 255)

        signal.signal(signal.SIGTERM, lambda number, frame: daemon.terminate())
        threading.Thread(target=leave_with_the_daemon, daemon=True).start()
        fcntl.flock(lock, fcntl.LOCK_EX)
        daemon.terminate()
        try:
            daemon.wait(grace)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


main()
