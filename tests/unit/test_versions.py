"""Which ansible-core was tested, and what is said of a newer or an older one."""

import importlib.metadata
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_release

from ansible_mitogen.command import here
from ansible_mitogen.versions import TESTED, is_too_old, untested_reason

pytestmark = pytest.mark.every_core

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('release', ['2.16.0', '2.19.14', '2.21.5', '2.21.99', '2.21.0rc1'])
def test_nothing_is_said_of_what_was_tested(release: str) -> None:
    assert untested_reason(release) == '' and not is_too_old(release)


@pytest.mark.parametrize('release', ['2.22.0', '2.22.0.dev0', '2.100.1', '3.0.0'])
def test_a_newer_one_is_named(release: str) -> None:
    assert untested_reason(release) == (
        f'ansible-core {release} is newer than 2.21, the newest that this mitogen was tested with')


@pytest.mark.parametrize('release', ['2.15.13', '2.9.27', '1.9.6'])
def test_an_older_one_is_too_old(release: str) -> None:
    assert is_too_old(release)


@pytest.mark.parametrize(('release', 'state', 'text'), [
    ('2.15.13', 'problem', 'ansible-core 2.15.13 is too old'),
    ('2.16.19', 'ok', 'ansible-core 2.16.19'),
    ('2.21.5', 'ok', 'ansible-core 2.21.5'),
    ('2.22.0', 'warning', 'ansible-core 2.22.0 is newer than 2.21, the newest that this mitogen was tested with'),
])
def test_the_doctor_says_the_same(release: str, state: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, 'version', lambda package: release)
    finding = here._core()
    assert (finding.state, finding.text) == (state, text)


def test_the_tests_run_on_a_release_of_the_list() -> None:
    assert ansible_release in [core.release for core in TESTED]


def test_six_are_tested_the_oldest_and_the_newest_in_full() -> None:
    assert [core.version for core in TESTED] == ['2.16', '2.17', '2.18', '2.19', '2.20', '2.21']
    assert [core.version for core in TESTED if core.full] == ['2.16', '2.19', '2.21']
    assert all(core.release.startswith(core.version + '.') for core in TESTED)


@pytest.mark.parametrize('path', [
    'README.md', 'docs/install.rst', 'docs/faq.rst', 'ansible_collections/mitogen/ansible/README.md'])
def test_what_people_read_first_says_the_same(path: str) -> None:
    assert f'{TESTED[0].version} to {TESTED[-1].version}' in (ROOT / path).read_text()


def test_the_collection_asks_for_the_oldest_or_a_later_one() -> None:
    text = (ROOT / 'ansible_collections/mitogen/ansible/meta/runtime.yml').read_text()
    assert f"requires_ansible: '>={TESTED[0].version}.0'" in text
