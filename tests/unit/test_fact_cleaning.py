"""Which facts become variables: the same as Ansible says, asked once."""

import copy
from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible.vars import clean, manager

from ansible_mitogen.hooks.fact_cleaning import FactCleaning, remembering

pytestmark = pytest.mark.every_core

FACTS: dict[str, Any] = {
    'distribution': 'Debian', 'ansible_eth0': {'ipv4': ['1.2.3.4']}, 'ansible_ssh_user': 'evil',
    'ansible_become_pass': 'x',
    'ansible_docker_gwbridge': {}, 'ansible_python_interpreter': '/evil', 'ansible_ssh_host_key_rsa_public': 'AAAA',
    'ansible_connection': 'local', '_ansible_internal': 1, 'nested': {'_ansible_inner': 1, 'kept': [1, {'a': 2}]},
    'ansible_local_port': 5, 'invocation': {}, 'ansible_check_mode': True}


@pytest.mark.parametrize('facts', [{}, FACTS, dict(list(FACTS.items())[:3])])
def test_result_is_that_of_ansible_each_time(facts: dict[str, Any]) -> None:
    ours = remembering(clean.clean_facts)
    before = copy.deepcopy(facts)
    for _ in range(2):
        result = ours(facts)
        assert result == clean.clean_facts(facts)
        assert list(result) == list(clean.clean_facts(facts))
    if 'nested' in facts:
        result['nested']['kept'].append(2)
    assert facts == before


def test_ansible_is_asked_once_for_the_same_names() -> None:
    asked = []
    ours = remembering(lambda facts: asked.append(sorted(facts)) or clean.clean_facts(facts))  # type: ignore[func-returns-value]
    assert ours({'a': 1}) == {'a': 1}
    assert ours({'a': 2}) == {'a': 2}
    assert ours({'b': 3}) == {'b': 3}
    assert asked == [['a'], ['b']]


def test_hook_fits_and_notices_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FactCleaning().unfit_reason() == ''
    monkeypatch.setattr(manager, 'clean_facts', lambda facts: facts)
    assert 'is not there' in FactCleaning().unfit_reason()

    def clean_facts(facts: Any) -> Any:
        return open(facts)

    monkeypatch.setattr(clean, 'clean_facts', clean_facts)
    monkeypatch.setattr(manager, 'clean_facts', clean_facts)
    assert FactCleaning().unfit_reason().endswith('uses open')
