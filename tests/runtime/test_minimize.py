"""Source without comments and docstrings, every statement on its line."""

import ast
import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from mitogen.parent.minimize import minimize_source
from scripts.lib.environments import find_python
from tests.runtime import minimize_oracle

ROOT = Path(__file__).parents[2]

#: (what it shows, source, what becomes of it)
TABLE = [
    ('nothing', '', ''),
    ('a statement', 'x = 1\n', 'x = 1\n'),
    ('no newline at the end', 'x = 1', 'x = 1\n'),
    ('a comment', 'x = 1  # one\n', 'x = 1\n'),
    ('a line of comment', '# one\nx = 1\n', '\nx = 1\n'),
    ('a shebang and a cookie', '#!/bin/python\n# coding: latin-1\nx = 1\n', '\n\nx = 1\n'),
    ('a hash in a string', 'x = "# no"  # yes\n', 'x = "# no"\n'),
    ('a hash in a long string', 'x = """\n# no\n"""  # yes\n', 'x = """\n# no\n"""\n'),
    ('a comment inside brackets', 'x = [  # one\n    # two\n    1]\n', 'x = [\n\n    1]\n'),
    ('a comment behind a backslash', 'x = 1 \\\n# end', 'x = 1 \\\n\n'),
    ('a docstring of a module', '"""Doc."""\nx = 1\n', '\nx = 1\n'),
    ('only a docstring', '"""Doc."""\n', '\n'),
    ('a long docstring', '"""One.\n\nTwo.\n"""\nx = 1\n', '\n\n\n\nx = 1\n'),
    ('a docstring of a function', 'def f():\n    "Doc."\n    return 1\n', 'def f():\n\n    return 1\n'),
    ('a function of a docstring', 'def f():\n    "Doc."\n', 'def f():\n    pass\n'),
    ('a function of a long docstring', 'def f():\n    """Doc.\n    """\nf()\n', 'def f():\n    pass\n\nf()\n'),
    ('a function of a docstring and a comment', 'def f():  # a\n    # b\n    "Doc."  # c\n    # d\n',
     'def f():\n\n    pass\n\n'),
    ('a class of a docstring', 'class C:\n    "Doc."\n\nx = 1\n', 'class C:\n    pass\n\nx = 1\n'),
    ('one line', 'def f(): "Doc."\n', 'def f(): pass\n'),
    ('one line of a class', 'class C(object): "Doc."\n', 'class C(object): pass\n'),
    ('two strings', 'def f():\n    "Doc."\n    "No doc."\n', 'def f():\n    \'\'\n    "No doc."\n'),
    ('an async function', 'async def f():\n    "Doc."\n    return 1\n', 'async def f():\n\n    return 1\n'),
    ('a decorated function', '@f(":")\ndef g():\n    "Doc."\n', '@f(":")\ndef g():\n    pass\n'),
    ('joined strings', 'def f():\n    "One " "two."\n    return 1\n', 'def f():\n\n    return 1\n'),
    ('a docstring in brackets', 'def f():\n    ("One "  # c\n     "two.")\n    return 1\n',
     'def f():\n\n\n    return 1\n'),
    ('a string that is indexed', 'def f():\n    ("no doc")[0]\n', 'def f():\n    ("no doc")[0]\n'),
    ('a tuple of a string', 'def f():\n    ("no doc",)\n', 'def f():\n    ("no doc",)\n'),
    ('a string that is used', 'def f():\n    "no doc".strip()\n', 'def f():\n    "no doc".strip()\n'),
    ('bytes', 'def f():\n    b"no doc"\n', 'def f():\n    b"no doc"\n'),
    ('a formatted string', 'def f():\n    f"no {doc}"\n', 'def f():\n    f"no {doc}"\n'),
    ('a raw docstring', 'def f():\n    r"Doc \\d"\n    return 1\n', 'def f():\n\n    return 1\n'),
    ('a string in another block', 'if x:\n    "no doc"\n', 'if x:\n    "no doc"\n'),
    ('a string behind a statement', 'def f():\n    x = 1\n    "no doc"\n', 'def f():\n    x = 1\n    "no doc"\n'),
    ('annotations', 'class C:\n    x: "no doc"\n', 'class C:\n    x: "no doc"\n'),
    ('an annotation on one line', 'class C: x: "no doc"\n', 'class C: x: "no doc"\n'),
    ('an annotation of the result', 'def f(a: int = {1: 2}[1]) -> "C": "Doc."\n',
     'def f(a: int = {1: 2}[1]) -> "C": pass\n'),
    ('a header of several lines', 'def f(\n        a,  # one\n        b):\n    "Doc."\n    return a\n',
     'def f(\n        a,\n        b):\n\n    return a\n'),
    ('functions in functions', 'def f():\n    "Doc."\n    def g():\n        "Doc."\n',
     'def f():\n\n    def g():\n        pass\n'),
    ('tabs', 'def f():\n\t"Doc."\n\treturn 1  # x\n', 'def f():\n\n\treturn 1\n'),
    ('line ends of Windows', 'def f():\r\n    "Doc."\r\n    return 1\r\n', 'def f():\n\n    return 1\n'),
    ('letters beyond ASCII', '\u00e4 = "\u20ac"  # \U0001f600\n', '\u00e4 = "\u20ac"\n'),
]


@pytest.mark.parametrize(('source', 'wanted'), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_becomes_of(source, wanted):
    assert minimize_source(source) == wanted
    assert minimize_oracle.fault_of(source) is None


@pytest.mark.parametrize('source', [
    'def f(): "Doc."; return 1\n', '"Doc."; x = 1\n', 'def f():\n    "Doc." \\\n\n    return 1\n'])
def test_a_docstring_that_does_not_stand_alone_is_left(source):
    assert minimize_source(source) == source


@pytest.mark.parametrize('source', ['x = (', 'x = """', 'if x:\n        y\n    z\n', '"\n'])
def test_what_is_not_python_is_returned_as_it_is(source):
    assert minimize_source(source) == source


def test_minimizing_twice_changes_nothing_more():
    once = minimize_source(Path(minimize_oracle.__file__).read_text())
    assert minimize_source(once) == once


def test_functions_are_without_docstring_and_fail_on_the_same_line():
    source = textwrap.dedent('''\
        """Module."""
        class C:
            """Class."""
            def method(self):
                """Method.

                More of it.
                """
                # A comment.
                raise ValueError
    ''')
    namespace = {}
    exec(compile(minimize_source(source), 'minimized', 'exec'), namespace)
    assert namespace.get('__doc__') is None
    assert namespace['C'].__doc__ is None
    assert namespace['C'].method.__doc__ is None
    with pytest.raises(ValueError) as caught:
        namespace['C']().method()
    assert caught.traceback[-1].lineno + 1 == 10


def test_white_space_around_a_comment_in_a_formatted_string_is_kept():
    """Python 3.12 brought such comments."""
    path = find_python(('3.13', '3.12'))
    assert path is not None, 'there is no Python 3.12 or 3.13'
    source = "x = f'{1 = # a comment\n}'\n"
    program = 'import sys; from mitogen.parent import minimize; print(minimize.minimize_source(sys.argv[1]), end="")'
    done = subprocess.run([path, '-c', program, source], env=dict(os.environ, PYTHONPATH=str(ROOT)), timeout=60,
                          check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == source


@pytest.mark.parametrize('path', sorted((ROOT / 'mitogen').glob('**/*.py')), ids=lambda path: path.stem)
def test_modules_of_the_runtime_keep_their_meaning(path):
    source = path.read_text()
    assert minimize_oracle.fault_of(source) is None
    assert not re.search(r'^\s*#', minimize_source(source), re.MULTILINE)
    assert ast.get_docstring(ast.parse(minimize_source(source))) is None


#: A third of the library of the newest Python here, in parts that can run side by side, and samples of older ones.
PARTS = [(('3.13', '3.12', '3.11'), 6, first) for first in (0, 3)] + [(('3.12',), 41, 0), (('3.11',), 41, 0)]


@pytest.mark.parametrize(('versions', 'step', 'first'), PARTS, ids=[
    'part-%d' % first if step == 6 else 'sample-' + versions[0] for versions, step, first in PARTS])
def test_modules_of_the_standard_library_keep_their_meaning(versions, step, first):
    path = find_python(versions)
    if path is None:
        pytest.skip('no Python %s here' % versions[0])
    with subprocess.Popen([path, minimize_oracle.__file__, str(step), str(first)], stdout=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=str(ROOT))) as process:
        out, _ = process.communicate(timeout=600)
    assert re.fullmatch(r'[1-9][0-9]+ modules\n', out.decode())
