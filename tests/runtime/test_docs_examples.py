"""The programs in the documentation run, and do what is said there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / 'docs/examples'


def output_of(example: str, *args: str) -> list[str]:
    """Run an example and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *args], cwd='/', timeout=120, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def test_the_program_of_ten_lines_has_ten_lines() -> None:
    lines = (EXAMPLES / 'ten_lines.py').read_text().splitlines()
    assert len([line for line in lines if line.strip()]) == 10


def test_the_program_of_ten_lines_calls_its_function_in_another_process() -> None:
    here, there = output_of('ten_lines.py')
    assert here.startswith('here: process ') and here.endswith(' of ' + os.uname().nodename)
    assert there.startswith('there: process ') and there.endswith(' of ' + os.uname().nodename)
    assert here.split()[2] != there.split()[2]


def test_results_and_exceptions_come_back(tmp_path: Path) -> None:
    for name in ('one', 'two'):
        (tmp_path / name).touch()
    assert output_of('own_functions.py', str(tmp_path)) == [
        "2 ('one',) True", "FileNotFoundError - [Errno 2] No such file or directory: '/no/such/folder'"]


def test_answers_come_as_they_are_ready_and_a_slow_call_is_cancelled() -> None:
    answers = output_of('many.py')
    assert sorted(answers[:3]) == ['0', '1', '4']
    assert answers[3:] == ['too slow, and cancelled', '9']


def test_values_are_streamed() -> None:
    assert output_of('streaming.py') == [str(sum(range(2000)))]


@pytest.mark.parametrize('example', sorted(path.name for path in EXAMPLES.glob('*.py')))
def test_each_example_is_shown(example: str) -> None:
    assert '.. literalinclude:: examples/' + example in (ROOT / 'docs/getting-started.rst').read_text()
