"""The tables of the documentation that are made from the code."""

import sys
from pathlib import Path

import pytest

from ansible_mitogen.versions import TESTED
from mitogen.core import handles

sys.path.insert(0, str(Path(__file__).parents[2] / 'docs/_ext'))

import measurements
import rows

pytestmark = pytest.mark.once


class AlmostHook:
    """Does one thing. It also has a second sentence
    which goes on."""

    name = 'almost'
    replaces = 'a.b.c'
    loss = 'nothing is as it was'


def test_a_hook_becomes_a_row() -> None:
    assert rows.hook_rows([AlmostHook()]) == [
        ('``almost``', 'Does one thing.', '``a.b.c``', 'Nothing is as it was.')]


def test_all_hooks_have_something_to_say_in_each_column() -> None:
    hooks = pytest.importorskip('ansible_mitogen.hooks', exc_type=ImportError).HOOKS
    found = rows.hook_rows(hooks)
    assert len(found) == len(hooks)
    assert all(len(cell) > 2 for row in found for cell in row)


def test_each_tested_ansible_core_is_a_row() -> None:
    found = rows.core_rows(TESTED)
    assert [row[0] for row in found] == [core.version for core in TESTED]
    assert {row[3] for row in found} == {'all', 'a selection'}
    assert all(len(row) == len(rows.CORE_COLUMNS) and row[1].startswith(row[0] + '.') for row in found)


def test_a_table_is_written_row_by_row() -> None:
    assert rows.list_table(['A', 'B'], [['1', '2']]) == [
        '.. list-table::', '   :header-rows: 1', '', '   * - A', '     - B', '   * - 1', '     - 2']


def test_each_numbered_mailbox_has_a_text() -> None:
    found = {name: (value, text) for value, name, text in rows.constants(handles)}
    assert found.keys() == {name for name in vars(handles) if name.isupper()}
    assert all(value == getattr(handles, name) and text for name, (value, text) in found.items())
    assert 'FIRST_FREE' not in str(rows.mailbox_rows(handles))


def test_a_scenario_that_was_measured_is_a_row() -> None:
    samples = [{'stock': {'wall': 4.0}, 'us': {'wall': us, 'controller_cpu': 0.1, 'target_cpu': 0.05}}
               for us in (1.0, 2.0, 4.0)]
    results = {'scenarios': {
        'a': {'title': 'ten tasks', 'units': 10, 'rounds': samples,
              'wire': {'us': {'sent': 2000, 'received': 48, 'packets': 7}}},
        'b': {'title': 'others', 'units': 1, 'rounds': [{'us': samples[0]['us'], 'peer': {'wall': 3.0}}], 'wire': {}}}}
    assert measurements.rows(results) == [
        ['ten tasks', '4.00', '–', '2.00', '2.00 ×', '–', '10.0', '5.0', '2', '7'],
        ['others', '–', '3.00', '1.00', '–', '3.00 ×', '100.0', '50.0', '–', '–']]
    assert all(len(row) == len(measurements.COLUMNS) for row in measurements.rows(results))
