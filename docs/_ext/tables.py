"""Directives for tables that are made from the code: ``cores-table``, ``hooks-table`` and others."""

from typing import Any

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
    app.add_directive('round-trips-table', RoundTripsTable)
    return {'parallel_read_safe': True}
