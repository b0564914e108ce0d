"""Finding modules without importing them: packages made for the test, on disk and in zip files."""

import importlib
import os
import subprocess
import sys
import types
import warnings
import zipfile
from pathlib import Path

import pytest

from mitogen.parent.modules import ModuleFinder, get_child_modules
from tests.harness.parsing_threads import race

#: A package that cannot be imported without a trace.
TREE = {
    'pkg/__init__.py': 'raise RuntimeError("imported")\n',
    'pkg/one.py': 'ONE = 1\n',
    'pkg/two.py': 'TWO = 2\n',
    'pkg/sub/__init__.py': '',
    'pkg/sub/three.py': 'THREE = 3\n',
    'pkg/data.txt': 'data of pkg',
    'pkg/texts/deep.txt': 'deep data',
    'pkg/not-a-module.py': '',
    'outside.py': 'SECRET = 1\n',
    'space/inner.py': 'INNER = 1\n',
    'space/portion/leaf.py': 'LEAF = 1\n',
    'empty/Dockerfile': 'FROM scratch\n',
}


def write_tree(folder, tree):
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(folder)


def write_zip(path, tree):
    with zipfile.ZipFile(str(path), 'w') as archive:
        # A namespace package is recognised by its folder's own entry.
        folders = {str(parent) + '/' for name in tree for parent in Path(name).parents if parent.name}
        for folder in sorted(folders):
            archive.writestr(folder, '')
        for name, text in tree.items():
            archive.writestr(name, text)
    return str(path)


@pytest.fixture
def clean_imports():
    """Undo what a test does to the state of the import system."""
    saved_path, saved_modules, saved_meta = list(sys.path), dict(sys.modules), list(sys.meta_path)
    yield
    sys.path[:], sys.meta_path[:] = saved_path, saved_meta
    for name in set(sys.modules) - set(saved_modules):
        del sys.modules[name]
    sys.modules.update(saved_modules)
    importlib.invalidate_caches()


@pytest.fixture(params=['disk', 'zip'])
def root(request, tmp_path, clean_imports):
    """TREE on disk and in a zip file, first in sys.path."""
    if request.param == 'zip':
        made = write_zip(tmp_path / 'tree.zip', TREE)
    else:
        made = write_tree(tmp_path / 'tree', TREE)
    sys.path.insert(0, made)
    importlib.invalidate_caches()
    return made


@pytest.fixture
def importable(tmp_path, clean_imports):
    """Make modules of the given sources importable, and return a finder."""
    def make(tree):
        sys.path.insert(0, write_tree(tmp_path / 'sources', tree))
        importlib.invalidate_caches()
        return ModuleFinder()

    return make


def imported(*names):
    return [name for name in names if name in sys.modules]


# get_child_modules


@pytest.mark.parametrize('suffix', ['', '/__init__.py', '/__init__.pyc'])
def test_child_modules_are_named_in_full(root, suffix):
    assert get_child_modules(root + '/pkg' + suffix, 'pkg') == ['pkg.one', 'pkg.sub', 'pkg.two']
    assert imported('pkg', 'pkg.one', 'pkg.sub') == []


def test_child_modules_of_a_subpackage(root):
    assert get_child_modules(root + '/pkg/sub/__init__.py', 'pkg.sub') == ['pkg.sub.three']


def test_child_modules_of_a_namespace_package(root):
    assert get_child_modules(root + '/space', 'space') == ['space.inner']


def test_child_modules_of_nothing(root):
    assert get_child_modules(root + '/missing', 'missing') == []
    assert get_child_modules(root + '/pkg/sub/missing/__init__.py', 'pkg.sub.missing') == []


def test_child_modules_take_a_path_object(tmp_path):
    write_tree(tmp_path, TREE)
    assert get_child_modules(tmp_path / 'pkg' / '__init__.py', 'pkg') == ['pkg.one', 'pkg.sub', 'pkg.two']


def test_child_modules_of_a_loaded_package_of_the_library():
    import email
    children = get_child_modules(email.__file__, 'email')
    assert {'email.message', 'email.mime', 'email.parser'} <= set(children)
    assert 'email.mime.text' not in children


# ModuleFinder.find


@pytest.mark.parametrize(('name', 'path', 'is_package'), [
    ('pkg', 'pkg/__init__.py', True), ('pkg.one', 'pkg/one.py', False), ('pkg.sub', 'pkg/sub/__init__.py', True),
    ('pkg.sub.three', 'pkg/sub/three.py', False), ('space.inner', 'space/inner.py', False),
    ('space.portion.leaf', 'space/portion/leaf.py', False)])
def test_a_module_is_found_without_importing_anything(root, name, path, is_package):
    code = ModuleFinder().find(name)
    assert code.source.decode() == TREE[path]
    assert code.origin == os.path.join(root, *path.split('/'))
    assert code.is_package is is_package
    assert imported('pkg', 'pkg.one', 'pkg.sub', 'pkg.sub.three', 'space', 'space.inner') == []


def test_a_namespace_package_is_an_empty_package(root):
    code = ModuleFinder().find('space')
    assert (code.source, code.is_package) == (b'', True)


def test_a_folder_without_modules_is_no_namespace_package(root):
    assert ModuleFinder().find('empty') is None


@pytest.mark.parametrize('name', [
    'missing', 'missing.below', 'pkg.missing', 'pkg.one.below', 'pkg.not-a-module', 'pkg.texts', '', '.', 'pkg.',
    '.pkg', 'pkg..one', '../outside', 'pkg/one', 'sys', '_socket', 'builtins'])
def test_what_is_no_python_source_is_not_found(root, name):
    assert ModuleFinder().find(name) is None


def test_loaded_modules_are_found_where_they_are(root):
    finder = ModuleFinder()
    sys.modules['pkg'] = package = types.ModuleType('pkg')
    package.__path__ = [os.path.join(root, 'pkg', 'sub')]
    assert finder.find('pkg.three').source.decode() == TREE['pkg/sub/three.py']
    import json.decoder
    assert finder.find('json.decoder').origin == json.decoder.__file__


@pytest.mark.parametrize('odd', [None, object(), types.ModuleType('odd'), types.SimpleNamespace(__spec__=None)])
def test_odd_entries_of_sys_modules_do_no_harm(clean_imports, odd):
    sys.modules['odd'] = odd
    assert ModuleFinder().find('odd') is None
    assert ModuleFinder().find('odd.below') is None


def test_a_missing_module_is_found_when_it_appears(importable, tmp_path):
    finder = importable({'other.py': ''})
    assert finder.find('late') is None
    write_tree(tmp_path / 'sources', {'late.py': 'LATE = 1\n'})
    importlib.invalidate_caches()
    assert finder.find('late').source == b'LATE = 1\n'


def test_source_is_passed_on_as_it_is(importable, tmp_path):
    finder = importable({})
    source = '# coding: latin-1\nx = "\u00e9"\r\n'.encode('latin-1')
    (tmp_path / 'sources').mkdir(exist_ok=True)
    (tmp_path / 'sources' / 'coded.py').write_bytes(source)
    importlib.invalidate_caches()
    assert finder.find('coded').source == source


def test_a_module_that_is_only_compiled_is_not_found(importable, tmp_path):
    import py_compile
    finder = importable({'compiled.py': 'x = 1\n'})
    source = tmp_path / 'sources' / 'compiled.py'
    py_compile.compile(str(source), cfile=str(source.with_suffix('.pyc')))
    source.unlink()
    importlib.invalidate_caches()
    assert finder.find('compiled') is None


def test_finders_of_others_are_asked(clean_imports):
    class Loader:
        def create_module(self, spec):
            raise AssertionError('imported')

        exec_module = create_module

        def get_source(self, name):
            return 'made = "\u00e9"\n'

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == 'broken':
                raise ImportError(name)
            return importlib.machinery.ModuleSpec(name, Loader()) if name == 'made' else None

    sys.meta_path.insert(0, Finder)
    code = ModuleFinder().find('made')
    assert (code.origin, code.is_package, code.source) == ('made', False, 'made = "\u00e9"\n'.encode())
    assert ModuleFinder().find('broken') is None


MAIN = '''
import os, sys
import mitogen.parent.modules
code = mitogen.parent.modules.ModuleFinder().find('__main__')
print(code and (os.path.basename(code.origin), code.is_package, b'MARK' in code.source))
'''


def run_main(*args, cwd):
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, *args], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=str(cwd),
                          env=dict(os.environ, PYTHONPATH=root)) as process:
        return process.communicate(timeout=60)[0].decode().strip()


def test_the_main_program_is_found(tmp_path):
    write_tree(tmp_path, {'script': MAIN, 'script.py': MAIN, 'app/__init__.py': '', 'app/__main__.py': MAIN,
                          'app/tool.py': MAIN})
    write_zip(tmp_path / 'app.zip', {'__main__.py': MAIN})
    assert run_main('script', cwd=tmp_path) == "('script', False, True)"
    assert run_main('script.py', cwd=tmp_path) == "('script.py', False, True)"
    assert run_main('-m', 'app', cwd=tmp_path) == "('__main__.py', False, True)"
    assert run_main('-m', 'app.tool', cwd=tmp_path) == "('tool.py', False, True)"
    assert run_main('app.zip', cwd=tmp_path) == "('__main__.py', False, True)"
    assert run_main('-c', MAIN, cwd=tmp_path) == 'None'


# ModuleFinder.submodules and data


def test_submodules_of_packages(root):
    finder = ModuleFinder()
    assert finder.submodules('pkg') == ['pkg.one', 'pkg.sub', 'pkg.two']
    assert finder.submodules('pkg.sub') == ['pkg.sub.three']
    assert finder.submodules('space') == ['space.inner']
    assert finder.submodules('pkg.one') == finder.submodules('missing') == []
    assert imported('pkg', 'pkg.sub', 'space') == []


def test_namespace_packages_are_joined_from_all_their_portions(tmp_path, clean_imports):
    sys.path.insert(0, write_tree(tmp_path / 'first', {'joined/one.py': '', 'joined/first.txt': 'first'}))
    sys.path.insert(0, write_zip(tmp_path / 'second.zip', {'joined/two.py': '', 'joined/second.txt': 'second'}))
    importlib.invalidate_caches()
    finder = ModuleFinder()
    assert finder.submodules('joined') == ['joined.one', 'joined.two']
    assert finder.data('joined', 'first.txt') == b'first'
    assert finder.data('joined', 'second.txt') == b'second'
    assert {'first.txt', 'second.txt'} <= set(finder.data('joined', None))


def test_data_of_packages(root):
    finder = ModuleFinder()
    assert finder.data('pkg', 'data.txt') == b'data of pkg'
    assert finder.data('pkg', 'texts/deep.txt') == b'deep data'
    assert finder.data('pkg', 'one.py') == TREE['pkg/one.py'].encode()
    assert imported('pkg') == []


def test_listing_of_a_package(root):
    listed = ModuleFinder().data('pkg', None)
    assert listed == ['__init__.py', 'data.txt', 'not-a-module.py', 'one.py', 'sub', 'texts', 'two.py']


@pytest.mark.parametrize('path', [
    'missing.txt', 'texts', 'texts/', '', '.', '..', '../outside.py', 'texts/../data.txt', '/etc/passwd',
    './data.txt', 'texts//deep.txt', 'data.txt/below', 'nul\0.txt'])
def test_data_outside_of_a_package_or_missing_is_refused(root, path):
    assert ModuleFinder().data('pkg', path) is None


@pytest.mark.parametrize('package', ['missing', 'pkg.one', 'sys', ''])
def test_what_is_no_package_has_no_data(root, package):
    assert ModuleFinder().data(package, 'data.txt') is None
    assert ModuleFinder().data(package, None) is None


# ModuleFinder.related


def test_related_follows_imports_nearest_first(importable):
    finder = importable({
        'app.py': 'import near\nimport other.deep\n',
        'near.py': 'import far\n',
        'far.py': '',
        'other/__init__.py': 'from . import helper\n',
        'other/helper.py': 'import near\n',
        'other/deep.py': '',
        'unused.py': '',
    })
    assert list(finder.related('app')) == ['near', 'other', 'other.deep', 'far', 'other.helper']
    assert imported('app', 'near', 'other') == []


@pytest.mark.parametrize(('module', 'statement', 'wanted'), [
    ('p.q.m', 'import p.a', ['p', 'p.a']),
    ('p.q.m', 'import p.a as b, p.b', ['p', 'p.a', 'p.b']),
    ('p.q.m', 'from p import a, missing', ['p', 'p.a']),
    ('p.q.m', 'from p.a import name', ['p', 'p.a']),
    ('p.q.m', 'from p import *', ['p']),
    ('p.q.m', 'from . import n', ['p', 'p.q', 'p.q.n']),
    ('p.q.m', 'from .n import name', ['p', 'p.q', 'p.q.n']),
    ('p.q.m', 'from .. import a', ['p', 'p.a']),
    ('p.q.m', 'from ..a import name', ['p', 'p.a']),
    ('p.q.m', 'from ... import a', []),
    ('p.q.m', 'from ...... import a', []),
    ('p.q', 'from . import n', ['p', 'p.q.n']),
    ('p.q', 'from .n import name', ['p', 'p.q.n']),
    ('p.q', 'from .. import a', ['p', 'p.a']),
    ('p.q.m', 'import os, json.decoder, missing, p.missing.below', ['p']),
    ('p.q.m', 'try:\n    import p.a\nexcept ImportError:\n    import p.b\n'
     'else:\n    import p.q\nfinally:\n    import p.q.n',
     ['p', 'p.a', 'p.b', 'p.q', 'p.q.n']),
    ('p.q.m', 'if x:\n    import p.a\nelif y:\n    import p.b', ['p', 'p.a', 'p.b']),
    ('p.q.m', 'class C:\n    import p.a', ['p', 'p.a']),
    ('p.q.m', 'with x:\n    import p.a', ['p', 'p.a']),
    ('p.q.m', 'def f():\n    import p.a', []),
    ('p.q.m', 'if TYPE_CHECKING:\n    import p.a\nelse:\n    import p.b', ['p', 'p.b']),
    ('p.q.m', 'if typing.TYPE_CHECKING:\n    import p.a', []),
    ('p.q.m', 'if __name__ == "__main__":\n    import p.a', []),
    ('p.q.m', 'this is not Python', []),
    ('p.q.m', 'x = ' + '(' * 5000, []),
    ('p.q.m', '\0', []),
])
def test_related_to(importable, module, statement, wanted):
    tree = {'p/__init__.py': '', 'p/a.py': '', 'p/b.py': '', 'p/q/__init__.py': '', 'p/q/m.py': '', 'p/q/n.py': ''}
    path = module.replace('.', '/')
    tree[path + '.py' if path + '.py' in tree else path + '/__init__.py'] = statement + '\n'
    assert list(importable(tree).related(module)) == wanted


def test_related_of_circular_imports_ends(importable):
    finder = importable({'a.py': 'import b\n', 'b.py': 'import a\n'})
    assert list(finder.related('a')) == ['b']


def test_related_of_a_hundred_modules_in_a_chain_gives_all(importable):
    tree = {'chain/__init__.py': 'from chain import m0\n'}
    for number in range(99):
        tree['chain/m%d.py' % number] = 'from . import m%d\n' % (number + 1) if number < 98 else ''
    assert list(importable(tree).related('chain')) == ['chain.m%d' % number for number in range(99)]


def test_related_of_a_missing_module_is_nothing():
    assert list(ModuleFinder().related('missing')) == []


def test_scanning_a_module_warns_of_nothing(importable):
    finder = importable({'odd.py': 'import re\nx = "\\d"\nassert (1, "x")\n"" is ()\n'})
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        filters = list(warnings.filters)
        assert list(finder.related('odd')) == []
        assert warnings.filters == filters


def test_threads_parse_at_the_same_time():
    race('from mitogen.parent.imports import parse_source\nfrom mitogen.shrink import shrink_source',
         ['parse_source(SOURCE)', 'parse_source("value")', 'shrink_source(SOURCE)'])
