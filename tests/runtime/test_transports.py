"""The runtime by itself, without Ansible: contexts over ssh, sudo, on this machine, and forked."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mitogen.core.errors import CallError, ChannelError
from mitogen.master import HopError, Router
from tests.harness.accounts import Accounts
from tests.harness.sshd import Sshd

PYTHON = '/usr/bin/python3'


@pytest.fixture
def router() -> Iterator[Router]:
    router = Router()
    yield router
    router.broker.shutdown()
    router.broker.join(20)
    assert not router.broker.thread.is_alive()


def ssh(router: Router, sshd: Sshd, **options: Any) -> Any:
    return router.ssh(**{'hostname': '127.0.0.1', 'port': sshd.port, 'check_host_keys': 'ignore', 'python': PYTHON,
                         'ssh_args': ['-F', '/dev/null'], **options})


def test_local_contexts_nest(router: Router) -> None:
    context = None
    pids = {os.getpid()}
    for _ in range(3):
        context = router.local(via=context, python=sys.executable)
        pids.add(context.call(os.getpid))
    assert len(pids) == 4


def test_a_remote_exception_carries_its_traceback(router: Router) -> None:
    context = router.local(python=sys.executable)
    with pytest.raises(CallError, match='FileNotFoundError') as caught:
        context.call(os.listdir, '/there/is/no/such/folder')
    assert 'Traceback' in caught.value.traceback


def test_ssh_with_a_key(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    context = ssh(router, sshd, username=accounts.plain.name, identity_file=str(sshd.key))
    assert context.call(os.getuid) == accounts.plain.uid


def test_ssh_with_a_password_and_sudo_with_a_password(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    account = accounts.passwd
    login = ssh(router, sshd, username=account.name, password=account.password)
    assert login.call(os.getuid) == account.uid
    root = router.sudo(via=login, password=account.password, python=PYTHON)
    assert root.call(os.getuid) == 0


def test_ssh_with_the_passphrase_of_a_key(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    context = ssh(router, sshd, username=accounts.plain.name, identity_file=str(sshd.locked_key),
                  passphrase=sshd.passphrase)
    assert context.call(os.getuid) == accounts.plain.uid


def test_a_wrong_ssh_password_is_named(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    with pytest.raises(HopError, match='the password is wrong'):
        ssh(router, sshd, username=accounts.plain.name, password='not this one')


def test_an_unknown_host_key_is_refused(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    with pytest.raises(HopError, match='[Hh]ost key'):
        ssh(router, sshd, username=accounts.plain.name, identity_file=str(sshd.key), check_host_keys='enforce',
            ssh_args=['-F', '/dev/null', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'GlobalKnownHostsFile=/dev/null'])


def test_sudo_without_a_password_and_to_another_account(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    login = ssh(router, sshd, username=accounts.nopasswd.name, identity_file=str(sshd.key))
    other = router.sudo(via=login, username=accounts.other.name, python=PYTHON)
    assert other.call(os.getuid) == accounts.other.uid


def test_sudo_that_requires_a_terminal(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    login = ssh(router, sshd, username=accounts.tty.name, identity_file=str(sshd.key))
    assert router.sudo(via=login, python=PYTHON).call(os.getuid) == 0


def test_a_wrong_sudo_password_is_named_and_a_missing_one_too(router: Router, sshd: Sshd, accounts: Accounts) -> None:
    login = ssh(router, sshd, username=accounts.passwd.name, identity_file=str(sshd.key))
    with pytest.raises(HopError, match='the password is wrong'):
        router.sudo(via=login, password='not this one', python=PYTHON)
    with pytest.raises(HopError, match='password is required'):
        router.sudo(via=login, python=PYTHON)
    assert login.call(os.getuid) == accounts.passwd.uid


def test_a_forked_context_has_what_its_parent_imported(router: Router) -> None:
    parent = router.local(python=sys.executable)
    parent.call(os.putenv, 'A', 'b')
    child = router.fork(via=parent)
    assert child.call(os.getppid) == parent.call(os.getpid)
    grandchild = router.fork(via=child)
    assert grandchild.call(os.getppid) == child.call(os.getpid)


def test_who_waits_for_a_context_that_is_killed_is_told(router: Router) -> None:
    context = router.local(python=sys.executable)
    waiting = context.call_async(os.getpid)
    waiting.get(10)
    answer = context.call_async(__import__('time').sleep, 60)
    os.kill(context.info['pid'], 9)
    with pytest.raises(ChannelError, match='signal 9|gone'):
        answer.get(10)
