"""What jobs are likely to import of the standard library is imported while a zygote waits for the first of them."""

import subprocess

import pytest

from ansible_mitogen.mux.program import LIKELY
from tests.harness.processes import wait_until
from tests.runtime.test_zygote import interpreter_id
from tests.runtime.zygote_harness import INTERPRETERS, ZygoteClient

#: A module of the standard library that the zygote itself does not use.
NAME = 'colorsys'

#: Prints what is there from the start of it.
LOOK = 'import sys\nprint([name for name in ("colorsys", "chunk_of_nothing") if name in sys.modules])\n'


def found_by_jobs(zygote):
    result = zygote.script(LOOK)
    assert result['rc'] == 0, result
    return result['stdout'].decode().strip()


@pytest.mark.parametrize('python', INTERPRETERS, ids=interpreter_id)
def test_modules_are_imported_as_soon_as_there_is_nothing_else_to_do(python):
    with ZygoteClient(python, env={'PYTHONPATH': ''}, likely=['chunk_of_nothing', NAME]) as zygote:
        wait_until(lambda: found_by_jobs(zygote) == "['colorsys']", 20, 'the module to be imported')
        assert zygote.logs == []


def test_jobs_come_first():
    with ZygoteClient(env={'PYTHONPATH': ''}, likely=[NAME] * 3) as zygote:
        jobs = [zygote.start_command(['echo', 'x']) for _ in range(5)]
        assert [zygote.wait(job)['stdout'] for job in jobs] == [b'x\n'] * 5


def test_nothing_is_imported_where_something_may_be_found_in_place_of_it(tmp_path):
    (tmp_path / (NAME + '.py')).write_text('')
    with ZygoteClient(env={'PYTHONPATH': str(tmp_path)}, likely=[NAME]) as zygote:
        for _ in range(3):
            assert found_by_jobs(zygote) == '[]'


CHECK = """
import os, sys
asked = []
key_of = os.environ.encodekey
os.environ.encodekey = lambda key: asked.append(key) or key_of(key)
for name in sys.argv[1:]:
    try:
        __import__(name)
    except ImportError as exc:
        assert sys.version_info < (3, 7) and name == 'dataclasses', exc
stdlib = os.path.dirname(os.__file__)
others = [module for module in list(sys.modules.values())
          if not (getattr(module, '__file__', None) or stdlib).startswith(stdlib)]
print(asked, others)
"""


@pytest.mark.parametrize('python', INTERPRETERS, ids=interpreter_id)
def test_what_modules_of_ansible_import_looks_at_nothing_that_may_change(python):
    done = subprocess.run([python, '-I', '-S', '-c', CHECK, *LIKELY], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ('[] []\n', '')
    assert 'ctypes' not in LIKELY
