"""What is measured: each scenario is a playbook (or an ad hoc command) and the ratios that it has to reach."""

from dataclasses import dataclass

from benchmarks.paths import BenchError


@dataclass(frozen=True)
class Scenario:
    """One row of the tables.

    :ivar name: value of ``--scenario``.
    :ivar title: first column of the table.
    :ivar hosts: how many aliases of the target take part.
    :ivar units: host-tasks in one run, to print cost per task.
    :ivar playbook: file in ``playbooks/``; empty for an ad hoc ``ping``.
    :ivar times_peer: to reach, times faster than the peer.
    :ivar times_stock: to reach, times faster than stock.
    :ivar wire_budget: bytes on the wire that our engine may use, if there is a budget.
    """

    name: str
    title: str
    hosts: int
    units: int
    playbook: str = ''
    times_peer: float | None = None
    times_stock: float | None = None
    wire_budget: int | None = None

    def argv(self, bin_dir: str, playbooks: str, inventory: str, variables: dict[str, str]) -> list[str]:
        """Return the command line that runs this scenario."""
        if not self.playbook:
            return [f'{bin_dir}/ansible', '-i', inventory, 'all', '-m', 'ansible.builtin.ping']
        argv = [f'{bin_dir}/ansible-playbook', '-i', inventory, f'{playbooks}/{self.playbook}']
        for name, value in variables.items():
            argv += ['-e', f'{name}={value}']
        return argv


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario('tasks', '100 separate tasks, 1 host', 1, 100, 'tasks.yml', 2.5, 10, 200 * 1024),
        Scenario('loop', 'one task looping over 100 items', 1, 100, 'loop.yml', 1.5),
        Scenario('hosts', '10 tasks on 20 hosts', 20, 200, 'hosts.yml', 4),
        Scenario('sudo', '20 tasks with sudo', 1, 20, 'sudo.yml', 2),
        Scenario('copy', 'copy of 100 small files', 1, 100, 'copy.yml', 1.5),
        Scenario('role', '22-task realistic role', 1, 22, 'role.yml', 2),
        Scenario('ping', 'a single ping (ad hoc)', 1, 1, times_stock=1),
    )
}


def select_scenarios(names: list[str]) -> list[Scenario]:
    """Return the scenarios called `names`, all of them for an empty list."""
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise BenchError(f'no scenario {", ".join(unknown)}; there are {", ".join(SCENARIOS)}')
    return [SCENARIOS[name] for name in names or SCENARIOS]
