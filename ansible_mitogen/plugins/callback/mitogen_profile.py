# Ansible loads this file by its path: the project need not be installed.
from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from typing import Any

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_FOUND = importlib.util.find_spec('ansible_mitogen')
if _FOUND is None or os.path.dirname(os.path.dirname(os.path.abspath(_FOUND.origin or ''))) != _ROOT:
    sys.path.insert(0, _ROOT)

from ansible.plugins.callback import CallbackBase  # noqa: E402

from ansible_mitogen import link  # noqa: E402
from ansible_mitogen.hooks.labels import Labels  # noqa: E402
from ansible_mitogen.mux.api import MuxError  # noqa: E402
from ansible_mitogen.mux.usage import Usages  # noqa: E402
from ansible_mitogen.profile import TaskCost, as_json, label, summary, task_cost  # noqa: E402

DOCUMENTATION = """
    name: mitogen_profile
    type: aggregate
    short_description: Shows what tasks cost
    description:
        - For each task, time in the controller, waiting for connection and network, copying files and running on the
          host, round trips and bytes; at the end a table, and all numbers as JSON on request.
        - Tasks over connections that are not persistent ones have a total time only.
    author: the authors of this project
    options:
        json:
            description: File that the numbers of each task and host are written to, as JSON.
            type: path
            env: [{name: 'MITOGEN_PROFILE_JSON'}]
            ini: [{section: callback_mitogen_profile, key: json}]
        tasks:
            description: How many tasks the table shows, the slowest first.
            type: int
            default: 20
            env: [{name: 'MITOGEN_PROFILE_TASKS'}]
            ini: [{section: callback_mitogen_profile, key: tasks}]
"""


class CallbackModule(CallbackBase):
    """Collects what tasks cost."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = 'mitogen_profile'
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._began: dict[str, float] = {}
        self._costs: list[TaskCost] = []
        hook = Labels()
        reason = hook.unfit_reason()
        if reason:
            self._display.warning('mitogen does not know this version of ansible-core (%s); %s' % (reason, hook.loss))
        else:
            hook.install(0)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Take the time."""
        self._began[label(task._uuid, host.get_name())] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Take what the task cost."""
        self._ended('ok', result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Take what the task cost."""
        self._ended('failed', result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Take what the task cost."""
        self._ended('skipped', result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Take what the task cost."""
        self._ended('unreachable', result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Show the table."""
        self._display.banner('MITOGEN PROFILE')
        for line in summary(self._costs, self.get_option('tasks')):
            self._display.display(line)
        path = self.get_option('json')
        if path:
            try:
                with open(path, 'w', encoding='utf-8') as file:
                    json.dump(as_json(self._costs), file, indent=1)
            except OSError as exc:
                self._display.warning('the profile cannot be written to %s: %s' % (path, exc.strerror))

    def _ended(self, status: str, result: Any) -> None:
        # Names of ansible-core 2.19 and later, and of earlier versions.
        task, host = (getattr(result, name, None) or getattr(result, '_' + name) for name in ('task', 'host'))
        name = label(task._uuid, host.get_name())
        now = time.monotonic()
        seconds = now - self._began.pop(name, now)
        self._costs.append(task_cost(task.get_name(), host.get_name(), status, seconds, _usage_of(name)))


def _usage_of(name: str) -> dict[str, float]:
    try:
        client = link.running_client()
        return client.usage_of(name) if client is not None else Usages().take(name)
    except MuxError:
        # It is gone, and so are its numbers.
        return Usages().take(name)
