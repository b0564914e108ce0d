"""Modules from sources in memory, on every interpreter that a target may have."""

import importlib
import inspect
import os
import subprocess
import sys
import traceback

import pytest

from mitogen.core.loaders import MemberFinder, SourceLoader
from tests.runtime.zygote_harness import INTERPRETERS, ROOT

ROOT_PATH = '/nowhere/payload.zip'

WORLD = {
    'pkgfrommem/__init__.py': b'"""A package."""\nfrom . import inner\n',
    'pkgfrommem/inner.py': b'def answer():\n    return 42  # \xc3\xa9\n\n\ndef fail():\n    raise ValueError("no")\n',
    'pkgfrommem/latin.py': b'# -*- coding: latin-1 -*-\nTEXT = "\xe9"\n',
    'pkgfrommem/data.txt': b'some data\n',
    'pkgfrommem/sub/__init__.py': b'',
    'pkgfrommem/sub/deep/more.txt': b'deep data\n',
    'spacefrommem/part/mod.py': b'NAME = __name__\n',
    'scriptfrommem.py': b'import sys\nif __name__ == "__main__":\n'
                        b'    print(__file__, sys.argv[0], sys.modules["__main__"].MARK)\n',
}

PACKAGE_FOLDER = ['__init__.py', 'data.txt', 'inner.py', 'latin.py', 'sub']


@pytest.fixture
def finder():
    finder = MemberFinder(ROOT_PATH)
    finder.select(WORLD)
    sys.meta_path.insert(0, finder)
    yield finder
    sys.meta_path.remove(finder)
    for name in [name for name in sys.modules if 'frommem' in name]:
        del sys.modules[name]


def run(python, script):
    """Run a script on an interpreter, with the finder over the world in place; return what it prints."""
    head = ('import sys\nfrom mitogen.core.loaders import MemberFinder\nfinder = MemberFinder(%r)\nfinder.select(%r)\n'
            'sys.meta_path.insert(0, finder)\n' % (ROOT_PATH, WORLD))
    done = subprocess.run([python, '-c', head + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)}, universal_newlines=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_module_knows_the_path_it_would_have_in_a_zip(finder):
    module = importlib.import_module('pkgfrommem.inner')
    assert module.__file__ == ROOT_PATH + '/pkgfrommem/inner.py'
    assert module.answer.__code__.co_filename == module.__file__
    assert importlib.import_module('pkgfrommem').__path__ == [ROOT_PATH + '/pkgfrommem']


def test_tracebacks_and_inspect_show_the_source(finder):
    module = importlib.import_module('pkgfrommem.inner')
    assert 'return 42  # é' in inspect.getsource(module.answer)
    with pytest.raises(ValueError) as caught:
        module.fail()
    assert 'raise ValueError("no")' in ''.join(traceback.format_tb(caught.tb))


def test_the_encoding_that_a_source_declares_counts(finder):
    module = importlib.import_module('pkgfrommem.latin')
    assert module.TEXT == 'é'
    assert 'é' in module.__loader__.get_source()


def test_a_missing_module_of_a_package_is_an_import_error(finder):
    with pytest.raises(ImportError):
        importlib.import_module('pkgfrommem.absent')


def test_a_finder_forgets_members_that_are_not_selected(finder):
    importlib.import_module('pkgfrommem')
    finder.select({})
    with pytest.raises(ImportError):
        importlib.import_module('pkgfrommem.sub')


def test_a_source_is_compiled_once(finder):
    first = finder.find_spec('pkgfrommem.inner').loader.get_code('pkgfrommem.inner')
    assert finder.find_spec('pkgfrommem.inner').loader.get_code('pkgfrommem.inner') is first
    finder.select({**WORLD, 'pkgfrommem/inner.py': b'X = 1\n'})
    assert finder.find_spec('pkgfrommem.inner').loader.get_code('pkgfrommem.inner') is not first


def test_a_loader_alone_needs_no_resources():
    loader = SourceLoader('lonely', '/nowhere/lonely.py', b'X = 1\n')
    assert loader.get_data('/nowhere/lonely.py') == b'X = 1\n'
    assert loader.get_resource_reader('lonely') is None
    with pytest.raises(OSError):
        loader.get_data('/nowhere/other.txt')


@pytest.mark.parametrize('python', INTERPRETERS)
def test_runpy_runs_a_member_as_main(python):
    out = run(python, 'import runpy\nsys.argv = [""]\nrunpy.run_module("scriptfrommem", {"MARK": 7}, "__main__", True)')
    assert out == '%s/scriptfrommem.py %s/scriptfrommem.py 7\n' % (ROOT_PATH, ROOT_PATH)


@pytest.mark.parametrize('python', INTERPRETERS)
def test_a_folder_without_init_is_a_namespace(python):
    out = run(python, 'import spacefrommem.part.mod as m\nprint(m.NAME, list(sys.modules["spacefrommem"].__path__))')
    assert out == "spacefrommem.part.mod ['%s/spacefrommem']\n" % ROOT_PATH


@pytest.mark.parametrize('python', INTERPRETERS)
def test_pkgutil_finds_data(python):
    out = run(python, 'import pkgutil\nprint(pkgutil.get_data("pkgfrommem", "data.txt"))\n'
                      'print(pkgutil.get_data("pkgfrommem", "sub/deep/more.txt"))')
    assert out == "b'some data\\n'\nb'deep data\\n'\n"


@pytest.mark.parametrize('python', [python for python in INTERPRETERS if '/3.6' not in python])
def test_importlib_resources_reads_files_by_name(python):
    # From 3.13 on these take paths, and open_text and contents are on their way out.
    out = run(python, '''
import warnings
warnings.simplefilter("ignore")
from importlib import resources
print(resources.read_text("pkgfrommem", "data.txt").strip())
print(resources.open_binary("pkgfrommem", "data.txt").read())
print(resources.is_resource("pkgfrommem", "data.txt"), resources.is_resource("pkgfrommem", "sub"))
print(sorted(resources.contents("pkgfrommem")))
with resources.path("pkgfrommem", "data.txt") as path:
    print(path.read_text().strip())
print(path.exists())
''')
    assert out.splitlines() == [
        'some data', "b'some data\\n'", 'True False', str(PACKAGE_FOLDER), 'some data', 'False']


@pytest.mark.parametrize('python', [python for python in INTERPRETERS if not any(
    '/%s' % version in python for version in ('3.6', '3.7', '3.8'))])
def test_importlib_resources_walks_folders(python):
    out = run(python, '''
from importlib import resources
files = resources.files("pkgfrommem")
print((files / "data.txt").read_text(encoding="utf-8").strip())
print(files.joinpath("sub").joinpath("deep").joinpath("more.txt").read_bytes())
print(files.is_dir(), (files / "data.txt").is_file(), (files / "data.txt").is_dir())
print(sorted(item.name for item in files.iterdir()))
with (files / "data.txt").open("rb") as stream:
    print(stream.read())
with resources.as_file(files / "data.txt") as path:
    print(path.read_text().strip())
''')
    assert out.splitlines() == [
        'some data', "b'deep data\\n'", 'True True False',
        str(PACKAGE_FOLDER), "b'some data\\n'", 'some data']
