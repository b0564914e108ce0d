"""What plays say besides their tasks, and what is printed of it: the same as under stock Ansible."""

import difflib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.engines import MITOGEN, STOCK
from tests.integration.parity.masks import FEATURE_MASKS, MASKS
from tests.integration.parity.scenes import Outcome, Scene

pytestmark = [pytest.mark.timeout(1300), pytest.mark.xdist_group('features')]

#: Parts of the output that differ between two runs, and why.
OUTPUT = (
    (r'"(start|end)": "\d{4}-\d\d-\d\d [\d:.]+"', 'time of day'),
    (r'"delta": "[\d:.]+"', 'time that the command took'),
    (r'ansible-local-\w+/tmp\w+', 'temporary name on the controller'),
)

PLAYBOOKS = {'features.yml': 2, 'fatal.yml': 2}


def readable(output: str) -> list[str]:
    """Lines of output, sorted below each header: which host is first is a matter of luck."""
    for pattern, _reason in OUTPUT:
        output = re.sub(pattern, '<masked>', output)
    lines: list[str] = []
    for block in re.split(r'(?m)^(?=TASK |RUNNING HANDLER |PLAY )', output):
        head, *rest = block.splitlines()
        lines += [head, *sorted(line for line in rest if line)]
    return lines


@pytest.fixture(scope='module', params=PLAYBOOKS)
def scene(request: pytest.FixtureRequest, session_folder: Path) -> Iterator[Scene]:
    folder = session_folder / f'features-{Path(request.param).stem}'
    folder.mkdir()
    work = folder / 'work'

    def prepare() -> None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()

    here = {'ansible_connection': 'local', 'ansible_python_interpreter': '/usr/bin/python3', 'work': str(work)}
    hosts = dict.fromkeys(('one', 'two', 'three'), here)
    yield Scene(folder, request.param, hosts, prepare, {'work': work}, {'defaults': {'forks': '3'}}, ['-v'])


@pytest.fixture(scope='module')
def stock(scene: Scene) -> Outcome:
    return scene.play(STOCK)


def test_stock_run_is_a_good_reference(stock: Outcome, scene: Scene) -> None:
    assert stock.run.status == PLAYBOOKS[scene.playbook], stock.run.text
    assert 'hidden-from-view' not in stock.run.text


def test_results_and_output_equal_those_of_stock(stock: Outcome, scene: Scene) -> None:
    found = scene.play(MITOGEN)
    stock.assert_same(found, (*FEATURE_MASKS, *MASKS))
    changes = difflib.unified_diff(readable(stock.run.output), readable(found.run.output), lineterm='', n=0)
    assert not list(changes)
    assert not found.run.left
