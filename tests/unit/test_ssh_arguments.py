"""A parser that is made late understands what one does that is made at once."""

import argparse
from types import SimpleNamespace

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import ssh as stock_ssh
from ansible.plugins.loader import connection_loader, init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

from ansible_mitogen.hooks.ssh_arguments import LazyArgparse, SshArguments

pytestmark = pytest.mark.every_core

needs_parser = pytest.mark.skipif(
    not hasattr(stock_ssh, 'argparse'), reason='before ansible-core 2.19 it has no parser')


def test_a_parser_is_made_when_it_is_used() -> None:
    stand_in = LazyArgparse()
    assert (stand_in.SUPPRESS, stand_in.Namespace) == (argparse.SUPPRESS, argparse.Namespace)
    parser = stand_in.ArgumentParser('name', description='what')
    parser.add_argument('-t', action='count')
    assert parser._made is None
    assert parser.parse_known_args(['-tt', '-x']) == (argparse.Namespace(t=2), ['-x'])
    parser.add_argument('-x', action='store_true')
    assert parser.parse_args(['-x']) == argparse.Namespace(t=None, x=True)
    assert (parser.prog, parser.description) == ('name', 'what')


@needs_parser
@pytest.mark.parametrize('arguments', [
    '', '-C -o ControlMaster=auto', '-t', '-tt', '-o RequestTTY=yes', '-oRequestTTY=no', '-o RequestTTY',
    '-vvv -4 host'])
def test_the_plugin_finds_the_same_in_the_arguments_of_the_user(
    monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()

    def is_requested() -> object:
        connection = connection_loader.get('ssh', PlayContext(), ansible_playbook_pid='1')
        connection.get_option = lambda name: arguments if name == 'ssh_args' else None
        try:
            return connection._is_tty_requested()
        except Exception as exc:
            return type(exc), str(exc)
    stock = is_requested()
    monkeypatch.setattr(stock_ssh, 'argparse', argparse)
    SshArguments().install(5)
    assert is_requested() == stock


@needs_parser
def test_hook_notices_another_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_ssh, 'argparse', argparse)
    assert SshArguments().unfit_reason() == ''
    monkeypatch.setattr(stock_ssh, 'argparse', SimpleNamespace())
    assert SshArguments().unfit_reason().endswith('is another module')
