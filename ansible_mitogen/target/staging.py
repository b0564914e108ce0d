"""What a task needs on the target before its command or module runs: a folder, files in it, their permissions.

Done by the login account's context, in the order asked for, and only when all of it is done the message that starts the
job is passed on. So it costs no round trip of its own.
"""

import errno
import os
import pwd
import shutil
import stat
import subprocess
from typing import Any, Callable, Dict, List, Set

from ansible_mitogen.target import files
from mitogen.core.frames import DATA, Frame

#: What decides where home folders are.
ACCOUNTS = '/etc/passwd'

#: Folders made here that nobody has removed yet.
_folders: Set[str] = set()


def make_folder(parent: str, path: str, is_handed_over: bool) -> None:
    """Make a private folder, and those above it that are missing.

    :param is_handed_over: whoever runs in it removes it, maybe after this context has ended.
    """
    if path in _folders:
        # The job after it could not be started, and is tried in another way.
        return
    _make_parents(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        # Likewise, in a context that has been closed since, or for someone who was to remove it.
        if not _is_ours_alone(path):
            raise
    if not is_handed_over:
        _folders.add(path)


def _is_ours_alone(path: str) -> bool:
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _make_parents(path: str) -> None:
    if not os.path.isdir(path):
        _make_parents(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            # Another task of the host has made it meanwhile; if it is no folder, the next step says so.
            return


def put_file(path: str, mode: int, content: bytes) -> None:
    """Write a file whole."""
    files.write_whole(path, mode, content)


def make_usable(paths: List[str], permissions: str = 'rwx') -> None:
    """Give permissions to the owner of files, like ``chmod u+rwx``.

    :param permissions: ``rwx``, or ``x`` alone.
    """
    bits = stat.S_IRWXU if permissions == 'rwx' else stat.S_IXUSR
    for path in paths:
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | bits)


def share(account: str, permissions: str, paths: List[str]) -> None:
    """Give another account access to files, as Ansible does: by ``setfacl``, else by making them that account's own.

    :param permissions: like ``r-x``.
    :raises OSError: neither can be done.
    """
    if _succeeds(['setfacl', '-m', 'u:%s:%s' % (account, permissions), *paths]):
        return
    if 'x' in permissions:
        make_usable(paths)
    try:
        uid = pwd.getpwnam(account).pw_uid
    except KeyError:
        raise OSError(errno.EINVAL, 'there is no account ' + account) from None
    for path in paths:
        os.chown(path, uid, -1)


def _succeeds(words: List[str]) -> bool:
    try:
        return not subprocess.call(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
    except OSError:
        return False


def remove_folder(path: str) -> None:
    """Remove a folder and all that is in it. One that is gone is no error."""
    _folders.discard(path)
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return


def must_exist(path: str, follow: bool) -> None:
    """Go on if there may be something at a path.

    :param follow: a symbolic link counts as what it points to.
    :raises FileNotFoundError: there is nothing. Of all else that goes wrong the job has to tell.
    """
    try:
        os.stat(path) if follow else os.lstat(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        return


_STEPS: Dict[str, Callable[..., None]] = {
    func.__name__: func for func in (make_folder, put_file, make_usable, share, remove_folder, must_exist)}


def perform(steps: List[List[Any]], then: List[Any], econtext: Any) -> List[Any]:
    """Do steps in order, and pass a message on.

    :param steps: each a list of the name of one of the functions above and its arguments.
    :param then: context ID, mailbox, mailbox for the answer and payload of a message that is sent in the name of the
        root when all steps are done; [] for none.
    :returns: [], or the number of the step that failed, error number and message. Later ones are not begun then.
    """
    if _remove_folders not in econtext.at_end:
        econtext.at_end.append(_remove_folders)
    for number, (name, *args) in enumerate(steps):
        try:
            _STEPS[name](*args)
        except OSError as exc:
            return [number, exc.errno or 0, exc.strerror or str(exc)]
    if then:
        context_id, handle, reply_to, payload = then
        econtext.router.route(Frame(context_id, 0, 0, handle, reply_to, DATA, payload))
    return []


perform.takes_econtext = True  # type: ignore[attr-defined]


def perform_unobserved(steps: List[List[Any]], econtext: Any) -> None:
    """Do steps for someone who does not wait.

    :raises OSError: one failed; that is in the log, then.
    """
    failure = perform(steps, [], econtext)
    if failure:
        raise OSError(failure[1], failure[2])


perform_unobserved.takes_econtext = True  # type: ignore[attr-defined]


def _remove_folders() -> None:
    """Leave none behind, when the context ends before those who asked for them have."""
    for path in list(_folders):
        shutil.rmtree(path, ignore_errors=True)


def home_of(name: str) -> List[Any]:
    """Return what a shell makes of ``~name``, and what tells whether that may have changed.

    :param name: an account; '' for this one.
    """
    home = os.environ.get('HOME', '') if not name else ''
    if not home:
        try:
            home = (pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())).pw_dir
        except KeyError:
            home = ''
    return [home or '~' + name, os.stat(ACCOUNTS).st_mtime_ns if os.path.exists(ACCOUNTS) else 0]
