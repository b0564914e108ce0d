"""``ansible`` without a playbook."""

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, Engine
from tests.harness.leftovers import Leftovers
from tests.harness.probes import PROBE
from tests.harness.project import Project
from tests.harness.sshd import Sshd, free_port


@pytest.mark.every_core
def test_ping_of_all_hosts(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, leftovers: Leftovers
) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    project.add_host('web2', sshd.variables())
    run = project.adhoc(['all', '-m', 'ping'], engine).assert_ok()
    assert [run.task('ping', host).result['ping'] for host in ('web1', 'web2')] == ['pong', 'pong']
    assert run.output.count('"ping": "pong"') == 2
    if engine.ours:
        assert not run.left
        leftovers.assert_none()


def test_strategy_plugins_by_the_environment_alone(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    plugins = MITOGEN.settings['defaults']['strategy_plugins']
    plain = Engine('environment', 'mitogen_linear', True)
    project.write('library/probe.py', PROBE)
    arguments = ['all', '-M', str(project.folder / 'library'), '-m', 'probe']
    run = project.adhoc(arguments, plain, env={'ANSIBLE_STRATEGY_PLUGINS': plugins}).assert_ok()
    # Stock starts modules from a shell.
    _pid, parent = run.task('probe').result['ancestors'][1]
    assert parent.startswith('python')


def test_become(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.passwd))
    secret = project.write('secret', accounts.passwd.password, 0o600)
    run = project.adhoc(['all', '-b', '--become-password-file', str(secret), '-a', 'id -un'], engine).assert_ok()
    assert run.task('command').result['stdout'] == 'root'


def test_status_of_a_failure(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.adhoc(['all', '-m', 'shell', '-a', 'exit 3'], engine)
    assert run.status == 2
    assert run.task('shell').result['rc'] == 3


def test_status_of_a_host_that_is_not_reached(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('good', sshd.variables(accounts.plain))
    project.add_host('bad', sshd.variables(accounts.plain, ansible_port=free_port()))
    run = project.adhoc(['all', '-m', 'ping'], engine)
    assert run.status == 4
    assert run.task('ping', 'good').status == 'ok'
    assert run.task('ping', 'bad').status == 'unreachable'


def test_raw_and_script_and_copy(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.plain))
    script = project.write('hello.sh', '#!/bin/sh\necho "hello $1"\n', 0o755)
    run = project.adhoc(['all', '-m', 'raw', '-a', 'echo raw; id -un'], engine).assert_ok()
    assert run.task('raw').result['stdout_lines'] == ['raw', accounts.plain.name]
    run = project.adhoc(['all', '-m', 'script', '-a', f'{script} world'], engine).assert_ok()
    assert run.task('script').result['stdout_lines'] == ['hello world']
    run = project.adhoc(['all', '-m', 'copy', '-a', f'src={script} dest=~/adhoc.sh mode=0700'], engine).assert_ok()
    assert (accounts.plain.home / 'adhoc.sh').read_text() == script.read_text()
