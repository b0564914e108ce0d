"""The reference has every name that the project promises."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[2] / 'docs'

PROMISED = [
    'mitogen.core.BasicStream', 'mitogen.core.Broker', 'mitogen.core.CallError', 'mitogen.core.Channel',
    'mitogen.core.ChannelError', 'mitogen.core.Context', 'mitogen.core.Error', 'mitogen.core.ExternalContext',
    'mitogen.core.Importer', 'mitogen.core.IoLogger', 'mitogen.core.Receiver', 'mitogen.core.Sender',
    'mitogen.core.Side', 'mitogen.core.Stream', 'mitogen.core.StreamError', 'mitogen.core.TimeoutError',
    'mitogen.core.Waker', 'mitogen.core.io_op',
    'mitogen.master.ProcessMonitor', 'mitogen.master.Router', 'mitogen.master.Stream', 'mitogen.master.create_child',
    'mitogen.master.get_child_modules', 'mitogen.master.iter_read', 'mitogen.master.minimize_source',
    'mitogen.master.tty_create_child', 'mitogen.master.write_all', 'mitogen.select.Select', 'mitogen.ssh.Stream',
    'mitogen.sudo.Stream', 'mitogen.utils.run_with_router',
]

PAGES = '\n'.join((DOCS / page).read_text() for page in ('internals.rst', 'api.rst', 'transports.rst'))


def find(name: str) -> Any:
    """Return the object of that name."""
    module, _, attribute = name.rpartition('.')
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize('name', PROMISED)
def test_a_promised_name_exists_has_a_docstring_and_is_in_the_reference(name: str) -> None:
    assert (find(name).__doc__ or '').strip()
    assert re.search(r'^\.\. auto\w+:: %s$' % re.escape(name), PAGES, re.MULTILINE)


def test_all_that_the_reference_names_exists() -> None:
    for kind, name in re.findall(r'^\.\. auto(\w+):: (\S+)$', PAGES, re.MULTILINE):
        assert import_module(name) if kind == 'module' else find(name)


def test_each_way_to_start_a_context_is_in_the_table_of_transports_and_has_its_options_there() -> None:
    transports = find('mitogen.transports.Transports')
    names = {name for name in vars(transports) if not name.startswith('_')} - {'connect'}
    text = (DOCS / 'transports.rst').read_text()
    assert set(re.findall(r'``router\.(\w+)\([^)`]*\)``\n     -', text)) == names
    assert names <= set(re.findall(r'^\.\. autoclass:: mitogen\.(\w+)\.Stream$', text, re.MULTILINE))
