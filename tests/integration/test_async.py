"""Asynchronous tasks that outlive who started them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import Engine
from tests.harness.processes import wait_until
from tests.harness.project import Project
from tests.harness.sshd import Sshd


def report_of(job: Path) -> Any:
    """What the job wrote at its end; None before that."""
    text = job.read_text()
    return json.loads(text) if '"cmd"' in text else None


@pytest.mark.every_core
def test_job_outlasts_the_run(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    gate, late = accounts.nopasswd.home / 'gate', accounts.nopasswd.home / 'late'
    jobs = project.folder / 'jobs'
    run = project.play(f'''
        - name: job
          shell: 'until test -e {gate}; do sleep 0.1; done; id -un > {late}'
          become: true
          async: 120
          poll: 0
    ''', engine, env={'ANSIBLE_ASYNC_DIR': str(jobs)}).assert_ok()
    # Stock leaves the ssh client that its next run would use.
    assert not engine.ours or not run.left
    assert not late.exists()
    gate.touch()
    report = wait_until(lambda: report_of(Path(run.task('job').result['results_file'])), 60, 'the report of the job')
    assert (report['rc'], late.read_text()) == (0, 'root\n')
    gate.unlink()
    late.unlink()
