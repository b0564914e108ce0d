"""Files of the login account, copied over the connection that is there."""

import os
import stat
from collections.abc import Callable

from ansible.errors import AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.utils.display import Display

from ansible_mitogen.connection.outcome import Result, UseStock
from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.mux.api import ContextInfo, TransferFailed
from ansible_mitogen.mux.client import MuxClient

display = Display()


class TransferringConnection(PersistentConnection):
    """Serves `put_file` and `fetch_file` in the context of the login account."""

    _stages_chores = True

    def put_file(self, in_path: str, out_path: str) -> Result:
        """Copy a local file to the host."""
        try:
            self._prepare_transfer()
            display.vvv('PUT %s TO %s' % (in_path, out_path), host=self._host_name())
            b_in_path = to_bytes(in_path, errors='surrogate_or_strict')
            if not os.path.exists(b_in_path):
                raise AnsibleFileNotFound('file or module does not exist: %s' % to_native(in_path))
            self._note_file(in_path, out_path)
            if self._waits(in_path, out_path):
                return 0, b'', b''
            mode = stat.S_IMODE(os.stat(b_in_path).st_mode) & 0o777
            return self._transfer(in_path, out_path, lambda client, context: client.put_file(
                context, in_path, self._path_there(out_path), mode))
        except UseStock as exc:
            self._note_stock(exc)
        self._staging.replay()
        return self._stock(False, super().put_file, in_path, out_path)

    def fetch_file(self, in_path: str, out_path: str) -> Result:
        """Copy a file of the host to a local one."""
        try:
            self._prepare_transfer()
            display.vvv('FETCH %s TO %s' % (in_path, out_path), host=self._host_name())
            self._flush()
            return self._transfer(in_path, out_path, lambda client, context: client.fetch_file(
                context, self._path_there(in_path), out_path))
        except UseStock as exc:
            self._note_stock(exc)
        return self._stock(False, super().fetch_file, in_path, out_path)

    def _waits(self, in_path: str, out_path: str) -> bool:
        try:
            return self._file_waits(in_path, out_path, self.put_file)
        except OSError as exc:
            raise _failure(in_path, out_path, exc) from exc

    def _path_there(self, path: str) -> str:
        """Return what the stock class makes of a path on the host; a relative one is found from the home folder."""
        return path

    def _prepare_transfer(self) -> None:
        self._check_host()
        self._begin()

    def _transfer(self, in_path: str, out_path: str, copy: Callable[[MuxClient, ContextInfo], None]) -> Result:
        def serve() -> Result:
            self._with_context(copy)
            return 0, b'', b''

        try:
            result: Result = self._attempt(serve)
            return result
        except (TransferFailed, OSError) as exc:
            raise _failure(in_path, out_path, exc) from exc


def _failure(in_path: str, out_path: str, exc: Exception) -> AnsibleError:
    return AnsibleError('failed to transfer file to %s %s:\n\n%s' % (to_native(in_path), to_native(out_path), exc))
