"""Which of ansible-core's integration targets this machine can run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

#: Aliases of targets that need what is not here.
UNMET = re.compile(
    r'windows|hidden|disabled|unsupported|unstable|cloud/.*|needs/httptester|needs/privileged|skip/docker|'
    r'skip/python.*|shippable/(?:galaxy|windows)/.*')

#: Targets that test other programs than those that run plays, or that fetch things from elsewhere.
LEFT_OUT = (
    'ansible-test*', 'ansible-galaxy*', 'ansible-doc', 'ansible-config', 'ansible-inventory', 'ansible-vault',
    'packaging*', 'entry_points', 'inventory*', 'win_*', 'windows-*', 'module_utils_Ansible.*', '*_winrm', '*_psrp',
    'setup_*', 'prepare_*', 'incidental_*', 'dnf*', 'yum*', 'rpm_key', 'connection_paramiko_ssh',
    'connection_windows_ssh', 'ansible-pull', 'support-*',
)


@dataclass(frozen=True)
class Target:
    """One folder below test/integration/targets.

    :param aliases: what ansible-core says of it: what it needs, where it runs.
    """

    name: str
    folder: Path
    aliases: frozenset[str]

    @property
    def script(self) -> Path | None:
        """The program to run, for targets that are no roles."""
        path = self.folder / 'runme.sh'
        return path if path.exists() else None

    @property
    def gathers_facts(self) -> bool:
        """Whether the play around a role gathers facts."""
        return 'gather_facts/no' not in self.aliases

    @property
    def environment(self) -> dict[str, str]:
        """Variables that it wants to be run with."""
        pairs = (tuple(alias.split('/', 3)[2:]) for alias in self.aliases if alias.startswith('env/set/'))
        return dict(pairs)

    def suits(self, way: str) -> bool:
        """Whether a run over that connection tells something."""
        return way == 'local' or 'context/controller' not in self.aliases


def select(source: Path, patterns: Sequence[str]) -> list[Target]:
    """Return the targets that can be run here, by name.

    :param patterns: names with wildcards; all targets if there are none.
    """
    chosen = []
    for folder in sorted((source / 'test' / 'integration' / 'targets').iterdir()):
        listed = folder / 'aliases'
        if not listed.exists():
            continue
        lines = (line.partition('#')[0].strip() for line in listed.read_text().splitlines())
        target = Target(folder.name, folder, frozenset(line for line in lines if line))
        if patterns:
            wanted = any(fnmatchcase(target.name, pattern) for pattern in patterns)
        else:
            wanted = not any(UNMET.fullmatch(alias) for alias in target.aliases) and not any(
                fnmatchcase(target.name, pattern) for pattern in LEFT_OUT)
        if wanted:
            chosen.append(target)
    return chosen
