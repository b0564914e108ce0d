"""Unit tests find Ansible's plugins loaded as a run does."""

import pytest


@pytest.fixture(scope='session', autouse=True)
def _stock_connections() -> None:
    # Ansible keeps a plugin's class by its file, in the module whose name it was first asked for by. The hook `warm`
    # asks by the short one before any task does; a test that asks by another would give all later ones another class.
    try:
        from ansible.plugins.loader import connection_loader, init_plugin_loader
        from ansible.utils.collection_loader import AnsibleCollectionConfig
    except ImportError:
        return
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()
    for name in ('ssh', 'local'):
        connection_loader.get(name, class_only=True)
