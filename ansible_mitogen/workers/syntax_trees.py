"""Syntax trees of Python source, which Python before 3.11.8 makes in one thread at a time only."""

import ast
import builtins
import sys

from ansible.executor import module_common
from jinja2 import nativetypes

from ansible_mitogen.workers.locks import SharedLocks

#: The first version in which the depth of a tree is not counted for all threads together.
_FIRST_SAFE = (3, 11, 8)

#: What makes trees for ansible-core, for Jinja and for us, as it is found there.
_MAKERS = ((ast, 'parse'), (nativetypes, 'parse'), (module_common, 'compile'))


def are_safe(version: tuple[int, ...] = sys.version_info[:3]) -> bool:
    """Whether threads may make trees at the same time.

    Before 3.11.8, one that comes to make a tree while another is interrupted in doing so has that one fail, with the
    SystemError "AST constructor recursion depth mismatch" (https://github.com/python/cpython/issues/106905). What
    interrupts it is a garbage collection, so this is rare.
    """
    return version >= _FIRST_SAFE


def make_one_at_a_time(locks: SharedLocks) -> None:
    """Have one thread at a time make trees."""
    for module, name in _MAKERS:
        setattr(module, name, locks.guard('parsing', getattr(module, name, None) or getattr(builtins, name)))
