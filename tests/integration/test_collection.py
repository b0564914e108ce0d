"""The plugins by their full names: after `pip install`, from a checkout, and from an archive of the collection."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import ROOT, STOCK, Engine
from tests.harness.environments import make_environment
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

STRATEGIES = ('linear', 'free', 'host_pinned')

#: Under the stock strategies, with nothing but the callback.
CALLBACK = Engine('callback', 'linear', True, {
    'defaults': {'callbacks_enabled': 'record, mitogen.ansible.mitogen', 'deprecation_warnings': 'True'}})


def write_plays(project: Project, prefix: str) -> None:
    """A playbook with a play for each strategy, which runs a probe twice."""
    project.write('library/probe.py', PROBE)
    project.write('site.yml', json.dumps([
        {'hosts': 'all', 'gather_facts': False, 'strategy': prefix + strategy,
         'tasks': [{'name': f'{strategy} {index}', 'probe': {}} for index in (1, 2)]}
        for strategy in STRATEGIES]))


def assert_modules_ran_from_memory(run: Run, host: str) -> None:
    """All modules of a host were forked from one process."""
    results = [run.task(f'{strategy} {index}', host).result for strategy in STRATEGIES for index in (1, 2)]
    assert len({result['parent'] for result in results}) == 1
    assert not [result['file'] for result in results if Path(result['file']).exists()]


def test_pip_installed_plugins_are_found_by_their_full_names_without_any_path(
    installed: Path, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.bin_folder = installed
    write_plays(project, 'mitogen.ansible.')
    project.add_host('by_stock_name', sshd.variables(accounts.plain))
    project.add_host('by_full_name', sshd.variables(accounts.plain), ansible_connection='mitogen.ansible.ssh')
    project.add_host('here', ansible_connection='mitogen.ansible.local', ansible_python_interpreter='/usr/bin/python3')
    run = project.start_playbook('site.yml', Engine('full name', 'linear', True)).wait().assert_ok()
    for host in ('by_stock_name', 'by_full_name', 'here'):
        assert_modules_ran_from_memory(run, host)
    assert not run.left
    leftovers.assert_none()


def test_connection_by_its_full_name_works_without_any_switch(
    installed: Path, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.bin_folder = installed
    write_plays(project, '')
    # As group variables give it: what the stock plugin is told, this one is told.
    project.add_host('web1', sshd.variables(accounts.plain), ansible_connection='mitogen.ansible.ssh')
    run = project.start_playbook('site.yml', STOCK).wait().assert_ok()
    assert_modules_ran_from_memory(run, 'web1')


@pytest.mark.parametrize('kind', ['installed', 'editable'])
def test_callback_makes_the_stock_strategies_ours_and_nothing_warns(
    kind: str, request: pytest.FixtureRequest, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    if kind == 'installed':
        project.bin_folder = request.getfixturevalue('installed')
    write_plays(project, '')
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.start_playbook('site.yml', CALLBACK, arguments=['-vvv']).wait().assert_ok()
    assert_modules_ran_from_memory(run, 'web1')
    assert 'DEPRECATION' not in run.text and 'WARNING' not in run.text, run.text
    assert not run.left
    leftovers.assert_none()


def test_callback_serves_ad_hoc_commands_too(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.plain))
    arguments = ['all', '-M', str(project.folder / 'library'), '-m', 'probe']
    run = project.adhoc(arguments, CALLBACK, env={'ANSIBLE_LOAD_CALLBACK_PLUGINS': '0'}).assert_ok()
    result = json.loads(run.output.partition('=>')[2])
    # Stock starts modules from a shell.
    assert result['ancestors'][1][1].startswith('python')


@pytest.mark.once
def test_archive_installs_offline_and_brings_all_that_it_needs(
    session_folder: Path, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    subprocess.run([sys.executable, str(ROOT / 'scripts' / 'collection'), 'build', str(project.folder)], check=True,
                   timeout=120, stdout=subprocess.DEVNULL)
    [archive] = project.folder.glob('mitogen-ansible-*.tar.gz')
    project.bin_folder = make_environment(session_folder / 'bare')
    subprocess.run([str(project.bin_folder / 'ansible-galaxy'), 'collection', 'install', '--offline', str(archive)],
                   check=True, timeout=120, env=project.environment(), stdout=subprocess.DEVNULL)
    write_plays(project, '')
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.start_playbook('site.yml', CALLBACK).wait().assert_ok()
    assert_modules_ran_from_memory(run, 'web1')
    assert not run.left


def test_documentation_of_the_plugins_is_shown_without_a_warning(installed: Path, project: Project) -> None:
    shown = subprocess.run([str(installed / 'ansible-doc'), '--json', '-t', 'connection', 'mitogen.ansible.ssh',
                            'mitogen.ansible.local'], check=True, timeout=60, env=project.environment(),
                           capture_output=True, text=True)
    assert set(json.loads(shown.stdout)) == {'mitogen.ansible.ssh', 'mitogen.ansible.local'}
    assert shown.stderr == ''
