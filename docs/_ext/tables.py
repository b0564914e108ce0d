"""Directives for tables that are made from the code: ``cores-table``, ``hooks-table`` and others."""

import json
from pathlib import Path
from typing import Any

import measurements
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from rows import (
    CORE_COLUMNS,
    HOOK_COLUMNS,
    MAILBOX_COLUMNS,
    ROUND_TRIP_COLUMNS,
    core_rows,
    hook_rows,
    list_table,
    mailbox_rows,
    round_trip_rows,
)


class _Table(Directive):
    """Parses the lines of a table."""

    def lines(self) -> list[str]:
        """Return them."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        parent = nodes.Element()
        self.state.nested_parse(StringList(self.lines(), source=self.name), self.content_offset, parent)
        return parent.children


class CoresTable(_Table):
    """The versions of ansible-core that the tests run with."""

    def lines(self) -> list[str]:
        from ansible_mitogen.versions import TESTED
        return list_table(CORE_COLUMNS, core_rows(TESTED))


class HooksTable(_Table):
    """The places at which the project steps into Ansible."""

    def lines(self) -> list[str]:
        from ansible_mitogen.hooks import HOOKS
        return list_table(HOOK_COLUMNS, hook_rows(HOOKS))


class MailboxTable(_Table):
    """The numbered mailboxes of every context."""

    def lines(self) -> list[str]:
        from mitogen.core import handles
        return list_table(MAILBOX_COLUMNS, mailbox_rows(handles))


class MeasurementsTable(_Table):
    """What a run of the benchmark wrote into a file of `measurements`."""

    required_arguments = 1

    def lines(self) -> list[str]:
        path = Path(__file__).parents[1] / 'measurements' / self.arguments[0]
        self.state.document.settings.record_dependencies.add(str(path))
        results = json.loads(path.read_text())
        engines = '; '.join('%s: %s' % item for item in results['engines'].items())
        link = ' A link with %g ms of round trip.' % results['rtt_ms'] if results['rtt_ms'] else ''
        return ['%s.%s' % (engines, link), '', *list_table(measurements.COLUMNS, measurements.rows(results))]


class RoundTripsTable(_Table):
    """How often tasks wait for their host, as the tests check it."""

    def lines(self) -> list[str]:
        from tests.harness.round_trips import BUDGETS
        return list_table(ROUND_TRIP_COLUMNS, round_trip_rows(BUDGETS))


def setup(app: Any) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive('cores-table', CoresTable)
    app.add_directive('hooks-table', HooksTable)
    app.add_directive('mailbox-table', MailboxTable)
    app.add_directive('measurements-table', MeasurementsTable)
    app.add_directive('round-trips-table', RoundTripsTable)
    return {'parallel_read_safe': True}
