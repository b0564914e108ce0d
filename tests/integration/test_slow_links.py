"""What a slow link makes slow: how often each side waits for the other, counted by a relay in between."""

import subprocess
from collections.abc import Callable

import pytest

from benchmarks.relay import Relay
from tests.harness.accounts import Accounts, while_accounts_stay
from tests.harness.engines import MITOGEN
from tests.harness.project import Project
from tests.harness.sshd import Sshd

# How often an action waits is tested on each ansible-core, without a link; what a link does with that is the same.
pytestmark = [pytest.mark.xdist_group('slow links'), pytest.mark.once]

#: Seconds each way. Where it is long enough for one side to have said all before the other has heard of it, the turns
#: are the times that a side waits. On a busy machine a side may pause while it speaks, which looks like more of them,
#: but never like fewer: so what seems to be too many is counted again with a slower link.
DELAYS = (0.06, 0.24)

#: Of some tasks, over a link with that delay, with a folder of that name on the target.
Turns = Callable[[str, float, str], int]

#: What was counted, and how much of it there may be.
Counts = dict[str, tuple[int, float]]


@pytest.fixture
def turns(project: Project, sshd: Sshd, accounts: Accounts) -> Turns:
    """How often the controller's side spoke after the target's had, for a play with the given tasks."""
    def turns(tasks: str, delay: float, work: str) -> int:
        def measure(attempt: int) -> int:
            with Relay(sshd.port, delay) as relay:
                # A path without ~, for home folders are asked for again when someone else makes an account meanwhile.
                project.add_host('web1', sshd.variables(
                    accounts.plain, ansible_port=relay.port, ansible_remote_tmp=str(accounts.plain.home / 'tmp'),
                    work=str(accounts.plain.home / f'{work}-{delay}-{attempt}')))
                project.play(tasks, MITOGEN, timeout=300).assert_ok()
                assert relay.traffic.connections == 1
                return relay.traffic.turns
        return while_accounts_stay(measure)
    return turns


def assert_few(measure: Callable[[float], Counts]) -> None:
    """Fail when more was counted than may be, however slow the link was."""
    for delay in DELAYS:
        counts = measure(delay)
        too_many = {what: count for what, count in counts.items() if count[0] > count[1]}
        if not too_many:
            return
    raise AssertionError(f'turns, and how many there may be: {too_many}')


def repeated(task: str, count: int) -> str:
    return f'- {task}\n' * count


def test_connecting_takes_one_round_trip_more_than_ssh_and_a_task_one(
    turns: Turns, sshd: Sshd, accounts: Accounts
) -> None:
    options = sshd.client_options().split()

    def measure(delay: float) -> Counts:
        with Relay(sshd.port, delay) as relay:
            subprocess.run(
                ['ssh', *options, '-o', 'StrictHostKeyChecking=no', '-i', str(sshd.key), '-p', str(relay.port),
                 f'{accounts.plain.name}@127.0.0.1', 'true'], check=True, stdin=subprocess.DEVNULL)
            alone = relay.traffic.turns
        first = turns('- command: id', delay, 'none')
        return {
            # One for code, one for the task; and at the end, when the result is there, the request to end.
            'connecting, and a task': (first, alone + 1 + 1 + 1),
            'ten tasks more': (turns(repeated('command: id', 11), delay, 'none') - first, 10)}
    assert_few(measure)


def test_small_files_take_two_round_trips_each_and_facts_one(turns: Turns, project: Project) -> None:
    names = [f'{number:02}' for number in range(10)]
    for name in names:
        project.write(f'files/{name}', f'content {name}\n' * 100)
    folder = '- file: {path: "{{ work }}", state: directory}\n'
    copied = folder + '- copy: {src: "{{ item }}", dest: "{{ work }}/"}\n  loop: %s\n' % names

    def measure(delay: float) -> Counts:
        none, new, unchanged = (turns(tasks, delay, 'work') for tasks in (folder, copied, copied))
        return {
            # The first of a kind may have to be asked for what later ones are not.
            'new files': (new - none, 2.2 * len(names)),
            'unchanged files': (unchanged - none, 1.2 * len(names)),
            'facts': (turns(folder + repeated('setup:', 5), delay, 'work') - none, 1.2 * 5)}
    assert_few(measure)
