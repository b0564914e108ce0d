"""Run a command behind a slow link: ``python slow_pipe.py MILLISECONDS COMMAND…``.

Stands between its own stdin and stdout and the command's, and holds every byte back for that long each way. It serves
as argv of a child context and as ``ProxyCommand`` of ssh.
"""

import os
import queue
import subprocess
import sys
import threading
import time

CHUNK = 65536


def carry(source: int, sink: int, delay: float) -> None:
    """Copy `source` to `sink` until its end, each chunk `delay` seconds late, and close `sink`."""
    chunks: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def read() -> None:
        chunk = b'-'
        while chunk:
            try:
                chunk = os.read(source, CHUNK)
            except OSError:
                chunk = b''
            chunks.put((time.monotonic() + delay, chunk))

    threading.Thread(target=read, daemon=True).start()
    while True:
        due, chunk = chunks.get()
        time.sleep(max(0.0, due - time.monotonic()))
        if not chunk:
            break
        try:
            while chunk:
                chunk = chunk[os.write(sink, chunk) :]
        except OSError:
            break
    os.close(sink)


def main() -> int:
    """Run the command and return its exit status."""
    delay = float(sys.argv[1]) / 1000
    command = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert command.stdin and command.stdout
    into, out_of = os.dup(command.stdin.fileno()), command.stdout.fileno()
    command.stdin.close()
    threading.Thread(target=carry, args=(0, into, delay), daemon=True).start()
    carry(out_of, 1, delay)
    return command.wait()


if __name__ == '__main__':
    sys.exit(main())
