"""Runs of Ansible's programs, and what is to be known of them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_mitogen.names import CALLBACK_NAMES

PLUGINS = Path(__file__).parents[1] / 'plugins'

_FILES = Path(__file__).with_name('files')

#: Tells the callback where to write. Internal: it is set for single runs only.
_REPORT = 'ANSIBLE_MITOGEN_REPORT'


class NoAnsible(Exception):
    """A program of Ansible was not found."""


def program(name: str) -> str:
    """Return the path of a program of Ansible: the one beside this Python, else the first on the PATH.

    :raises NoAnsible: there is none.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if found is None:
        raise NoAnsible(f'{name} was found neither beside {sys.executable} nor on the PATH. '
                        'Install ansible-core into the same environment.')
    return found


@dataclass(frozen=True)
class Settings:
    """Ansible's configuration as it is in this folder: values and where they come from, by name."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]

    @classmethod
    def read(cls) -> 'Settings':
        """Ask ansible-config.

        :raises NoAnsible: it is not there, or fails; the text is what it says.
        """
        ended = subprocess.run([program('ansible-config'), 'dump', '--format', 'json', '-t', 'base'],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True)
        try:
            entries = [entry for entry in json.loads(ended.stdout) if 'name' in entry]
        except ValueError:
            raise NoAnsible('ansible-config failed: ' + (ended.stderr.strip() or ended.stdout.strip())) from None
        return cls({entry['name']: entry.get('value') for entry in entries},
                   {entry['name']: str(entry.get('origin')) for entry in entries})

    def paths(self, name: str) -> list[str]:
        """Return a setting that is a list of folders."""
        return self.names(name, os.pathsep)

    def names(self, name: str, separator: str = ',') -> list[str]:
        """Return a setting that is a list."""
        value = self.values.get(name) or []
        return [part.strip() for part in value.split(separator)] if isinstance(value, str) else [*map(str, value)]


@dataclass
class PlayRun:
    """An ended run of ansible-playbook.

    :param seconds: wall time.
    :param cpu: seconds of processor time of ansible-playbook and all its children on this machine.
    :param results: host, task, status and message of each result, in order.
    :param stats: the recap, by host.
    """

    status: int
    seconds: float
    cpu: float
    output: str
    results: list[dict[str, Any]] = field(default_factory=list)
    stats: dict[str, dict[str, int]] = field(default_factory=dict)


def switched_on(settings: Settings, kind: str = 'linear') -> dict[str, str]:
    """Return the environment in which ansible-playbook takes our strategy, wherever this package lies.

    :param kind: the stock strategy to take the place of.
    """
    folders = [*settings.paths('DEFAULT_STRATEGY_PLUGIN_PATH'), str(PLUGINS / 'strategy')]
    return {'ANSIBLE_STRATEGY': 'mitogen_' + kind, 'ANSIBLE_STRATEGY_PLUGINS': os.pathsep.join(folders),
            'ANSIBLE_DEPRECATION_WARNINGS': '0'}


def play(arguments: Sequence[str], settings: Settings, environment: Mapping[str, str]) -> PlayRun:
    """Run ansible-playbook to its end.

    :param environment: what it gets besides this process's own.
    :raises NoAnsible: it is not there.
    """
    with tempfile.TemporaryDirectory(prefix='ansible-mitogen-') as folder:
        report, output = Path(folder, 'report'), Path(folder, 'output')
        folders = [str(_FILES), *settings.paths('DEFAULT_CALLBACK_PLUGIN_PATH')]
        # What the user has enabled, but not our switch: `environment` says whether it is on.
        enabled = [name for name in settings.names('CALLBACKS_ENABLED') if name not in CALLBACK_NAMES]
        env = {**os.environ, 'ANSIBLE_NOCOLOR': '1', 'ANSIBLE_FORCE_COLOR': '0', **environment, _REPORT: str(report),
               'ANSIBLE_CALLBACKS_ENABLED': ','.join([*enabled, 'mitogen_report']),
               'ANSIBLE_CALLBACK_PLUGINS': os.pathsep.join(folders)}
        began = time.monotonic()
        with output.open('w') as stream:
            process = subprocess.Popen([program('ansible-playbook'), *arguments], env=env, stdout=stream,
                                       stderr=subprocess.STDOUT)
        status, usage = _reap(process)
        run = PlayRun(status, time.monotonic() - began, usage, output.read_text(errors='replace'))
        for line in report.read_text().splitlines() if report.exists() else ():
            entry = json.loads(line)
            if 'stats' in entry:
                run.stats = entry['stats']
            else:
                run.results.append(entry)
        return run


def _reap(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        # The terminal has told ansible-playbook, too.
        os.wait4(process.pid, 0)
        raise
    finally:
        process.returncode = 0
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
