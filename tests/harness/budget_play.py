"""The tasks that have a budget of round trips, as a play, and what they took."""

import tarfile
from pathlib import Path

from tests.harness.profiles import costs
from tests.harness.project import Project
from tests.harness.round_trips import BUDGETS


def budget_tasks(project: Project) -> str:
    """Write the files that the tasks need, and return the tasks: YAML, with those that nobody counts."""
    project.write('files/small', 'small\n')
    project.write('files/small.sh', '#!/bin/sh\nid\n', 0o755)
    project.write('files/parts/one', 'one\n')
    project.write('templates/small.j2', '{{ 1 + 1 }}\n')
    with tarfile.open(project.folder / 'files/small.tar', 'w') as archive:
        archive.add(project.folder / 'files/small', 'unpacked')
    tasks = '- {name: facts, setup: {gather_subset: [pkg_mgr, service_mgr]}}\n'
    tasks += '- {name: folder, tempfile: {state: directory}, register: made}\n- {name: first, script: small.sh}\n'
    for number, budget in enumerate(BUDGETS):
        if budget.setup:
            tasks += f'- name: setup {number}\n  {budget.setup}\n'
        tasks += f'- name: task {number}\n  {budget.task}\n  ignore_errors: true\n'
    return tasks + '- {name: remove, file: {path: "{{ work }}", state: absent}}\n'


def round_trips(profile: Path, host: str) -> dict[str, int]:
    """How many each of the tasks took on a host."""
    found = costs(profile, host)
    # What runs once for all hosts, such as `add_host`, is counted with the first of them.
    return {budget.what: found[name]['round_trips'] if (name := f'task {number}') in found else 0
            for number, budget in enumerate(BUDGETS)}


def budgets(become: bool) -> dict[str, int]:
    """How many each of the tasks may take."""
    wanted = {budget.what: budget.round_trips for budget in BUDGETS}
    if become:
        # Ansible reads the file by a module then, and has its checksum with it.
        wanted['``fetch``, new'] = 1
    return wanted
