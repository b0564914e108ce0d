"""Write every result that a callback sees to the file named by $MITOGEN_TEST_RECORD, one JSON object a line."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record
type: notification
short_description: results as lines of JSON
description: Writes each result as a line of JSON, for the tests.
"""


def as_plain(value):
    """A copy of `value` of nothing but JSON's types (results hold tagged and lazy ones)."""
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    return repr(value)


class CallbackModule(CallbackBase):
    """One line for each result, one for the statistics at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'record'

    def _write(self, line):
        with open(os.environ['MITOGEN_TEST_RECORD'], 'a', encoding='utf-8') as record:
            record.write(json.dumps(line) + '\n')

    def _record(self, status, result):
        task, host = (getattr(result, name, None) or getattr(result, '_' + name) for name in ('task', 'host'))
        content = result.result if hasattr(result, 'result') else result._result
        self._write(
            {
                'host': host.get_name(),
                'task': task.name or task.action,
                'action': task.action,
                'status': status,
                'result': as_plain(content),
                'time': time.time(),
            }
        )

    def v2_runner_on_ok(self, result):
        self._record('ok', result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._record('failed', result)

    def v2_runner_on_skipped(self, result):
        self._record('skipped', result)

    def v2_runner_on_unreachable(self, result):
        self._record('unreachable', result)

    def v2_playbook_on_stats(self, stats):
        self._write({'stats': {host: stats.summarize(host) for host in stats.processed}})
