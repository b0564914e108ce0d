"""What is done on a target before a job starts, in the same message; and what is asked of it for that.

The far side is :mod:`ansible_mitogen.target.staging`. All of it happens in the broker's thread.
"""

from collections.abc import Callable
from typing import Any

from ansible_mitogen.mux import protocol
from ansible_mitogen.mux.hops import Entry
from ansible_mitogen.mux.remote import call_then
from ansible_mitogen.mux.usage import NOBODY, Usage
from mitogen.core import handles
from mitogen.core.errors import CallError, ChannelError, Error

#: What the far side needs.
MODULES = ('ansible_mitogen', 'ansible_mitogen.target', 'ansible_mitogen.target.files',
           'ansible_mitogen.target.staging')

#: Called with None, or with the fields of FAILED.
Done = Callable[[dict[str, Any] | None], None]


class Before:
    """Steps in a context, and a message that it then passes on.

    :param entry: the context that does them; None if there are no steps.
    """

    def __init__(self, entry: Entry | None, steps: list[Any]) -> None:
        self.steps = steps
        self._entry = entry

    def perform(self, then: list[Any], done: Done, usage: Usage = NOBODY) -> None:
        """Send them.

        :param usage: whose round trip it is, if the end of the steps is waited for.
        :param then: see :func:`ansible_mitogen.target.staging.perform`.
        :raises mitogen.core.errors.Error: they may not cross the wire.
        """
        entry = self._entry
        assert entry is not None
        call(entry, 'perform', [self.steps, then], lambda answer: done(_failure(entry, answer)), usage)


NOTHING = Before(None, [])


def perform_unobserved(entry: Entry, steps: list[Any]) -> None:
    """Have steps done without an answer; what goes wrong is in the log.

    :raises mitogen.core.errors.Error: they may not cross the wire.
    """
    entry.context.router.preload(entry.context, MODULES)
    entry.context.send(handles.CALL_FUNCTION, [MODULES[-1], 'perform_unobserved', [steps], {}])


def call(entry: Entry, function: str, args: list[Any], then: Callable[[Any], None],
         usage: Usage = NOBODY) -> None:
    """Call a function of the far side, and ``then(its answer)``, or ``then(fields of FAILED)`` if there is none."""
    def answered(message: Any) -> None:
        entry.release()
        try:
            answer = message.decode()
            if not isinstance(answer, list):
                raise TypeError('an answer that is no list')
        except ChannelError as exc:
            answer = protocol.context_lost(str(exc), started=True)
        except CallError as exc:
            answer = protocol.job_failed('%s: %s' % (exc.type_name, exc.message))
        except (Error, TypeError):
            answer = _offence(entry)
        then(answer)

    entry.context.router.preload(entry.context, MODULES)
    call_then(entry.context, MODULES[-1], function, args, answered, usage)
    entry.take()


def home_of(entry: Entry, name: str, then: Callable[[str, int], None], failed: Callable[[dict[str, Any]], None],
            usage: Usage) -> None:
    """Ask for the home folder of an account.

    :param then: called with the path, and with what tells one state of the accounts from another.
    :param failed: called with the fields of FAILED.
    """
    def answered(answer: Any) -> None:
        if isinstance(answer, dict):
            failed(answer)
        elif [type(field) for field in answer] != [str, int]:
            failed(_offence(entry))
        else:
            then(*answer)
    call(entry, 'home_of', [name], answered, usage)


def _failure(entry: Entry, answer: Any) -> dict[str, Any] | None:
    if isinstance(answer, dict) or not answer:
        return answer or None
    if [type(field) for field in answer] != [int, int, str] or not 0 <= answer[0] < 1 << 16:
        return _offence(entry)
    step, errno, message = answer
    return protocol.stage_failed(message, errno, step)


def _offence(entry: Entry) -> dict[str, Any]:
    offence = 'sent an answer that cannot be understood'
    entry.context.router.complain(entry.context.context_id, offence)
    return protocol.job_failed('%s %s' % (entry.context.name, offence))
