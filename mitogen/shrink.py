"""Making the code that every child is sent smaller still: without types, and with the least indentation.

Lines keep their numbers. This is for our own sources, whose style it relies
on: it is no tool for everybody's.
"""

import ast
import io
import tokenize
from typing import Any, Dict, Iterator, List, Set, Tuple

#: (first line, column), (last line, column), text to stand there instead.
_Edit = Tuple[Tuple[int, int], Tuple[int, int], str]

_SKIPPED = (tokenize.NL, tokenize.COMMENT)


def shrink_source(source: str) -> str:
    """Return `source`, already minimized, without annotations and needless spaces.

    Named tuples become those of :mod:`collections`, aliases of types None, so
    that :mod:`typing` is not imported.

    :raises ValueError: something of :mod:`typing` would be left.
    """
    tree = ast.parse(source)
    typing_names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                    and node.module == 'typing' for alias in node.names}
    lines = source.split('\n')
    edits: List[_Edit] = []
    for node in ast.walk(tree):
        edits += _edits_of(node, lines, typing_names)
    for (row, column), (last_row, last_column), text in sorted(edits, reverse=True):
        tail = lines[last_row - 1].encode()[last_column:].decode()
        head = lines[row - 1].encode()[:column].decode()
        lines[row - 1:last_row] = [head + text] + [''] * (last_row - row - 1) + [tail] if last_row > row else [
            head + text + tail]
    shrunk = _with_least_spaces('\n'.join(lines))
    left = {node.id for node in ast.walk(ast.parse(shrunk)) if isinstance(node, ast.Name)} & typing_names
    if left:
        raise ValueError('typing is still needed, for %s' % ', '.join(sorted(left)))
    return shrunk


def _start(node: Any) -> Tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: Any) -> Tuple[int, int]:
    return node.end_lineno, node.end_col_offset


def _edits_of(node: Any, lines: List[str], typing_names: Any) -> Iterator[_Edit]:
    if isinstance(node, ast.arg) and node.annotation is not None:
        yield (node.lineno, node.col_offset + len(node.arg)), _end(node), ''
    elif isinstance(node, ast.FunctionDef) and node.returns is not None:
        row, column = _start(node.returns)
        yield (row, lines[row - 1].rindex('->', 0, column)), _end(node.returns), ''
    elif isinstance(node, ast.AnnAssign):
        if node.value is None:
            yield _start(node), _end(node), 'pass'
        else:
            yield _end(node.target), _end(node.annotation), ''
    elif isinstance(node, ast.ImportFrom) and node.module == 'typing':
        yield _start(node), _end(node), (
            'from collections import namedtuple' if 'NamedTuple' in typing_names else '')
    elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'NamedTuple':
        fields = [field.elts[0].value for field in node.args[1].elts]  # type: ignore[attr-defined]
        yield _start(node), _end(node), 'namedtuple(%r,%r)' % (
            node.args[0].value, ' '.join(fields))  # type: ignore[attr-defined]
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and (
            getattr(node.value.value, 'id', '') in typing_names):
        yield _start(node.value), _end(node.value), 'None'


def _with_least_spaces(source: str) -> str:
    """Return `source` with one space for each level, and none where a line goes on."""
    lines = source.split('\n')
    level, at_start = 0, True
    inside_strings: Set[int] = set()
    starts: Dict[int, int] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.INDENT:
            level += 1
        elif token.type == tokenize.DEDENT:
            level -= 1
        elif token.type == tokenize.NEWLINE:
            at_start = True
        elif token.type not in _SKIPPED:
            if at_start:
                starts[token.start[0]] = level
                at_start = False
            inside_strings.update(range(token.start[0] + 1, token.end[0] + 1))
    for index, line in enumerate(lines):
        if index + 1 not in inside_strings:
            lines[index] = ' ' * starts.get(index + 1, 0) + line.strip()
    return '\n'.join(lines)
