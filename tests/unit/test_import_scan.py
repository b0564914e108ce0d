"""Imports that are found without parsing are those that parsing finds."""

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_mitogen.import_scan import code_of, import_statements, tree_of_imports

pytestmark = pytest.mark.once

ALL = re.compile('')


def imports(tree: ast.Module) -> set[tuple[object, ...]]:
    """All imports of a tree, and whether each is within another statement."""
    found: set[tuple[object, ...]] = set()
    outer = set(map(id, tree.body))
    for node in ast.walk(tree):
        within = id(node) not in outer
        if isinstance(node, ast.Import):
            found.add((within, *(alias.name for alias in node.names)))
        elif isinstance(node, ast.ImportFrom):
            found.add((within, node.level, node.module, *(alias.name for alias in node.names)))
    return found


def sources() -> Iterator[Path]:
    """Python files of every kind: the standard library without its tests."""
    for path in sorted(Path(sysconfig.get_path('stdlib')).rglob('*.py')):
        if not {'test', 'tests', 'lib2to3', 'site-packages'} & {*path.parts}:
            yield path


def test_real_files_have_the_same_imports() -> None:
    seen = unsure = 0
    for path in sources():
        source = path.read_bytes()
        try:
            whole = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        tree = tree_of_imports(source, ALL)
        if tree is None:
            unsure += 1
            continue
        assert imports(tree) == imports(whole), path
        seen += 1
    assert seen > 400
    assert unsure < seen / 100


@pytest.mark.parametrize(('source', 'found'), [
    ('import a\nif x:\n  import b, c as d\n', [('import a', False), ('import b, c as d', True)]),
    ('from . import a\nfrom ..b.c import (d,  # why\n  e)\n',
     [('from . import a', False), ('from ..b.c import (d,  \n  e)', False)]),
    ('from a import b, \\\n  c\n', [('from a import b,    c', False)]),
    ('"""Doc.\n\nimport a\n"""\nimport b\n', [('import b', False)]),
    ("x = 'it\\'s'\nimport b  # import c\n", [('import b  ', False)]),
    ('importer = 1\nimportlib.import_module(x)\n', []),
    ('try: import a\nexcept ImportError: pass\n', None),
    ('import a; import b\n', None),
])
def test_what_is_found(source: str, found: object) -> None:
    assert import_statements(code_of(source)) == found


@pytest.mark.parametrize('source', [b'# \xe4\nimport a\n', 'x = 1; import a', 'from a import (b'])
def test_what_is_not_certain_is_not_answered(source: bytes | str) -> None:
    assert tree_of_imports(source, ALL) is None


def test_only_what_is_of_interest_is_in_the_tree() -> None:
    tree = tree_of_imports('import a\nimport b\ndef f():\n    import bb\n', re.compile('b'))
    assert tree is not None
    assert imports(tree) == {(False, 'b'), (True, 'bb')}


@pytest.mark.parametrize(('source', 'is_all'), [
    ('import a\n# embedded\nx = "embed"\n', True), ('import a\nembed(x)\n', False), ('import embed\n', False)])
def test_code_that_has_more_than_imports_has_no_tree(source: str, is_all: bool) -> None:
    assert (tree_of_imports(source, ALL, re.compile('embed')) is not None) is is_all
