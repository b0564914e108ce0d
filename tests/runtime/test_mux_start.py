"""The multiplexer starts while the first task is prepared: it imports then what it needs for a login, and no more."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What takes long to import, and is for later or for few.
LATE = {'ast', 'dataclasses', 'hashlib', 'inspect', 'tempfile', 'zipfile'}

START = """
import sys
sys.path.append(sys.argv[1])
import ansible_mitogen.mux.program
import concurrent.futures.thread
import mitogen.master
print(' '.join(sys.modules))
"""


def test_nothing_is_imported_that_a_login_does_not_need() -> None:
    # As the launcher starts it.
    done = subprocess.run([sys.executable, '-I', '-S', '-c', START, str(ROOT)], capture_output=True, text=True,
                          timeout=60, check=True)
    imported = set(done.stdout.split())
    assert 'ansible_mitogen.mux.service' in imported
    assert not imported & LATE
