"""What a run leaves on the machine: processes on the target's side, files and sockets on both."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tests.harness.accounts import Accounts
from tests.harness.project import GRACE, Project
from tests.harness.sshd import Sshd

#: Folders that all programs of a machine share. Only what belongs to an account of the tests counts there: an sshd of
#: the tests has a /tmp of its own, where everything counts, on machines that allow it.
SHARED = (Path('/tmp'), Path('/var/tmp'), Path('/dev/shm'), Path('/run'))


def files_below(folder: Path) -> set[str]:
    """Paths of everything below a folder."""
    return {os.path.join(base, name) for base, folders, files in os.walk(folder) for name in (*folders, *files)}


class Leftovers:
    """Remembers how both sides look, to tell later what has been added.

    :param folders: more folders that runs must leave as they were.
    """

    def __init__(
        self, project: Project, sshds: Iterable[Sshd], accounts: Accounts, folders: Iterable[Path] = ()
    ) -> None:
        self._sshds = list(sshds)
        self._uids = {account.uid for account in accounts}
        private = [folder for sshd in self._sshds for folder in sshd.private.values()]
        homes = [account.home for account in accounts]
        self._deep = [project.temp, project.home / '.ansible', *homes, *private, *folders]
        self._before = self._files()
        self._running = {process.pid for sshd in self._sshds for process in sshd.sessions()}

    def _files(self) -> set[str]:
        found: set[str] = set()
        for folder in self._deep:
            found |= files_below(folder)
        for folder in SHARED:
            found |= {entry.path for entry in os.scandir(folder) if self._is_of_an_account(entry)}
        return {path for path in found if not _is_ansible_folder(Path(path))}

    def _is_of_an_account(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.stat(follow_symlinks=False).st_uid in self._uids
        except OSError:
            return False

    def processes(self) -> list[str]:
        """What runs on the target's side, and did not before."""
        sessions = [process for sshd in self._sshds for process in sshd.sessions()]
        return [f'{process.pid} {process.command}' for process in sessions if process.pid not in self._running]

    def files(self) -> set[str]:
        """Paths that are new, in the temporary folders and the homes of both sides."""
        return self._files() - self._before

    def assert_none(self) -> None:
        """Fail, with a list, when anything is still there after the grace.

        Call it when the run has ended. Files that come later are not from it, but from other tests.
        """
        deadline = time.monotonic() + GRACE
        processes, files = self.processes(), self.files()
        while (processes or files) and time.monotonic() < deadline:
            time.sleep(0.05)
            processes, files = self.processes(), files & self.files()
        assert not processes, '\n'.join(processes)
        assert not files, '\n'.join(sorted(files))


def _is_ansible_folder(path: Path) -> bool:
    """Whether it is a folder that ansible-core makes for itself, and keeps (the last ones, when it is killed)."""
    if path.name in ('.ansible', '.ansible_async'):
        return True
    if '.ansible' in path.parent.name and path.name in ('tmp', 'cp'):
        return True
    return any(part.startswith(('ansible-local-', 'pymp-')) for part in path.parts)
