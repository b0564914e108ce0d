"""Modules of every style, ends of every kind, and asynchronous tasks: the same as under stock Ansible."""

import os
import shutil
from pathlib import Path

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK
from tests.harness.sshd import Sshd
from tests.integration.parity.masks import CORE, MASKS, STYLE_MASKS
from tests.integration.parity.scenes import Outcome, Scene

pytestmark = [pytest.mark.timeout(1300), pytest.mark.xdist_group('styles'), pytest.mark.ends]

#: Of jobs. Their wrappers outlive the play, and stock sometimes misses a command that has just been started.
LEFT = ('async_wrapper', 'AnsiballZ_command', 'sleep 300.')

#: An interpreter of a task's own choice.
WRAPPER = '#!/bin/sh\nPARITY_MARK=wrapped\nexport PARITY_MARK\nexec {program} "$@"\n'
WRAPPED = {'my-bash': '/bin/bash', 'my-perl': '/usr/bin/perl', 'my-python': '/usr/bin/python3'}

#: A program of the system that prints what the file of its arguments holds: a binary module.
BINARY = Path('/bin/cat')


@pytest.fixture(scope='module')
def scene(session_folder: Path, sshd: Sshd, accounts: Accounts) -> Scene:
    folder = session_folder / 'styles'
    folder.mkdir()
    folder.chmod(0o755)
    ways = {
        'login': sshd.variables(accounts.passwd, as_root=True, ansible_become_password=accounts.passwd.password),
        'here': {'ansible_connection': 'local', 'ansible_python_interpreter': '/usr/bin/python3', 'as_root': False},
    }
    # Both are of one length: some sizes are compared.
    works = {name: folder / f'work-{name:_<5}' for name in ways}

    def prepare() -> None:
        for name, work in works.items():
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            work.chmod(0o755)
            shared = folder / f'shared-{name:_<5}'
            shutil.rmtree(shared, ignore_errors=True)
            shared.mkdir()
            shared.chmod(0o777)
            for wrapper, program in WRAPPED.items():
                (work / wrapper).write_text(WRAPPER.format(program=program))
                (work / wrapper).chmod(0o755)

    hosts = {
        name: {
            **variables,
            'work': str(works[name]),
            'shared': str(folder / f'shared-{name:_<5}'),
            'nap': f'300.{os.getpid()}{number}',
            'other_account': accounts.other.name,
            'ansible_async_dir': str(folder / f'shared-{name:_<5}' / 'jobs'),
        }
        for number, (name, variables) in enumerate(ways.items())
    }
    return Scene(folder, 'styles.yml', hosts, prepare, works, programs={'library/binary': BINARY})


@pytest.fixture(scope='module')
def stock(scene: Scene) -> Outcome:
    return scene.play(STOCK)


def test_stock_run_is_a_good_reference(stock: Outcome) -> None:
    assert stock.run.status == 0, stock.run.text
    assert len({result.task for result in stock.run.results}) >= 70
    # 2.16 finds nothing wrong in the first lines of three modules, and refuses the job in check mode.
    expected = {'login': 23, 'here': 15} if CORE >= (2, 17) else {'login': 21, 'here': 12}
    assert {host: stats['ignored'] for host, stats in stock.run.stats.items()} == expected


def test_results_equal_those_of_stock(stock: Outcome, scene: Scene) -> None:
    found = scene.play(MITOGEN)
    stock.assert_same(found, (*STYLE_MASKS, *MASKS))
    assert not [command for _pid, command in found.run.left if not any(part in command for part in LEFT)]
