"""The versions of ansible-core that this is tested with: what the test command, the doctor and the docs go by."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Core(NamedTuple):
    """A version of ansible-core, and how it is tested."""

    #: As people say it: ``2.19``.
    version: str
    #: The release that the tests install.
    release: str
    #: Pythons that its controller may run on, and this project's too. The first that a machine has is taken.
    pythons: tuple[str, ...]
    #: Whether all tests run on it, or the short form of them: those that are marked `every_core`.
    full: bool


#: Oldest first.
TESTED: tuple[Core, ...] = (
    Core('2.16', '2.16.19', ('3.11', '3.12'), True),
    Core('2.17', '2.17.14', ('3.12', '3.11'), False),
    Core('2.18', '2.18.19', ('3.13', '3.12', '3.11'), False),
    Core('2.19', '2.19.14', ('3.11', '3.12', '3.13'), True),
    Core('2.20', '2.20.10', ('3.13', '3.12', '3.14'), False),
    Core('2.21', '2.21.5', ('3.12', '3.13', '3.14'), True),
)


def is_too_old(release: str, tested: Iterable[Core] = TESTED) -> bool:
    """Return whether an ansible-core is older than all that were tested.

    :param release: as ``ansible.release.__version__`` has it.
    """
    return _number(release)[:2] < min(_number(core.version) for core in tested)


def untested_reason(release: str, tested: Iterable[Core] = TESTED) -> str:
    """Return what is to be said of an ansible-core that is newer than all that were tested; '' if it is not.

    :param release: as ``ansible.release.__version__`` has it.
    """
    newest = max(tested, key=lambda core: _number(core.version))
    if _number(release)[:2] <= _number(newest.version):
        return ''
    return 'ansible-core %s is newer than %s, the newest that this mitogen was tested with' % (release, newest.version)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r'\d+', version))
