"""What a module will import, by its source."""

import ast
import threading
import warnings
from typing import Any, Iterator, List, Sequence, Tuple, Union

from mitogen.core.importer import ModuleCode

#: Nodes whose statements run when the module is imported.
_RUN_AT_IMPORT = (ast.Module, ast.ClassDef, ast.If, ast.Try, ast.ExceptHandler, ast.With, ast.For, ast.While)

_PARSING = threading.Lock()


def imports_of(name: str, code: ModuleCode) -> Iterator[Tuple[str, Sequence[str]]]:
    """Yield what importing a module imports: full module names, and the names taken from them."""
    package = name.split('.') if code.is_package else name.split('.')[:-1]
    for statement in _import_statements(code):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.name, ()
            continue
        parts = statement.module.split('.') if statement.module else []
        if statement.level:
            if statement.level > len(package):
                continue
            parts = package[:len(package) - statement.level + 1] + parts
        yield '.'.join(parts), [alias.name for alias in statement.names]


def parse_source(source: Union[str, bytes]) -> ast.Module:
    """Return the syntax tree of a module. One thread does so at a time.

    Warnings are off meanwhile, in the whole process: otherwise the odd backslash in someone's module would be reported
    to the user, by us. And before Python 3.11.8 a thread that parses while another is interrupted in doing so has that
    one fail (https://github.com/python/cpython/issues/106905).

    :raises SyntaxError: it cannot be parsed; `ValueError`, `RecursionError` and `MemoryError` mean the same.
    """
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return ast.parse(source)


def _import_statements(code: ModuleCode) -> Iterator[Union[ast.Import, ast.ImportFrom]]:
    """Yield the import statements that run when the module is imported, in order."""
    try:
        stack: List[Any] = [parse_source(code.source)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and _is_false_at_import(node.test):
            stack.extend(reversed(node.orelse))
        elif isinstance(node, _RUN_AT_IMPORT):
            stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _is_false_at_import(test: ast.expr) -> bool:
    """Whether `test` is ``TYPE_CHECKING`` or ``__name__ == ...``."""
    if isinstance(test, ast.Compare):
        return isinstance(test.left, ast.Name) and test.left.id == '__name__'
    return getattr(test, 'id', getattr(test, 'attr', None)) == 'TYPE_CHECKING'
