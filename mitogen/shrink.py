"""Making the code that every child is sent small: without comments, docstrings, types and needless spaces.

Statements keep their lines. This is for our own sources, whose style it
relies on: it is no tool for everybody's.
"""

import ast
import io
import sys
import tokenize
from typing import Any, Iterator, List, NamedTuple, Optional, Set, Tuple

from mitogen.parent.imports import parse_source
from mitogen.parent.minimize import minimize_source

_Position = Tuple[int, int]
_Edit = NamedTuple('_Edit', [('start', _Position), ('end', _Position), ('text', str)])

#: Tokens that say how lines are laid out, and are laid out anew.
_LAYOUT = (tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)

#: These need a space behind them, if what follows could be part of them.
_WORDS = (tokenize.NAME, tokenize.NUMBER)

_BLOCKS = (ast.Module, ast.ClassDef, ast.FunctionDef)


def shrink_source(source: str) -> str:
    """Return `source` without what only people read.

    Named tuples become those of :mod:`collections`, aliases of types None, so
    that :mod:`typing` is not imported.

    On Python 3.8 and older, which does not tell all positions that it takes,
    this does no more than :func:`mitogen.parent.minimize.minimize_source`.
    """
    if sys.version_info < (3, 9):
        return minimize_source(source)
    tree = parse_source(source)
    typing_names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                    and node.module == 'typing' for alias in node.names}
    lines = source.split('\n')
    edits = [_in_characters(edit, lines) for node in ast.walk(tree) for edit in _edits_of(node, lines, typing_names)]
    return _lay_out(source, sorted(edits))


def _in_characters(edit: _Edit, lines: List[str]) -> _Edit:
    """Return an edit with the columns of :mod:`tokenize`; those of :mod:`ast` count bytes."""
    start, end = ((row, len(lines[row - 1].encode()[:column].decode())) for row, column in edit[:2])
    return _Edit(start, end, edit.text)


def _start(node: Any) -> _Position:
    return node.lineno, node.col_offset


def _end(node: Any) -> _Position:
    return node.end_lineno, node.end_col_offset


def _edits_of(node: Any, lines: List[str], typing_names: Set[str]) -> Iterator[_Edit]:
    """Yield what changes in a node of the syntax tree."""
    if isinstance(node, _BLOCKS) and ast.get_docstring(node, clean=False) is not None:
        yield _Edit(_start(node.body[0]), _end(node.body[0]), '' if len(node.body) > 1 else 'pass')
    if isinstance(node, ast.arg) and node.annotation is not None:
        yield _Edit((node.lineno, node.col_offset + len(node.arg)), _end(node), '')
    elif isinstance(node, ast.FunctionDef) and node.returns is not None:
        row, column = _start(node.returns)
        yield _Edit((row, lines[row - 1].encode().rindex(b'->', 0, column)), _end(node.returns), '')
    elif isinstance(node, ast.AnnAssign):
        if node.value is None:
            yield _Edit(_start(node), _end(node), 'pass')
        else:
            yield _Edit(_end(node.target), _end(node.annotation), '')
    elif isinstance(node, ast.ImportFrom) and node.module == 'typing':
        yield _Edit(_start(node), _end(node), 'from collections import namedtuple' * ('NamedTuple' in typing_names))
    elif isinstance(node, ast.Call):
        yield from _edits_of_call(node)
    elif isinstance(node, ast.Assign):
        if isinstance(node.value, ast.Subscript) and getattr(node.value.value, 'id', '') in typing_names:
            yield _Edit(_start(node.value), _end(node.value), 'None')
        elif getattr(node.targets[0], 'attr', '') == '__doc__':
            yield _Edit(_start(node), _end(node), '')


def _edits_of_call(node: Any) -> Iterator[_Edit]:
    called = getattr(node.func, 'id', '')
    if called == 'NamedTuple':
        fields = [field.elts[0].value for field in node.args[1].elts]
        yield _Edit(_start(node), _end(node), 'namedtuple(%r,%r)' % (node.args[0].value, ' '.join(fields)))
    elif called == 'property' and node.keywords:
        # From the comma on.
        yield _Edit(_end(node.args[-1]), _end(node.keywords[-1]), '')


def _lay_out(source: str, edits: List[_Edit]) -> str:
    """Return `source`, edited, with one space for each level and none where a line goes on."""
    rows: List[List[str]] = [[] for _ in source.split('\n')]
    level = 0
    starts_line = True
    before: Optional[tokenize.TokenInfo] = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        level += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)
        starts_line = starts_line or token.type == tokenize.NEWLINE
        if token.type in _LAYOUT:
            before = None
            continue
        text = token.string
        while edits and edits[0].end <= token.start:
            del edits[0]
        if edits and edits[0].start <= token.start:
            text = edits[0].text
            edits[0] = edits[0]._replace(text='')
        if not text:
            continue
        row = rows[token.start[0] - 1]
        if starts_line:
            row.append(' ' * level)
        elif before is not None and before.type in _WORDS and (text[0].isalnum() or text[0] == '_'):
            row.append(' ')
        for offset, line in enumerate(text.split('\n')):
            rows[token.start[0] - 1 + offset].append(line)
        starts_line, before = False, token
    return '\n'.join(map(''.join, rows))
