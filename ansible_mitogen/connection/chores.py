"""What Ansible does to prepare a job, answered at once and done together with the job."""

import functools
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from ansible import constants as C
from ansible.module_utils.common.text.converters import to_bytes

from ansible_mitogen.connection import housekeeping
from ansible_mitogen.connection.contexts import Contexts
from ansible_mitogen.connection.housekeeping import Chore
from ansible_mitogen.connection.outcome import Result, UseStock
from ansible_mitogen.connection.staging import Staging
from ansible_mitogen.mux.api import ContextInfo, StageFailed, Step
from ansible_mitogen.mux.client import MuxClient
from ansible_mitogen.mux.protocol import INLINE


class Chores(Contexts):
    """Answers chores, and has them done in a context of the host: a mixin."""

    #: Whether what Ansible does to prepare a job may wait for it. Files must be able to wait too, then.
    _stages_chores = False

    def deferring(self, replay: Callable[[], object], hand_over: bool = False) -> AbstractContextManager[object]:
        """Return a context manager; as long as it lasts, chores are answered at once and done with the next job.

        They are not where that is not possible, or the user wants to see each step.

        :param replay: does the same again, outside of such a context, if one of them fails.
        :param hand_over: a folder that is made is removed by what runs in it, maybe after the end of this run.
        """
        if not self._stages_chores or self._reason_for_stock() or self._wants_no_pipelining() or \
                C.DEFAULT_KEEP_REMOTE_FILES:
            return nullcontext()
        return self._staging.deferring(replay, hand_over)

    # What a transport adds.

    def _wants_no_pipelining(self) -> bool:
        """Whether the user asked for something that excludes pipelining."""
        return False

    # The rest is common.

    @functools.cached_property
    def _staging(self) -> Staging:
        return Staging()

    def _with_staging(self, serve: Callable[[], Result]) -> Result:
        """Call `serve`, which does all that waits; if that fails, have it done one by one, and call again."""
        try:
            return serve()
        except StageFailed as exc:
            self._note('a step before it failed, and is done by a command: %s', exc)
            self._staging.replay(exc.step)
            return serve()

    def _answer_chore(self, cmd: str) -> Result | None:
        """Answer what Ansible does for its temporary files, if it can be done without a command on the host."""
        if not self._stages_chores:
            return None
        account = housekeeping.home_wanted(cmd)
        if account is not None:
            return 0, self._home_of(account).encode('utf-8', 'surrogateescape') + b'\n', b''
        chore = housekeeping.recognise(cmd)
        if chore is None:
            return None
        if self._staging.removes(chore):
            if self._staging.forget_folder():
                self._remove_later(chore)
            return 0, b'', b''
        return (0, chore.output, b'') if self._staging.accepts(chore) else None

    def _home_of(self, account: str) -> str:
        def ask(client: MuxClient, context: ContextInfo) -> Result:
            home, round_trips = client.home_of(context, account)
            self._note('~%s is %s, %d round trips', account, home, round_trips)
            return 0, home.encode('utf-8', 'surrogateescape'), b''
        self._check_host()
        self._begin()
        return bytes(self._attempt(lambda: self._with_context(ask))[1]).decode('utf-8', 'surrogateescape')

    def _remove_later(self, chore: Chore) -> None:
        self._stage([chore.step], wait=False)

    def _stage(self, steps: Sequence[Step], wait: bool = True) -> None:
        """Have steps done in the account that is logged in.

        :raises StageFailed: one of them failed.
        """
        def stage(client: MuxClient, context: ContextInfo) -> Result:
            client.stage(context, steps, wait)
            return 0, b'', b''
        self._begin()
        self._attempt(lambda: self._with_context(stage))

    def _flush(self) -> None:
        """Have what waits done now."""
        if self._staging.steps:
            def flush() -> Result:
                self._stage(self._staging.steps)
                self._staging.done()
                return 0, b'', b''
            try:
                self._with_staging(flush)
            except UseStock:
                self._staging.replay()

    def _file_waits(self, in_path: str, out_path: str, put: Callable[[str, str], object]) -> bool:
        """Let a file go along with the next job, if it is small and for the temporary folder of the task.

        :param put: how it is copied otherwise.
        """
        if not self._staging.holds(out_path):
            self._flush()
            return False
        b_in_path = to_bytes(in_path, errors='surrogate_or_strict')
        status = os.stat(b_in_path)
        # What is no plain file may be read once only.
        if not stat.S_ISREG(status.st_mode) or status.st_size >= INLINE or not self._staging.has_room(status.st_size):
            self._flush()
            return False
        with open(b_in_path, 'rb') as source:
            content = source.read(INLINE)
        mode = stat.S_IMODE(status.st_mode) & 0o777

        def replay() -> None:
            # The file may be gone by now.
            with tempfile.NamedTemporaryFile(dir=C.DEFAULT_LOCAL_TMP) as copy:
                copy.write(content)
                copy.flush()
                os.chmod(copy.name, mode)
                put(copy.name, out_path)
        self._staging.add_file(out_path, mode, content, replay)
        return True
