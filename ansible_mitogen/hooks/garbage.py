"""Python looks for garbage only where a run leaves some, and not when it ends."""

import atexit
import gc
import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from inspect import GEN_CLOSED, GEN_CREATED, getgeneratorstate
from itertools import compress
from multiprocessing.connection import Connection
from pathlib import PurePath
from types import GeneratorType, ModuleType
from typing import Any

from ansible_mitogen.hooks.base import Hook

#: How the files of extension modules end.
_EXTENSIONS = tuple(EXTENSION_SUFFIXES)

#: Extension modules of Python whose objects write to files when they are freed.
_WRITING = frozenset(['_dbm', '_gdbm', '_sqlite3'])

#: Packages with extension modules that ansible-core itself brings or asks for, whose objects are but memory.
_KNOWN_PACKAGES = frozenset(['_cffi_backend', '_yaml', 'bcrypt', 'cryptography', 'markupsafe', 'yaml'])


class Garbage(Hook):
    """Has Python look for garbage only among what the run makes, and not at its end, unless it would do something.

    Python searches all objects as often as their number has grown by a quarter, and four times before its process ends.
    Here there are more of them than under stock Ansible, whose workers take theirs with them; most are there from the
    start, and stay.
    """

    name = 'garbage'
    loss = 'a run takes one or two tenths of a second longer to end'

    def unfit_reason(self) -> str:
        """It replaces nothing and always fits."""
        return ''

    def install(self, forks: int) -> None:
        """Exempt what is there, and the rest when the process ends; not in a program that does other things, too."""
        if is_command_of_ansible(sys.argv[0]):
            gc.freeze()
            atexit.register(_leave_garbage, os.getpid())


def is_command_of_ansible(program: str) -> bool:
    """Whether a program is one of those that ansible-core brings, and so ends with its run.

    :param program: its path, or that of the package which it is a part of, in ``__main__.py``.
    """
    path = PurePath(program)
    return (path.parent if path.name == '__main__.py' else path).name.startswith('ansible')


def _leave_garbage(pid: int) -> None:
    """Exempt all objects from garbage collection, if nobody will miss it. They are still freed one by one."""
    if os.getpid() == pid:
        gc.unfreeze()
        try:
            reason = reason_to_collect(gc.get_objects(), dict(sys.modules))
        except Exception:
            return  # of another's class or module, which does not let itself be looked at
        if not reason:
            gc.freeze()


def reason_to_collect(objects: Collection[object], modules: Mapping[str, ModuleType]) -> str:
    """Return why something would be missed if objects were not freed before the process ends, '' if nothing would.

    What is not known is taken to be missed: a file that has not written all it was given, a class with a finalizer,
    a generator that is in the middle of something, objects of unknown extension modules.

    :param objects: those that the garbage collector knows.
    :param modules: those that are loaded, by name.
    """
    for name, module in modules.items():
        if _is_extension(module) and not _is_known_extension(name):
            return 'the extension module %s' % name
    # Of classes in C as well, if their objects are to do something before they are freed.
    kinds = list(map(type, objects))
    finalized = [kind for kind in set(kinds) if hasattr(kind, '__del__')]
    checks = {kind: _HARMLESS.get(_name_of(kind), _never) for kind in finalized}
    # There are hundreds of thousands: no statement of Python for each.
    for each in compress(objects, map(checks.__contains__, kinds)):
        kind = type(each)
        if not checks[kind](each):
            return 'an object of %s' % _name_of(kind)
    return ''


def _name_of(kind: type) -> str:
    return '%s.%s' % (kind.__module__, kind.__qualname__)


def _is_extension(module: ModuleType) -> bool:
    return (getattr(module, '__file__', None) or '').endswith(_EXTENSIONS)


def _is_known_extension(name: str) -> bool:
    package = name.partition('.')[0]
    return package in _KNOWN_PACKAGES or package in sys.stdlib_module_names and package not in _WRITING


def _always(_: object) -> bool:
    return True


def _never(_: object) -> bool:
    return False


def _has_written_all(file: Any) -> bool:
    """Whether a binary file with a buffer has nothing left to write."""
    try:
        return file.closed or file in _standard_buffers() or file.tell() == file.raw.tell()
    except (OSError, ValueError):
        return False


def _is_closed_or_standard(file: Any) -> bool:
    """Whether a text file has nothing left to write; Python itself flushes the standard streams."""
    return file.closed or file in _standard_streams()


def _standard_streams() -> list[Any]:
    return [sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__]


def _standard_buffers() -> list[Any]:
    return [getattr(stream, 'buffer', None) for stream in _standard_streams()]


def _is_at_rest(generator: Any) -> bool:
    """Whether a generator has ended, or has not begun."""
    return getgeneratorstate(generator) in (GEN_CREATED, GEN_CLOSED)


def _has_no_file(template: Any) -> bool:
    """Whether a template of ansible-core's has no copy of its code in a file, which it would remove."""
    return not getattr(template, '_python_source_temp_path', template)


#: Whether an object with a finalizer can do without, by the name of its class.
_HARMLESS: dict[str, Callable[[Any], bool]] = {
    **{_name_of(kind): is_harmless for kind, is_harmless in (
        # Without a buffer, or to read from: the kernel closes it.
        (io.FileIO, _always), (io.BufferedReader, _always), (io.BytesIO, _always), (io.StringIO, _always),
        (socket.socket, _always), (Connection, _always),
        # Only warns that the process still runs.
        (subprocess.Popen, _always),
        (io.BufferedWriter, _has_written_all), (io.BufferedRandom, _has_written_all),
        (io.TextIOWrapper, _is_closed_or_standard),
        (GeneratorType, _is_at_rest),
    )},
    'ansible._internal._templating._jinja_bits.AnsibleTemplate': _has_no_file,
}
