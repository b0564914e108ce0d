"""The code that children are sent is the code that is here, but for what only people read."""

import ast
import json
import zlib
from pathlib import Path

import pytest

from mitogen.master import make_bundle
from mitogen.shrink import shrink_source

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / 'mitogen').rglob('*.py'))


class Simplifier(ast.NodeTransformer):
    """Does to a syntax tree what is to be done to the text."""

    def __init__(self, tree):
        self.typing = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                       and node.module == 'typing' for alias in node.names}

    def generic_visit(self, node):
        super().generic_visit(node)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            if ast.get_docstring(node) is not None:
                del node.body[0]
            if not node.body:
                node.body = [ast.Pass()]
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        return ast.Pass() if node.value is None else ast.Assign([node.target], node.value)

    def visit_ImportFrom(self, node):
        if node.module != 'typing':
            return node
        return ast.parse('from collections import namedtuple').body if 'NamedTuple' in self.typing else None

    def visit_Call(self, node):
        self.generic_visit(node)
        name = getattr(node.func, 'id', '')
        if name == 'property':
            node.keywords = []
        elif name == 'NamedTuple':
            fields = ' '.join(field.elts[0].value for field in node.args[1].elts)
            return ast.parse('namedtuple(%r, %r)' % (node.args[0].value, fields), mode='eval').body
        return node

    def visit_Assign(self, node):
        self.generic_visit(node)
        if getattr(node.targets[0], 'attr', '') == '__doc__':
            return None
        if isinstance(node.value, ast.Subscript) and getattr(node.value.value, 'id', '') in self.typing:
            node.value = ast.Constant(None)
        return node


def statements(source):
    """Return the kinds and lines of all statements that are still what they were."""
    return {(type(node).__name__, node.lineno) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)
            and not isinstance(node, (ast.Pass, ast.AnnAssign, ast.Assign, ast.ImportFrom, ast.Expr))}


@pytest.mark.parametrize('path', MODULES, ids=str)
def test_shrinking_changes_nothing_but_types_and_texts(path):
    source = (ROOT / path).read_text('utf-8')
    shrunk = shrink_source(source)
    tree = ast.parse(source)
    simplifier = Simplifier(tree)
    assert ast.dump(ast.parse(shrunk)) == ast.dump(simplifier.visit(tree))
    assert statements(shrunk) == statements(source)
    assert not simplifier.typing & {node.id for node in ast.walk(ast.parse(shrunk)) if isinstance(node, ast.Name)}


def test_words_stay_apart_and_lines_where_they_are():
    source = ('def f(a: int,  # first\n      b):\n    """Doc."""\n    if (a\n            in b\'x\'):\n'
              '        return  1 if a else 2\n')
    assert shrink_source(source) == 'def f(a,\nb):\n\n if(a\nin b\'x\'):\n  return 1 if a else 2\n'


def test_text_of_several_lines_keeps_its_spaces():
    source = 'class A:\n    x = """\n    two\n      lines"""\n    y: int = 1\n'
    assert shrink_source(source) == 'class A:\n x="""\n    two\n      lines"""\n y=1\n'


@pytest.mark.parametrize('package', ['mitogen.core', 'mitogen.zygote'])
def test_a_bundle_holds_its_package_and_fits(package):
    bundle = make_bundle(package)
    files = json.loads(zlib.decompress(bundle).decode())['files']
    folder = package.replace('.', '/') + '/'
    assert {path.rpartition('/')[0] + '/' for path in files} == {'mitogen/', folder}
    assert len(bundle) <= 16 * 1024
