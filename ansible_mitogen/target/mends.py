"""What is mended in the copy of ansible-core that runs a module: in the module's own process, and nowhere else."""

import sys
from typing import Any, Dict, Iterable

#: Classes of the module `selectors` that ansible-core has used.
_CLASSES = ('DefaultSelector', 'PollSelector', 'SelectSelector')


class _Selectors:
    """Stands for the module `selectors`. Its selectors do not wait when nothing is registered: nothing would come."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
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


_MENDS: Dict[str, Any] = {'waits': _mend_waits}


def apply(names: Iterable[str]) -> None:
    """Mend what fits; what does not stays as it is.

    :param names: which, by the names of the hooks that ask for it.
    """
    for name in names:
        mend = _MENDS.get(name)
        if mend is not None:
            mend()
