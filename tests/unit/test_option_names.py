"""Lists of variables that set options are those of stock Ansible, asked for once."""

from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible import constants
from ansible.config.manager import ConfigManager
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader

from ansible_mitogen.hooks.option_names import OptionNames, keeping_lists

pytestmark = pytest.mark.every_core

PLUGINS = [('connection', 'ssh'), ('connection', 'local'), ('connection', 'nobodys')]
VARIABLES = ['ansible_port', 'ansible_host', 'ansible_ssh_port', 'unknown']


@pytest.fixture(autouse=True)
def _definitions() -> None:
    for _, name in PLUGINS[:2]:
        connection_loader.get(name, PlayContext())


def test_lists_are_those_of_ansible_each_time() -> None:
    manager: Any = constants.config
    names, options = (keeping_lists(method) for method in (
        ConfigManager.get_plugin_vars, ConfigManager.get_plugin_options_from_var))
    for _ in range(3):
        for plugin in PLUGINS:
            found = names(manager, *plugin)
            assert found == manager.get_plugin_vars(*plugin)
            found.append('more')
            for variable in VARIABLES:
                assert options(manager, *plugin, variable) == manager.get_plugin_options_from_var(*plugin, variable)
    assert options(manager, 'connection', 'ssh', variable='ansible_port') == ['port']


def test_ansible_is_asked_again_when_definitions_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def stock(self: Any, plugin_type: str, name: str) -> list[str]:
        asked.append(name)
        return ['a', 'b']
    names, manager = keeping_lists(stock), constants.config
    assert [names(manager, 'connection', 'ssh') for _ in range(2)] == [['a', 'b']] * 2
    assert asked == ['ssh']
    monkeypatch.setitem(manager._plugins['connection'], 'ssh', {})
    assert [names(manager, 'connection', 'ssh') for _ in range(2)] == [['a', 'b']] * 2
    assert asked == ['ssh', 'ssh']


def test_hook_fits_and_notices_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OptionNames().unfit_reason() == ''
    monkeypatch.setattr(ConfigManager, 'get_plugin_options_from_var', lambda self, plugin_type, name: [])
    assert OptionNames().unfit_reason().startswith('get_plugin_options_from_var is not there')
