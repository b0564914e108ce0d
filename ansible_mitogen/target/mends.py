"""What is mended in the copy of ansible-core that runs a module: in the module's own process, and nowhere else."""

import sys
from typing import Any, Dict, Iterable

#: Classes of the module `selectors` that ansible-core has used.
_CLASSES = ('PollSelector', 'SelectSelector')

#: The names that `preexec` of `run_command` uses, outer ones and others: with the first a no-op, and without it.
_PREEXEC = [(('self', 'umask'), ('_restore_signal_handlers', 'os', 'umask')), (('umask',), ('os', 'umask'))]


class _StandIn:
    """A module, but for what a subclass has another meaning for."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Selectors(_StandIn):
    """The module `selectors`. Its selectors do not wait when nothing is registered: nothing would come."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name not in _CLASSES:
            return found

        class Selector(found):  # type: ignore[misc,valid-type]
            def select(self, timeout: Any = None) -> Any:
                return super().select(timeout) if self.get_map() else []
        return Selector


def _mend_waits() -> None:
    # `run_command` asks twice, without need, whether the program has ended after it closed its output. If that comes
    # true between the two, it waits one second for output. The second question is as quick here as nowhere else.
    basic: Any = sys.modules.get('ansible.module_utils.basic')
    selectors = getattr(basic, 'selectors', None)
    if hasattr(selectors, 'EVENT_READ'):
        basic.selectors = _Selectors(selectors)


class _Subprocess(_StandIn):
    """The module `subprocess`. Its `Popen` calls nothing in the new process where that would do nothing."""

    def Popen(self, *args: Any, **kwargs: Any) -> Any:
        """Start a program."""
        if _does_nothing(kwargs.get('preexec_fn')):
            kwargs['preexec_fn'] = None
        return self._module.Popen(*args, **kwargs)


def _does_nothing(preexec: Any) -> bool:
    code = getattr(preexec, '__code__', None)
    if code is None or (code.co_freevars, code.co_names) not in _PREEXEC:
        return False
    return not dict(zip(code.co_freevars, preexec.__closure__))['umask'].cell_contents


def _mend_spawn() -> None:
    # With a function to call, `Popen` must fork, which makes the kernel copy what the module's process touches from
    # then on; without one, it need not (vfork, from Python 3.10 on). `run_command` gives it one even if there is
    # nothing to do.
    basic: Any = sys.modules.get('ansible.module_utils.basic')
    subprocess = getattr(basic, 'subprocess', None)
    if hasattr(subprocess, 'Popen'):
        basic.subprocess = _Subprocess(subprocess)


_MENDS: Dict[str, Any] = {'waits': _mend_waits, 'spawn': _mend_spawn}


def apply(names: Iterable[str]) -> None:
    """Mend what fits; what does not stays as it is.

    :param names: which, by the names of the hooks that ask for it.
    """
    for name in names:
        mend = _MENDS.get(name)
        if mend is not None:
            mend()
