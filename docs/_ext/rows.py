"""Rows of tables, from the code that they tell of. No Sphinx here."""

import ast
from collections.abc import Iterable
from inspect import getdoc, getsource
from types import ModuleType
from typing import Any

HOOK_COLUMNS = ('Name', 'What it does', 'What it replaces', 'What is lost without it')
ROUND_TRIP_COLUMNS = ('Task', 'Round trips')
CORE_COLUMNS = ('ansible-core', 'Release', 'CPython on the controller', 'Tests')
MAILBOX_COLUMNS = ('Number', 'Name', 'What is sent there')


def list_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of reStructuredText of a ``list-table``."""
    lines = ['.. list-table::', '   :header-rows: 1', '']
    for row in [tuple(columns), *rows]:
        lines += ['   %s %s' % ('  -' if number else '* -', cell) for number, cell in enumerate(row)]
    return lines


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, on one line."""
    paragraph = ' '.join(text.split('\n\n')[0].split())
    head, stop, _ = paragraph.partition('. ')
    return head + '.' if stop else paragraph


def hook_rows(hooks: Iterable[Any]) -> list[tuple[str, ...]]:
    """Return a row for each hook."""
    return [(
        '``%s``' % hook.name,
        first_sentence(getdoc(type(hook)) or ''),
        '``%s``' % hook.replaces if hook.replaces else 'nothing',
        hook.loss[:1].upper() + hook.loss[1:] + '.',
    ) for hook in hooks]


def round_trip_rows(budgets: Iterable[Any]) -> list[tuple[str, ...]]:
    """Return a row for each budget."""
    return [(budget.what, str(budget.round_trips)) for budget in budgets]


def core_rows(cores: Iterable[Any]) -> list[tuple[str, ...]]:
    """Return a row for each tested ansible-core."""
    return [(core.version, core.release, core.pythons[0], 'all' if core.full else 'a selection') for core in cores]


def constants(module: ModuleType) -> list[tuple[int, str, str]]:
    """Return value, name and ``#:`` comment of the numbers that a module defines, in its order.

    One without a comment of its own shares that of the one above.
    """
    source = getsource(module)
    lines = source.split('\n')
    found: list[tuple[int, str, str]] = []
    for statement in ast.parse(source).body:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
                and isinstance(statement.value, ast.Constant)):
            continue
        comment: list[str] = []
        above = statement.lineno - 2
        while lines[above].startswith('#:'):
            comment.insert(0, lines[above][2:].strip())
            above -= 1
        text = ' '.join(comment) or (found[-1][2] if found else '')
        found.append((int(statement.value.value), statement.targets[0].id, text))
    return found


def mailbox_rows(handles: ModuleType) -> list[tuple[str, ...]]:
    """Return a row for each mailbox of ``mitogen.core.handles``."""
    return [(str(value), '``%s``' % name, text) for value, name, text in constants(handles)
            if value < handles.FIRST_FREE]
