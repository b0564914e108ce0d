"""Our engine with simulated hosts: the controller and the multiplexer by themselves, at any number of hosts."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.engines import Engine
from benchmarks.measure import environment, supervise
from benchmarks.paths import CHECKOUT, PLAYBOOKS, BenchError
from benchmarks.report import table

FORKS = 200
TASKS = 10

#: Seconds that one run may take.
TIMEOUT = 1800

#: Seconds for the process that plays the hosts to start.
START = 30


def simulated_table(numbers: list[int], engine: Engine, nofile: int = 0) -> str:
    """Run ten tasks on so many hosts, for each of the numbers, and return a table of what that cost.

    :param nofile: limit of open files that the controller gets; 0 for that of this process.
    :raises BenchError: a host was not reached, or a task failed.
    """
    header = ['simulated hosts', 'wall time, s', 'per host and task, ms', 'CPU per host and task, ms',
              'peak memory, MiB']
    return table(header, [_run(number, engine, nofile) for number in numbers])


def _run(hosts: int, engine: Engine, nofile: int) -> list[str]:
    home = Path(tempfile.mkdtemp(prefix='sim-'))
    path = home / 'hosts.sock'
    argv = [sys.executable, '-m', 'benchmarks.simulated', str(path)]
    try:
        with subprocess.Popen(argv, cwd=CHECKOUT) as server:
            try:
                _wait_for(path, server)
                result = supervise(_spec(home, path, hosts, engine, nofile))
            finally:
                server.kill()
        output = (home / 'output.log').read_text(errors='replace')
        reached = output.count(f'ok={TASKS} ')
        if result['status'] or reached != hosts:
            raise BenchError(f'{reached} of {hosts} simulated hosts ended well:\n{output[-2000:]}')
    finally:
        shutil.rmtree(home, ignore_errors=True)
    units, cpu = hosts * TASKS, result['user'] + result['system']
    return [str(hosts), f'{result["wall"]:.1f}', f'{result["wall"] * 1000 / units:.1f}',
            f'{cpu * 1000 / units:.1f}', f'{result["peak_kib"] / 1024:.0f}']


def _wait_for(path: Path, server: 'subprocess.Popen[bytes]') -> None:
    deadline = time.monotonic() + START
    while not path.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise BenchError('the process that plays the hosts did not start')
        time.sleep(0.02)


def _spec(home: Path, path: Path, hosts: int, engine: Engine, nofile: int) -> dict[str, object]:
    client = home / 'ssh'
    client.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {CHECKOUT}/benchmarks/simulated.py --ssh {path}\n')
    client.chmod(0o755)
    engine.write_config(home / 'ansible.cfg', {
        'defaults': {'pipelining': 'True'},
        'ssh_connection': {'ssh_args': '', 'pipelining': 'True', 'ssh_executable': str(client)}}, FORKS)
    (home / 'hosts.ini').write_text(''.join(f'sim{number}\n' for number in range(hosts)))
    limit = ['prlimit', f'--nofile={nofile}:{nofile}'] if nofile else []
    argv = [*limit, f'{engine.venv}/bin/ansible-playbook', '-i', str(home / 'hosts.ini'), f'{PLAYBOOKS}/hosts.yml']
    return {'argv': argv, 'cwd': str(home), 'env': environment(home, engine), 'log': str(home / 'output.log'),
            'timeout': TIMEOUT, 'watch_memory': True}
