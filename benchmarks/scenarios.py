"""What is measured: each scenario is a playbook (or an ad hoc command) and the ratios that it has to reach."""

from dataclasses import dataclass

from benchmarks.paths import BenchError

#: Milliseconds of the controller's CPU time that stock took for each host and task where the budget was set.
STOCK_CPU = 27


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
    :ivar forks: how many hosts are worked on at a time.
    :ivar cpu_budget: milliseconds of the controller's CPU time for each host and task, if there is a budget; on a
        machine on which stock takes :data:`STOCK_CPU`.
    :ivar memory_budget: MiB that the controller's processes may take besides the ssh clients, if that is measured.
    :ivar on_request: it is left out unless it is named.
    :ivar target: ``ssh`` for the throw-away sshd, ``docker`` for a container.
    """

    name: str
    title: str
    hosts: int
    units: int
    playbook: str = ''
    times_peer: float | None = None
    times_stock: float | None = None
    wire_budget: int | None = None
    forks: int = 20
    cpu_budget: float | None = None
    memory_budget: float | None = None
    on_request: bool = False
    target: str = 'ssh'

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
        Scenario('steady', '30 tasks on 20 hosts', 20, 600, 'steady.yml', cpu_budget=7),
        Scenario('one-host', '10 tasks on 1 host', 1, 10, 'hosts.yml', on_request=True),
        Scenario('hundred', '10 tasks on 100 hosts', 100, 1000, 'hosts.yml', forks=100, on_request=True),
        Scenario('sudo', '20 tasks with sudo', 1, 20, 'sudo.yml', 2),
        Scenario('copy', 'copy of 100 small files', 1, 100, 'copy.yml', 1.5),
        Scenario('role', '22-task realistic role', 1, 22, 'role.yml', 2),
        Scenario('ping', 'a single ping (ad hoc)', 1, 1, times_stock=1),
        # 300 MiB for 200 hosts, 1 MiB for each further one.
        Scenario('scale', '10 tasks on 300 hosts', 300, 3000, 'hosts.yml', forks=200, memory_budget=400,
                 on_request=True),
        Scenario('docker-converge', '40-task role in a Docker container', 1, 41, 'converge.yml', 1.5, 5,
                 on_request=True, target='docker'),
    )
}


def select_scenarios(names: list[str]) -> list[Scenario]:
    """Return the scenarios called `names`; for an empty list all that are not on request only."""
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise BenchError(f'no scenario {", ".join(unknown)}; there are {", ".join(SCENARIOS)}')
    wanted = names or [name for name, scenario in SCENARIOS.items() if not scenario.on_request]
    return [SCENARIOS[name] for name in wanted]
