"""Running a new-style module in a process of its own, as AnsiballZ's wrapper would.

Imported by a zygote from the members of a job; see :mod:`mitogen.zygote`.
"""

import os
import runpy
import stat
import sys
from typing import Any, Dict, Mapping, Sequence, Tuple

from ansible_mitogen.target.mends import apply

#: Third-party packages that `basic` uses if they are there: small, without side effects, and imported by every
#: module. A zygote may import them, as long as it checks that they are still the same.
TOLERATED = ('distro', 'selinux', 'systemd', 'typing_extensions')

#: Members of the job that are not the module's.
_NOT_PAYLOAD = ('mitogen/', 'ansible_mitogen/')

#: First line of the output when :func:`run_either` has run the other module.
OTHER_RAN = b'MITOGEN-OTHER\n'

_RESPAWN = 'ansible.module_utils.common.respawn'


class ModlibPath(str):
    """The path of the module's zip, which is written when someone asks to see the path.

    Handing the path on (`sys.path`, `_modlib_path`) does not write it. Whoever
    wants other processes to use it, as `respawn` does, makes text of it.
    """

    date_time: Tuple[int, ...]
    members: Mapping[str, bytes]

    def _written(self) -> str:
        path = str.__str__(self)
        if not os.path.exists(path):
            import zipfile
            folder = os.path.dirname(path)
            if not os.path.isdir(folder):
                os.mkdir(folder, 0o700)
            contents = {name: source for name, source in self.members.items() if not name.startswith(_NOT_PAYLOAD)}
            # An installed ansible that a .pth file puts first must not win over the zip.
            contents['sitecustomize.py'] = ('import sys\nsys.path.insert(0, "%s")\n' % path).encode()
            with zipfile.ZipFile(path + '.part', 'w') as archive:
                for name, source in contents.items():
                    archive.writestr(zipfile.ZipInfo(name, self.date_time), source)  # type: ignore[arg-type]
            os.rename(path + '.part', path)
        return path

    def __str__(self) -> str:
        return self._written()

    def __repr__(self) -> str:
        return repr(self._written())

    def __format__(self, spec: str) -> str:
        return format(self._written(), spec)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return str, (self._written(),)

    def encode(self, encoding: str = 'utf-8', errors: str = 'strict') -> bytes:
        return self._written().encode(encoding, errors)


def run_module(module_fqn: str, params: str, profile: str, style: str, rlimit_nofile: int,
               date_time: Sequence[int], extensions: Dict[str, Dict[str, Any]], mends: Sequence[str]) -> None:
    """Run a module as ``__main__``; it ends by SystemExit.

    :param module_fqn: its full name among the members.
    :param params: its arguments, as JSON.
    :param profile: name of the serialization profile of arguments and result.
    :param style: how ansible-core starts modules: 'loader' (2.19 and later) or 'runpy' (before).
    :param rlimit_nofile: soft limit of open files; 0 leaves it alone.
    :param date_time: time stamp of files in the module's zip.
    :param extensions: ansible-core's debugging aids, with their arguments.
    :param mends: what of ansible-core to mend, see :mod:`ansible_mitogen.target.mends`.
    """
    _enter_accessible_folder()
    if rlimit_nofile:
        _limit_files(rlimit_nofile)
    modlib = _make_modlib_path(module_fqn, date_time)
    sys.path.insert(0, modlib)
    apply(mends)
    if style == 'loader':
        from ansible.module_utils._internal._ansiballz import _loader
        _loader.run_module(json_params=params.encode(), profile=profile, module_fqn=module_fqn,
                           modlib_path=modlib, extensions=extensions)
    else:
        from ansible.module_utils import basic
        basic._ANSIBLE_ARGS = params.encode()
        runpy.run_module(module_fqn, {'_module_fqn': module_fqn, '_modlib_path': modlib}, '__main__', True)
        print('{"msg": "New-style module did not handle its own exit", "failed": true}')
        sys.exit(1)


def run_either(usual: Dict[str, Any], other: Dict[str, Any], unchanged: Dict[str, Any]) -> None:
    """Run one module, or another one if a file is what it should be; which, the first line of the output says.

    :param usual: arguments of :func:`run_module`.
    :param other: the same, of the module to run if the file is as described.
    :param unchanged: arguments of :func:`is_unchanged`.
    """
    try:
        unchanged_file = is_unchanged(**unchanged)
    except (OSError, ValueError):
        # The usual module looks at it too, and says what is wrong.
        unchanged_file = False
    if unchanged_file:
        os.write(1, OTHER_RAN)
    run_module(**(other if unchanged_file else usual))


def is_unchanged(path: str, follow: bool, size: int, sha1: str) -> bool:
    """Whether a path leads to a plain file with known content.

    :param follow: a symbolic link counts as what it points to.
    :raises OSError: it is not there, or cannot be read.
    :raises ValueError: SHA-1 may not be used here.
    """
    path = os.path.expandvars(os.path.expanduser(path))
    found = os.stat(path) if follow else os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        return False
    import hashlib
    digest = hashlib.sha1()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 16), b''):
            digest.update(block)
    return digest.hexdigest() == sha1


def _enter_accessible_folder() -> None:
    try:
        os.getcwd()
    except OSError:
        try:
            os.chdir(os.path.expanduser('~'))
        except OSError:
            os.chdir('/')


def _limit_files(wanted: int) -> None:
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if min(hard, wanted) != soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted), hard))
        except ValueError:
            pass  # macOS allows less than the hard limit that it names


def _make_modlib_path(module_fqn: str, date_time: Sequence[int]) -> ModlibPath:
    from mitogen.zygote import interpreter
    assert interpreter.finder is not None
    modlib = ModlibPath('%s/ansible_%s_payload.zip' % (interpreter.scratch, module_fqn.rpartition('.')[2]))
    modlib.date_time, modlib.members = tuple(date_time), interpreter.finder.members
    if interpreter.finder.path_of(_RESPAWN):
        # It works out the zip's path from its own, which is the same for all jobs of the zygote.
        try:
            __import__(_RESPAWN)
        except Exception:
            return modlib  # the module that wants it will say why
        respawn = sys.modules[_RESPAWN]
        if hasattr(respawn, '_ANSIBLE_PARENT_PATH'):
            respawn._ANSIBLE_PARENT_PATH = modlib  # type: ignore[attr-defined]
    return modlib
