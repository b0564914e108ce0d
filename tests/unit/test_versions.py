"""Which ansible-core was tested, and what is said of a newer one."""

import pytest
from ansible.release import __version__ as ansible_release

from ansible_mitogen.versions import TESTED, untested_reason


@pytest.mark.parametrize('release', ['2.19.14', '2.21.5', '2.21.99', '2.21.0rc1'])
def test_nothing_is_said_of_what_was_tested(release: str) -> None:
    assert untested_reason(release) == ''


@pytest.mark.parametrize('release', ['2.22.0', '2.22.0.dev0', '2.100.1', '3.0.0'])
def test_a_newer_one_is_named(release: str) -> None:
    assert untested_reason(release) == (
        f'ansible-core {release} is newer than 2.21, the newest that this mitogen was tested with')


def test_the_tests_run_on_a_release_of_the_list() -> None:
    assert ansible_release in [core.release for core in TESTED]


def test_the_first_and_the_last_are_tested_in_full() -> None:
    assert TESTED[0].full and TESTED[-1].full
    assert [core.version for core in TESTED] == ['2.19', '2.21']
    assert all(core.release.startswith(core.version + '.') for core in TESTED)
