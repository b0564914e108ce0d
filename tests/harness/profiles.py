"""Runs whose costs are written to a file by the project's profile."""

import json
from pathlib import Path
from typing import Any

from tests.harness.engines import PLUGINS
from tests.harness.project import Project


def enable_profile(project: Project) -> Path:
    """Have runs profiled; returns where the numbers go."""
    path = project.folder / 'profile.json'
    folders = '%s:%s' % (PLUGINS / 'callback', Path(__file__).with_name('callback_plugins'))
    project.configure('defaults', callback_plugins=folders, callbacks_enabled='record,mitogen_profile')
    project.configure('callback_mitogen_profile', json=str(path))
    return path


def costs(path: Path, host: str = '') -> dict[str, dict[str, Any]]:
    """The numbers of each task (on one host), by its name."""
    return {cost['task']: cost for cost in json.loads(path.read_text())['tasks'] if host in ('', cost['host'])}
