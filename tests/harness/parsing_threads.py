"""Threads that make syntax trees at the same time."""

import subprocess
import sys
from collections.abc import Iterable

#: Each thread makes trees, at a depth of its own, and one more leaves garbage that has all of them interrupted.
_PROGRAM = """
import ast, sys, threading, time, weakref

SOURCE = "value = [%%s]" %% ", ".join("(%%d, name + 1, call(other))" %% number for number in range(300))
%s
end = time.monotonic() + 2
failures = []


class Item:
    pass


def deeper(levels, func):
    return deeper(levels - 1, func) if levels else func()


def repeat(levels, func):
    while time.monotonic() < end and not failures:
        try:
            deeper(levels, func)
        except SystemError as exc:
            failures.append(str(exc))


def leave_garbage():
    items = weakref.WeakSet()
    for _ in range(50):
        item = Item()
        item.itself = item
        items.add(item)


sys.setswitchinterval(1e-5)
threads = [threading.Thread(target=repeat, args=[10 * number, func]) for number, func in enumerate([leave_garbage, %s])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit("; ".join(failures) or 0)
"""


def race(setup: str, makers: Iterable[str]) -> None:
    """Fail if threads have each other fail.

    :param setup: statements before it.
    :param makers: expressions that make a tree each, maybe of `SOURCE`.
    """
    program = _PROGRAM % (setup, ', '.join('lambda: ' + maker for maker in makers))
    subprocess.run([sys.executable, '-c', program], check=True, timeout=60)
