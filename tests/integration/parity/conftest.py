"""Fixtures of what is compared with stock Ansible, which plays most of it for most of the time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.sshd import Sshd


@pytest.fixture(scope='session')
def sshd(session_folder: Path) -> Iterator[Sshd]:
    """An sshd that these tests share."""
    server = Sshd(session_folder / 'parity-sshd', keeps_code=True)
    yield server
    server.stop()
