"""Threads that make syntax trees at the same time do not have each other fail, in any version of Python."""

import subprocess
import sys

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible_mitogen.workers.syntax_trees import are_safe
from tests.harness.parsing_threads import race

SETUP = """
from ansible.executor import module_common
from jinja2 import nativetypes
from ansible_mitogen.workers import syntax_trees
from ansible_mitogen.workers.locks import SharedLocks

if not syntax_trees.are_safe():
    syntax_trees.make_one_at_a_time(SharedLocks())
compile_in_core = getattr(module_common, "compile", compile)
"""


def test_threads_make_trees_at_the_same_time() -> None:
    race(SETUP, ['ast.parse(SOURCE)', 'compile_in_core(SOURCE, "core", "exec", ast.PyCF_ONLY_AST)',
                 'ast.literal_eval("[1, (2, 3)]")', 'nativetypes.parse("[1, (2, 3)]")'])


INSTALL = """
import ast
from ansible_mitogen.hooks.worker_threads import WorkerThreads
hook = WorkerThreads()
hook.install(5)
assert (hook.gate is not None and not %r) is hasattr(ast.parse, "__wrapped__")
"""


def test_it_is_seen_to_where_there_are_threads() -> None:
    subprocess.run([sys.executable, '-c', INSTALL % are_safe()], check=True, timeout=60)


@pytest.mark.parametrize('version, is_one', [((3, 11, 7), False), ((3, 11, 8), True), ((3, 12, 0), True)])
def test_versions_in_which_that_is_safe(version: tuple[int, ...], is_one: bool) -> None:
    assert are_safe(version) is is_one
