"""Throw-away accounts on this machine."""

import fcntl
import os
import pwd
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Found = TypeVar('Found')

#: In the comment field of every account that the tests make, with the pid of their maker behind it.
MARK = 'mitogen test account of'

LOCK = '/run/mitogen-test-accounts.lock'

SUDOERS = Path('/etc/sudoers.d')

DOAS = Path('/etc/doas.conf')


@dataclass(frozen=True)
class Account:
    """A user of this machine whose password is known."""

    name: str
    uid: int
    home: Path
    password: str


@dataclass(frozen=True)
class Accounts:
    """The accounts of one test session.

    :param nopasswd: may sudo anything without a password, keeping variables (`-E`).
    :param passwd: may sudo anything with its password.
    :param tty: may sudo without a password, but only from a terminal (`requiretty`).
    :param plain: may not sudo.
    :param other: somebody to become with su or sudo, who may not do anything.
    """

    nopasswd: Account
    passwd: Account
    tty: Account
    plain: Account
    other: Account

    def __iter__(self) -> Iterator[Account]:
        return iter((self.nopasswd, self.passwd, self.tty, self.plain, self.other))


def _run_patiently(command: list[str], stdin: str = '') -> None:
    """Run one of shadow's tools, which give up at once when another holds the lock on /etc/passwd."""
    for _ in range(60):
        done = subprocess.run(command, input=stdin, text=True, capture_output=True)
        if done.returncode == 0:
            return
        if 'lock' not in done.stderr:
            break
        time.sleep(0.5)
    raise RuntimeError(f'{" ".join(command)}: {done.stderr.strip()}')


def _create(role: str, password: str) -> Account:
    name = f'mt{secrets.token_hex(3)}{role}'
    _run_patiently(['useradd', '--create-home', '--shell', '/bin/bash', '--comment', f'{MARK} {os.getpid()}', name])
    _run_patiently(['chpasswd'], stdin=f'{name}:{password}\n')
    entry = pwd.getpwnam(name)
    return Account(name, entry.pw_uid, Path(entry.pw_dir), password)


def remove(entry: pwd.struct_passwd) -> None:
    """Remove an account that the tests made, its processes, its rules for sudo and its files."""
    assert entry.pw_gecos.startswith(MARK), entry
    for status in Path('/proc').glob('[0-9]*'):
        try:
            if status.stat().st_uid == entry.pw_uid:
                os.kill(int(status.name), signal.SIGKILL)
        except OSError:
            continue
    (SUDOERS / entry.pw_name).unlink(missing_ok=True)
    _run_patiently(['userdel', '--remove', '--force', entry.pw_name])


def account_files() -> list[int]:
    """What changes when anyone makes or removes an account on this machine, or a rule for sudo."""
    return [os.stat(path).st_mtime_ns for path in ('/etc/passwd', '/etc/group', SUDOERS)]


def while_accounts_stay(measure: Callable[[int], Found]) -> Found:
    """Return what a function finds out while nobody makes or removes an account.

    Else a context may be opened anew, for whoever logs in then may be somebody else.

    :param measure: called with the number of the attempt, until it was left in peace.
    """
    for attempt in range(20):
        before = account_files()
        found = measure(attempt)
        if account_files() == before:
            return found
    raise AssertionError('accounts were made all the time')


def remove_stale() -> None:
    """Remove the accounts of test sessions that were killed."""
    with open(LOCK, 'w') as lock:
        # Two sessions that begin at once would both remove the same ones.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for entry in pwd.getpwall():
            maker = entry.pw_gecos.rpartition(' ')[2]
            if entry.pw_gecos.startswith(MARK) and not Path('/proc', maker).exists():
                remove(entry)


def allow_sudo(account: Account, rules: str) -> None:
    """Give an account rules for sudo; `%` in them stands for its name."""
    path = SUDOERS / account.name
    path.write_text(rules.replace('%', account.name) + '\n')
    path.chmod(0o440)
    subprocess.run(['visudo', '--check', '--quiet', '--file', str(path)], check=True)


@contextmanager
def doas_allowed(*rules: str) -> Iterator[None]:
    """Add rules for doas, and take them away at the end."""
    _change_doas(lambda lines: [*lines, *rules])
    try:
        yield
    finally:
        _change_doas(lambda lines: [line for line in lines if line not in rules])


def _change_doas(change: Callable[[list[str]], list[str]]) -> None:
    with open(LOCK, 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = change(DOAS.read_text().splitlines() if DOAS.exists() else [])
        if lines:
            # Another program that reads it meanwhile must not see half of it.
            new = DOAS.with_name('.doas.conf.new')
            new.write_text('\n'.join(lines) + '\n')
            new.chmod(0o400)
            new.rename(DOAS)
        else:
            DOAS.unlink(missing_ok=True)


@contextmanager
def throw_away_accounts() -> Iterator[Accounts]:
    """Make the accounts, and remove them at the end."""
    remove_stale()
    made: list[Account] = []

    def create(role: str, password: str = '') -> Account:
        # A shell, a YAML parser and a prompt each have their own idea of such characters.
        made.append(_create(role, password or f'{secrets.token_hex(6)} \'"$x\\'))
        return made[-1]

    try:
        accounts = Accounts(create('nopw'), create('pw'), create('tty'), create('plain'), create('other'))
        allow_sudo(accounts.nopasswd, '% ALL=(ALL) NOPASSWD:SETENV: ALL')
        allow_sudo(accounts.passwd, '% ALL=(ALL) ALL')
        allow_sudo(accounts.tty, 'Defaults:% requiretty\n% ALL=(ALL) NOPASSWD: ALL')
        yield accounts
    finally:
        for account in made:
            remove(pwd.getpwnam(account.name))
