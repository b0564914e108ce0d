"""A bounded run of each fuzzing target. More of it: ``MITOGEN_FUZZ_SECONDS=3600 scripts/test tests/fuzz``."""

import json
import os
import platform
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mitogen.core import frames, handles, payload
from mitogen.core.frames import Frame, pack

HARNESS = Path(__file__).with_name('harness.py')
SECONDS = int(os.environ.get('MITOGEN_FUZZ_SECONDS') or 5)

#: Where its makers offer atheris ready to install; requirements.txt says the same.
HAS_WHEELS = (sys.platform, platform.machine()) == ('linux', 'x86_64') and (3, 11) <= sys.version_info[:2] <= (3, 13)


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with."""
    values = [None, [1, 'a', b'b', (2.5, {3})], {'k': {1: b'x'}}, payload.ContextRef(1, 'a'), payload.MailboxRef(1, 5)]
    if target == 'frames':
        packed = [pack(Frame(0, 1, 1, 100, 0, frames.DATA, payload.encode(value))) for value in values]
        return [*(bytes([0]) + frame for frame in packed), b''.join(packed) + bytes([0])]
    if target == 'payload':
        return [payload.encode(value) for value in values] + [
            b'T\0' + json.dumps(text).encode() for text in ({'!': ['t', [{'!': ['b', 0, 1]}]]}, {'!': ['m', [[1, 2]]]})]
    if target == 'greeting':
        return [b'Welcome\nMITOGEN-1 [[3, 11, 2], "/bin/python", "python3", 5, 0]\nrest', b'MITOGEN-0 no Python\n']
    return [bytes([handle]) + pack(Frame(0, 1, 1, handle, 7, frames.DATA, b'')) * 4
            for handle in (handles.ADD_ROUTE, handles.GET_MODULE)]


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize('target', ['frames', 'payload', 'greeting', 'router'])
def test_no_input_breaks(target: str, tmp_path: Path) -> None:
    if find_spec('atheris') is None:
        if os.environ.get('CI') and HAS_WHEELS:
            pytest.fail('atheris is not installed')
        pytest.skip('atheris is not to be had for this Python')
    corpus = tmp_path / 'corpus'
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(seed)
    done = subprocess.run(
        [sys.executable, HARNESS, target, '-max_total_time=%d' % SECONDS, '-max_len=4096', '-timeout=20',
         '-rss_limit_mb=1024', '-print_final_stats=1', corpus],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS + 200)
    said = done.stdout.decode('utf-8', 'replace')
    found = {path.name: path.read_bytes()[:500] for path in tmp_path.glob('*-*') if path.is_file()}
    assert done.returncode == 0, '%s\n%r' % (said[-4000:], found)
    executed = re.search(r'number_of_executed_units:\s*(\d+)', said)
    assert executed, said[-2000:]
    assert int(executed.group(1)) > 100
    print('%s: %s inputs' % (target, executed.group(1)))
