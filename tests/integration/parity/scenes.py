"""One playbook of this folder, played by several engines on a world that is the same each time."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.engines import Engine, Settings
from tests.harness.project import Project, Run
from tests.integration.parity.compare import Comparison
from tests.integration.parity.masks import MASKS, Mask
from tests.integration.parity.trees import describe

HERE = Path(__file__).parent

#: A run that takes longer has hung.
TIMEOUT = 900

#: Stock hands temporary files from one unprivileged account to another, and there may be no ACLs.
SETTINGS: Settings = {'defaults': {'allow_world_readable_tmpfiles': 'True'}}


def copy_playbooks(project: Project) -> None:
    """Put the playbooks of this folder, with all that belongs to them, into a project."""
    shutil.copytree(HERE, project.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns('*.py[c]', '__pycache__'))


@dataclass(frozen=True)
class Outcome:
    """A run, and the folders that it left, by name."""

    run: Run
    trees: dict[str, dict[str, Any]]

    def assert_same(self, found: 'Outcome', masks: Sequence[Mask] = MASKS) -> None:
        """Fail with all differences of another outcome from this one."""
        comparison = Comparison(masks)
        differences = comparison.runs(self.run, found.run)
        for name, tree in self.trees.items():
            differences += comparison.trees(f'({name})', tree, found.trees[name])
        assert not differences, '\n'.join(map(str, sorted(differences, key=str)))


@dataclass
class Scene:
    """A playbook with its inventory.

    :param folder: holds everything; the same for all runs.
    :param hosts: variables of each host.
    :param prepare: makes the world as new before each run.
    :param programs: what is copied into the project besides, by its name there.
    :param compared: folders whose content is compared after each run, by name.
    """

    folder: Path
    playbook: str
    hosts: Mapping[str, Mapping[str, Any]]
    prepare: Callable[[], None] = lambda: None
    compared: Mapping[str, Path] = field(default_factory=dict)
    settings: Settings = field(default_factory=lambda: SETTINGS)
    arguments: Sequence[str] = ()
    programs: Mapping[str, Path] = field(default_factory=dict)

    def play(self, engine: Engine) -> Outcome:
        """Play it once."""
        self.prepare()
        project = Project(self.folder / 'project', self.settings)
        try:
            copy_playbooks(project)
            for name, program in self.programs.items():
                shutil.copy(program, project.folder / name)
            for name, variables in self.hosts.items():
                project.add_host(name, variables)
            run = project.start_playbook(self.playbook, engine, arguments=self.arguments).wait(TIMEOUT)
            return Outcome(run, {name: describe(folder) for name, folder in self.compared.items()})
        finally:
            project.remove()
