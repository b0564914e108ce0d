"""The versions of ansible-core that this is tested with: for the test command and the table in the documentation."""

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
    Core('2.19', '2.19.14', ('3.11', '3.12', '3.13'), True),
    Core('2.21', '2.21.5', ('3.12', '3.13', '3.14'), True),
)


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
