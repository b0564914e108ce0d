"""Finding the imports of Python source without parsing all of it.

Strings and comments are taken out by one expression, the import statements found by another, and only these are
parsed. What is not certain is not answered: an import whose words are not all accounted for, or bytes not in UTF-8.
"""

import ast
import re

#: A string, with triple or single quotes, or a comment. (A backslash keeps a quote from ending even a raw string.)
_SKIPPED = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""'
    r"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''"
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    r"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'"
    r'|#[^\n]*', re.DOTALL)

#: An import at the start of a line: how far it is indented, and the statement.
_IMPORT = re.compile(
    r'^([ \t]*)((?:from[ \t]+[.\w]+[ \t]+)?import\b[ \t]*(?:\([^()]*\)|[^\n;()]*))', re.MULTILINE)

_WORD = re.compile(r'\bimport\b')


def code_of(source: str) -> str:
    """Return a module without its strings and comments, and with one line for those that go on after a backslash.

    :param source: what Python can parse.
    """
    return _SKIPPED.sub('', source).replace('\\\n', ' ')


def import_statements(code: str) -> list[tuple[str, bool]] | None:
    """Return the import statements of a module, each with whether it is within another statement.

    None if an import may have been missed.

    :param code: what :func:`code_of` returns.
    """
    found = [(match[2], bool(match[1])) for match in _IMPORT.finditer(code)]
    return found if len(_WORD.findall(code)) == len(found) else None


def tree_of_imports(source: bytes | str, worth: re.Pattern[str],
                    unless: re.Pattern[str] | None = None) -> ast.Module | None:
    """Return a syntax tree that has the imports of a module, and nothing else of it.

    Those which are within other statements there are within another statement here.

    :param source: what Python can parse.
    :param worth: what a statement must have to be in the tree.
    :param unless: what the code may not have outside of strings and comments, for imports to be all that is wanted.
    :returns: None if that cannot be told, or is not all.
    """
    try:
        text = source if isinstance(source, str) else source.decode('utf-8')
        code = code_of(text)
        statements = import_statements(code)
        if statements is None or unless is not None and unless.search(code):
            return None
        wanted = [found for found in statements if worth.search(found[0])]
        lines = [statement for statement, within in wanted if not within]
        lines += ['if 0:\n ' + statement for statement, within in wanted if within]
        return ast.parse('\n'.join(lines))
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return None
