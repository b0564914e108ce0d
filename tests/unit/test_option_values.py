"""Options are what they are by stock Ansible, whether they were looked up or remembered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible import constants, context
from ansible.config.manager import ConfigManager
from ansible.errors import AnsibleError
from ansible.module_utils.common.collections import ImmutableDict
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader, shell_loader

from ansible_mitogen.hooks.option_values import OptionValues, remembering

pytestmark = pytest.mark.every_core

CONFIGURATION = '''
[defaults]
timeout = 22
[ssh_connection]
ssh_args = -o Compression=yes
[privilege_escalation]
become_method = sudo
'''

PLUGINS = [('connection', 'ssh'), ('connection', 'local'), ('shell', 'sh'), ('become', 'sudo')]

#: What a task may bring with it: keywords and variables.
GIVEN: list[dict[str, Any]] = [
    {},
    {'variables': {}, 'keys': {}},
    {'variables': {'ansible_port': 2222, 'ansible_host': 'there', 'unknown': 1}},
    {'variables': {'ansible_port': None}, 'keys': {'port': None, 'timeout': None}},
    {'keys': {'port': 44, 'remote_user': 'someone', 'timeout': 3, 'become_user': 'else'}},
    {'direct': {'port': 55, 'pipelining': 'yes'}},
    {'variables': {'ansible_become_password': 'secret', 'ansible_shell_executable': '/bin/bash'}},
]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The configuration of the process, with a file, and the definitions of a few plugins."""
    connection_loader.get('ssh', PlayContext())
    connection_loader.get('local', PlayContext())
    shell_loader.get('sh')
    become_loader.get('sudo')
    # Before ansible-core 2.19 the default of a folder's path is a template here, and such a folder is made.
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'ansible.cfg').write_text(CONFIGURATION)
    monkeypatch.setattr(constants.config, '_config_file', str(tmp_path / 'ansible.cfg'))
    monkeypatch.setattr(context, 'CLIARGS', ImmutableDict({'timeout': None, 'ssh_common_args': '-v'}))
    return constants.config


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, manager: Any) -> list[str]:
    """The hook's method is in place; which options the stock one is asked for is noted here."""
    noted: list[str] = []
    stock: Any = ConfigManager.get_config_value_and_origin

    def noting(self: Any, config: str, *args: Any, **kwargs: Any) -> Any:
        noted.append(config)
        return stock(self, config, *args, **kwargs)
    monkeypatch.setattr(ConfigManager, 'get_config_value_and_origin', remembering(noting, manager))
    return noted


def outcome(manager: Any, plugin: tuple[str, str], given: dict[str, Any]) -> list[tuple[str, Any]]:
    """All options of a plugin with their origins, or the errors."""
    found = []
    for option in manager.get_configuration_definitions(*plugin):
        try:
            value, origin = manager.get_config_value_and_origin(
                option, plugin_type=plugin[0], plugin_name=plugin[1], **given)
        except Exception as exc:
            value, origin = type(exc), str(exc)
        found.append((option, (value, type(value), origin)))
    return found


@pytest.mark.parametrize('plugin', PLUGINS)
def test_each_option_is_what_it_is_by_ansible_each_time(
    plugin: tuple[str, str], manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [outcome(manager, plugin, given) for given in GIVEN]
    monkeypatch.setattr(ConfigManager, 'get_config_value_and_origin',
                        remembering(ConfigManager.get_config_value_and_origin, manager))
    for _ in range(3):
        assert [outcome(manager, plugin, given) for given in GIVEN] == expected
        assert [outcome(manager, plugin, given) for given in reversed(GIVEN)] == expected[::-1]


def port(manager: Any, **given: Any) -> Any:
    return manager.get_config_value('port', plugin_type='connection', plugin_name='ssh', **given)


def test_ansible_is_asked_once_for_what_nothing_sets(asked: list[str], manager: Any) -> None:
    for _ in range(3):
        outcome(manager, ('connection', 'ssh'), {'variables': {'ansible_port': 22}})
    assert asked.count('port') == 3
    assert {option: asked.count(option) for option in ('ssh_args', 'timeout', 'pipelining')} == {
        'ssh_args': 1, 'timeout': 1, 'pipelining': 1}


def test_lists_and_folders_are_made_each_time(asked: list[str], manager: Any) -> None:
    for option in ('CACHE_PLUGIN_CONNECTION', 'DEFAULT_LOCAL_TMP', 'COLLECTIONS_PATHS', 'INVENTORY_ENABLED'):
        for _ in range(2):
            manager.get_config_value(option)
    assert [asked.count(option) for option in ('DEFAULT_LOCAL_TMP', 'COLLECTIONS_PATHS', 'INVENTORY_ENABLED')] == [
        2, 2, 2]


def change_environment(monkeypatch: pytest.MonkeyPatch, manager: Any) -> None:
    monkeypatch.setenv('ANSIBLE_REMOTE_PORT', '99')


def change_definition(monkeypatch: pytest.MonkeyPatch, manager: Any) -> None:
    definitions = manager.get_configuration_definitions('connection', 'ssh')
    monkeypatch.setitem(manager._plugins['connection'], 'ssh', {
        **definitions, 'port': {'type': 'int', 'default': 99}})


@pytest.mark.parametrize('change', [change_environment, change_definition])
def test_change_of_what_an_option_depends_on_is_noticed(
    change: Callable[..., None], asked: list[str], manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = port(manager)
    assert port(manager) == before
    with monkeypatch.context() as patch:
        change(patch, manager)
        assert [port(manager), port(manager)] == [99, 99]
    assert port(manager) == before


def test_change_of_the_command_line_is_noticed(
    asked: list[str], manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arguments() -> Any:
        return manager.get_config_value('ssh_common_args', plugin_type='connection', plugin_name='ssh')
    assert [arguments(), arguments()] == ['-v', '-v']
    monkeypatch.setattr(context, 'CLIARGS', ImmutableDict({'ssh_common_args': '-q'}))
    assert [arguments(), arguments()] == ['-q', '-q']


def test_what_there_is_to_say_is_said_each_time(
    asked: list[str], manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, 'DEPRECATED', [])
    monkeypatch.setitem(manager._plugins['connection'], 'ssh', {
        'port': {'type': 'int', 'env': [{'name': 'OLD_PORT', 'deprecated': {'why': 'it is old'}}]}})
    monkeypatch.setenv('OLD_PORT', '7')
    assert [port(manager), port(manager)] == [7, 7]
    assert [name for name, _ in manager.DEPRECATED] == ['OLD_PORT', 'OLD_PORT']


def test_what_names_no_plugin_is_refused_as_by_ansible(asked: list[str], manager: Any) -> None:
    for _ in range(2):
        with pytest.raises(AnsibleError):
            manager.get_config_value('port', plugin_type='connection')
        with pytest.raises(AnsibleError):
            manager.get_config_value('no_such_option', plugin_type='connection', plugin_name='ssh')
    assert asked == ['port', 'no_such_option'] * 2


def test_another_configuration_is_asked_each_time(asked: list[str], manager: Any) -> None:
    other = ConfigManager()
    for _ in range(2):
        other.get_config_value('DEFAULT_FORKS')
    assert asked.count('DEFAULT_FORKS') == 2


def test_hook_fits_and_notices_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OptionValues().unfit_reason() == ''

    def get(self: Any, config: Any, cfile: Any, plugin_type: Any, plugin_name: Any, keys: Any, variables: Any,
            direct: Any) -> Any:
        return open(config)
    monkeypatch.setattr(ConfigManager, 'get_config_value_and_origin', get)
    assert OptionValues().unfit_reason().endswith('uses open')
    monkeypatch.setattr(ConfigManager, 'get_config_value_and_origin', lambda self, config: None)
    assert OptionValues().unfit_reason().endswith('takes the parameters self, config')
