"""A forked process as a fresh interpreter: its state at the start, its clean-up at the end."""

import atexit
import importlib
import io
import json
import locale
import os
import signal
import sys
import threading
import time
import types
from collections import abc
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from mitogen.core.loaders import MemberFinder
from mitogen.zygote.preload import drop_modules
from mitogen.zygote.processes import Report, close_files

#: Where the job finds its members.
finder: Optional[MemberFinder] = None
#: A path of the job's own. Whatever it makes there is removed after its end.
scratch = ''
#: How files end that the kernel loads.
_LIBRARIES = tuple(EXTENSION_SUFFIXES)
#: What an interpreter that starts here sets LC_CTYPE to; '' if it leaves it alone.
_coerced = ''


def run_function(request: Dict[str, Any], path: str, report: Report, members: MemberFinder,
                 unfit: Iterable[str]) -> int:
    """Call a module job's function as an interpreter would run a script; return the exit code.

    :param path: the job's scratch path.
    :param report: where to say which modules it found in its members.
    :param members: the finder, which serves the job's members.
    :param unfit: names of imported modules that the job must import afresh.
    """
    global finder, scratch
    finder, scratch = members, path
    _refresh(request.get('env') or {})
    drop_modules(unfit)
    last = _last_module()
    name, _, function = request['entry'].partition(':')
    code, main = _call(lambda: getattr(importlib.import_module(name), function)(**request['args']))
    code = _finalize(main) or code
    found = json.dumps({'found': {name: name in sys.modules for name in members.found}}).encode()
    try:
        settled = _let_go(last)
    except Exception:
        settled = False  # the job may have changed anything in here
    report.write(found, code if settled else None)
    if settled:
        _close_range(0, 3)
    return code


def prepare() -> None:
    """Make the zygote's own state that of a fresh interpreter, where that costs less than to do so in each child."""
    global _coerced
    _coerced = _enter_locale()
    sys.argv = ['']
    sys.modules['__main__'] = types.ModuleType('__main__')
    null = [os.dup(fd) for fd in (0, 1, 2)]
    # The streams ask when they are made whether their files can be positioned: those of the jobs cannot.
    reader, writer = os.pipe()
    for fd, end in enumerate((reader, writer, writer)):
        os.dup2(end, fd)
    _make_streams()
    for fd, kept in enumerate(null):
        os.dup2(kept, fd)
    for fd in null + [reader, writer]:
        os.close(fd)
    _ask_abstract_classes()


def _ask_abstract_classes() -> None:
    """Have the usual questions answered, such as whether a list is a mapping: each answer is looked for once only."""
    for abstract in (abc.Collection, abc.Container, abc.Hashable, abc.Iterable, abc.Iterator, abc.Mapping,
                     abc.MutableMapping, abc.MutableSequence, abc.MutableSet, abc.Sequence, abc.Set, abc.Sized):
        for concrete in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple, type(None)):
            issubclass(concrete, abstract)


def _make_streams() -> None:
    plain = ('C', 'POSIX') if sys.version_info < (3, 7) else ('C', 'POSIX', 'C.UTF-8', 'C.utf8', 'UTF-8')
    errors = 'surrogateescape' if locale.setlocale(locale.LC_CTYPE) in plain else 'strict'
    for fd, name in enumerate(('stdin', 'stdout', 'stderr')):
        raw = io.FileIO(fd, 'w' if fd else 'r', closefd=False)
        raw.name = '<%s>' % name
        stream = io.TextIOWrapper((io.BufferedWriter if fd else io.BufferedReader)(raw),
                                  locale.getpreferredencoding(False), 'backslashreplace' if fd == 2 else errors,
                                  line_buffering=fd == 2)
        setattr(sys, name, stream)
        setattr(sys, '__%s__' % name, stream)


def _enter_locale() -> str:
    """Enter the locale that an interpreter would which starts now; return what it would set LC_CTYPE to, or ''.

    Without a locale it takes one for UTF-8 (PEP 538), or acts as if it had (PEP 540), for which no function can ask.
    """
    try:
        found = locale.setlocale(locale.LC_CTYPE, '')
    except locale.Error:
        found = 'C'
    if found != 'C' or sys.version_info < (3, 7):
        return ''
    for name in ('C.UTF-8', 'C.utf8', 'UTF-8'):
        try:
            locale.setlocale(locale.LC_CTYPE, name)
        except locale.Error:
            continue
        return '' if os.environ.get('LC_ALL') or os.environ.get('PYTHONCOERCECLOCALE') == '0' else name
    return ''


def _refresh(env: Dict[str, str]) -> None:
    """Undo what tells a fork from a fresh interpreter."""
    if 'TZ' in env:
        time.tzset()
    coerced = _coerced
    if any(key.startswith('LC_') or key == 'LANG' for key in env):
        coerced = _enter_locale()
        _make_streams()
    if coerced:
        os.environ['LC_CTYPE'] = coerced
    tempfile: Any = sys.modules.get('tempfile')
    if tempfile is not None:
        tempfile.tempdir = tempfile._name_sequence = None
    if 'random' in sys.modules and not hasattr(os, 'register_at_fork'):
        sys.modules['random'].seed()
    # The old one is kept: to take it apart would touch, and so copy, memory that is shared with the zygote.
    _kept.append(sys.path_importer_cache)
    sys.path_importer_cache = {}


_kept: List[Any] = []


def _call(function: Callable[[], Any]) -> Tuple[int, Dict[str, Any]]:
    """Call a function, and print what an interpreter would that ends so.

    Returns the exit code, and the globals of the script which raised.
    """
    try:
        function()
    except SystemExit as exc:
        main, code = _globals_of_main(exc), exc.code
    except BaseException as exc:
        main, code = _globals_of_main(exc), 1
        trace: Any = exc.__traceback__
        exc.__traceback__ = trace.tb_next.tb_next  # without the frames of this module
        sys.excepthook(type(exc), exc, exc.__traceback__)
        if isinstance(exc, KeyboardInterrupt):
            _flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    else:
        return 0, {}
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    return (code or 0) & 0xff, main


def _globals_of_main(exc: BaseException) -> Dict[str, Any]:
    trace = exc.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get('__name__') == '__main__':
            return trace.tb_frame.f_globals
        trace = trace.tb_next
    return {}


def _finalize(main: Dict[str, Any]) -> int:
    """Do what an interpreter does at its end, as far as anyone can see; return its exit code if that fails."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    # Objects that clean up when they go (temporary files) must go.
    main.clear()
    return _flush()


#: Whatever the job does to the module.
_close_range = os.closerange


def _last_module() -> str:
    """Return the name of the module that was imported last; '' if that cannot be told."""
    return next(reversed(sys.modules)) if sys.version_info >= (3, 8) else ''


def _let_go(last: str) -> bool:
    """Let go of files and folders, as the kernel would at the end; return whether nobody can miss that end then.

    Somebody could who wants to unmount what a library was loaded from.

    :param last: what :func:`_last_module` returned before the job.
    """
    if not last:
        return False
    for name in reversed(sys.modules):
        if name == last:
            break
        # Not by `getattr`: some modules import others when they are asked for anything.
        path = str(getattr(sys.modules[name], '__dict__', {}).get('__file__'))
        if path.endswith(_LIBRARIES) and '/lib-dynload/' not in path:
            return False
    try:
        os.chdir('/')
    except OSError:
        return False
    close_files()
    return True


def _flush() -> int:
    code = 0
    for name in ('stdout', 'stderr', '__stdout__', '__stderr__'):
        stream: Any = getattr(sys, name)
        try:
            stream.flush()
        except (AttributeError, ValueError):
            continue  # the module replaced or closed it
        except OSError:
            code = 120
    return code
