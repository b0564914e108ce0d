"""Making source smaller for the wire without moving a line of it."""

import io
import tokenize
from typing import Iterator, List, NamedTuple, Optional, Tuple

_Position = Tuple[int, int]
_Edit = NamedTuple('_Edit', [('start', _Position), ('end', _Position), ('text', str)])

#: Tokens that stand between statements.
_BETWEEN = (tokenize.NL, tokenize.COMMENT)

#: Around a formatted string, from Python 3.12 on; before, it is one token.
_STRING_STARTS, _STRING_ENDS = (
    tuple(getattr(tokenize, name) for name in names if hasattr(tokenize, name))
    for names in (('FSTRING_START', 'TSTRING_START'), ('FSTRING_END', 'TSTRING_END')))


def minimize_source(source: str) -> str:
    """Return `source` without comments and docstrings.

    Every statement keeps its line. A block that held only a docstring becomes
    ``pass``. A docstring that shares its line with another statement is left.

    :param source: a module. One that cannot be tokenized is returned as it is.
    """
    text = source.replace('\r\n', '\n').replace('\r', '\n')
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return source
    edits = _comment_edits(tokens) + _docstring_edits(tokens)
    lines = text.split('\n')
    # From the end, so that the positions of the others stay right.
    for edit in sorted(edits, reverse=True):
        _apply(lines, edit)
    # The last comment may have stood behind a backslash, which must not be the end of the file.
    if lines[-1] or lines[-2:-1] and lines[-2].endswith('\\'):
        lines.append('')
    return '\n'.join(lines)


def _comment_edits(tokens: List[tokenize.TokenInfo]) -> List[_Edit]:
    edits = []
    depth = 0
    for token in tokens:
        if token.type == tokenize.COMMENT:
            # In f"{x = # comment", white space around the comment is part of the string.
            if not depth:
                edits.append(_Edit(token.start, token.end, ''))
        elif token.type in _STRING_STARTS:
            depth += 1
        elif token.type in _STRING_ENDS:
            depth -= 1
    return edits


def _apply(lines: List[str], edit: _Edit) -> None:
    (first_row, first_column), (last_row, last_column) = edit.start, edit.end
    tail = lines[last_row - 1][last_column:]
    if not tail.strip():  # else a backslash
        lines[first_row - 1:last_row] = [(lines[first_row - 1][:first_column] + edit.text).rstrip()] + [''] * (
            last_row - first_row)


def _docstring_edits(tokens: List[tokenize.TokenInfo]) -> List[_Edit]:
    return [edit for edit in (_docstring_edit(tokens, index) for index in _block_starts(tokens)) if edit is not None]


def _block_starts(tokens: List[tokenize.TokenInfo]) -> Iterator[int]:
    """Yield where the bodies start that can have a docstring: of the module, of classes and functions."""
    yield _skip(tokens, 0)
    at_line_start, in_header, saw_colon = True, False, False
    depth = 0
    for index, token in enumerate(tokens):
        kind, text = token.type, token.string
        if kind == tokenize.NEWLINE:
            if in_header:
                body = _skip(tokens, index + 1)
                if tokens[body].type == tokenize.INDENT:
                    yield body + 1
            at_line_start, in_header, saw_colon = True, False, False
        elif in_header:
            if kind == tokenize.OP and not saw_colon:
                if text in '([{':
                    depth += 1
                elif text in ')]}':
                    depth -= 1
                elif text == ':' and depth == 0:
                    saw_colon = True
                    yield index + 1
        elif at_line_start and kind not in _BETWEEN and kind not in (tokenize.INDENT, tokenize.DEDENT):
            in_header = text in ('def', 'class')
            # What begins with "async" may go on with "def".
            at_line_start = text == 'async'


def _docstring_edit(tokens: List[tokenize.TokenInfo], index: int) -> Optional[_Edit]:
    """Return the edit that removes the docstring at `index`, or None if there is none."""
    last = _string_statement(tokens, index)
    if last is None:
        return None
    end = _skip(tokens, last + 1)
    if tokens[end].type != tokenize.NEWLINE:  # but a semicolon
        return None
    following = _skip(tokens, end + 1)
    if tokens[index - 1].string == ':' or tokens[following].type == tokenize.DEDENT:
        text = 'pass'
    elif _string_statement(tokens, following) is not None:
        # That string would become the docstring.
        text = "''"
    else:
        text = ''
    return _Edit(tokens[index].start, tokens[last].end, text)


def _string_statement(tokens: List[tokenize.TokenInfo], index: int) -> Optional[int]:
    """Return the index of the last token of the statement at `index` if it is a string and nothing else."""
    depth = 0
    while tokens[index].string == '(':
        depth += 1
        index = _skip(tokens, index + 1)
    last = None
    while tokens[index].type == tokenize.STRING and not _is_special(tokens[index].string):
        last = index
        index = _skip(tokens, index + 1)
    while last is not None and depth and tokens[index].string == ')':
        depth -= 1
        last = index
        index = _skip(tokens, index + 1)
    ends_here = not depth and (tokens[index].type == tokenize.NEWLINE or tokens[index].string == ';')
    return last if ends_here else None


def _is_special(literal: str) -> bool:
    """Whether a literal is of bytes or formatted, and so never a docstring."""
    prefix = literal[:literal.index(literal[-1])].lower()
    return 'b' in prefix or 'f' in prefix


def _skip(tokens: List[tokenize.TokenInfo], index: int) -> int:
    """Return the index of the first token from `index` on that is no comment or blank line."""
    while tokens[index].type in _BETWEEN:
        index += 1
    return index
