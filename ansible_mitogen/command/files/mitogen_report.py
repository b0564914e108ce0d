# Loaded by Ansible, when ansible-mitogen runs a playbook.
from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: mitogen_report
    type: notification
    short_description: Results as lines of JSON, for ansible-mitogen
    description:
        - Writes host, task, status and message of each result to the file that ansible-mitogen names.
    author: the authors of this project
"""


def _described(python: dict[str, Any]) -> str:
    version = '.'.join(str(python['version'][part]) for part in ('major', 'minor', 'micro'))
    return 'Python %s at %s' % (version, python['executable'])


class CallbackModule(CallbackBase):
    """One line for each result, one for the recap."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'mitogen_report'

    def _write(self, **entry: Any) -> None:
        with open(os.environ['ANSIBLE_MITOGEN_REPORT'], 'a', encoding='utf-8') as report:
            report.write(json.dumps(entry) + '\n')

    def _result(self, status: str, result: Any) -> None:
        # Names changed in ansible-core 2.21.
        host = getattr(result, 'host', None) or result._host
        task = getattr(result, 'task', None) or result._task
        content = result.result if hasattr(result, 'result') else result._result
        texts = [str(content[key]) for key in ('msg', 'module_stderr', 'stderr', 'module_stdout') if content.get(key)]
        python = (content.get('ansible_facts') or {}).get('ansible_python')
        # With no_log, Ansible has taken everything out of the result.
        self._write(host=host.get_name(), task=task.name or task.action, changed=bool(content.get('changed')),
                    status=status, message='\n'.join(texts), stdout=str(content.get('stdout', '')),
                    python=_described(python) if python else '')

    def v2_runner_on_ok(self, result: Any) -> None:
        self._result('ok', result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._result('failed', result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._result('skipped', result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._result('unreachable', result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write(stats={host: stats.summarize(host) for host in stats.processed})
