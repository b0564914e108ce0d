"""One run of one scenario by one engine, and what it cost."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from benchmarks.engines import Engine
from benchmarks.paths import CHECKOUT, PLAYBOOKS, BenchError
from benchmarks.relay import Relay, Traffic
from benchmarks.scenarios import Scenario
from benchmarks.target import APPLICATION, Target

if TYPE_CHECKING:
    from benchmarks.container import ContainerTarget

#: Seconds that one run may take; the slowest needs a tenth of it on an idle machine. More for those on request.
RUN_TIMEOUT = 300
LONG_TIMEOUT = 3600

#: What the copy scenario sends.
SMALL_FILES = 100
SMALL_FILE_SIZE = 1024

#: A container is imported only where one is measured.
Machine = Union[Target, 'ContainerTarget']

RECAP = re.compile(r'^(web\d+) +: (ok=\d+ +changed=\d+ +unreachable=\d+ +failed=\d+ +skipped=\d+)', re.MULTILINE)


@dataclass
class Sample:
    """One run.

    :ivar wall: seconds until the command returned.
    :ivar controller_cpu: CPU seconds of the command and all that it started on this side, ssh clients included.
    :ivar target_cpu: CPU seconds of the sessions on the target, sshd's own for them included.
    :ivar left_here: command lines of processes still there a second after the command had returned.
    :ivar left_there: those on the target, two seconds after the connections were closed.
    :ivar memory: MiB, the peak of the command and all that it started, ssh clients left out; 0 if nobody looked.
    :ivar outcome: what the play recap says for each host, to compare engines.
    """

    wall: float
    controller_cpu: float
    target_cpu: float
    left_here: list[str] = field(default_factory=list)
    left_there: list[str] = field(default_factory=list)
    outcome: dict[str, str] = field(default_factory=dict)
    memory: float = 0.0


class Bench:
    """Runs scenarios against targets.

    :param targets: by the name that scenarios have for them.
    :param folder: scratch space; every run gets a fresh home in it.
    """

    def __init__(self, targets: Mapping[str, Machine], folder: Path) -> None:
        self._targets = targets
        self._folder = folder
        self._files = folder / 'files'
        self._files.mkdir()
        for number in range(SMALL_FILES):
            line = f'# file {number}\n'
            (self._files / f'{number:03}.conf').write_text(line + 'x' * (SMALL_FILE_SIZE - len(line)))

    def run(self, engine: Engine, scenario: Scenario, prefix: tuple[str, ...] = (), delay: float = 0.0) -> Sample:
        """Run once on the direct link, or on one that adds `delay` seconds each way.

        :param prefix: command to run the scenario under, for example a profiler.
        :raises BenchError: the scenario failed.
        """
        port = self._targets[scenario.target].port
        if not delay:
            return self._run(engine, scenario, port, prefix)
        with Relay(port, delay) as relay:
            return self._run(engine, scenario, relay.port, prefix)

    def count_traffic(self, engine: Engine, scenario: Scenario) -> Traffic:
        """Run once through a relay and return what crossed it."""
        with Relay(self._targets[scenario.target].port) as relay:
            self._run(engine, scenario, relay.port, ())
        return relay.traffic

    def _run(self, engine: Engine, scenario: Scenario, port: int, prefix: tuple[str, ...]) -> Sample:
        self._targets[scenario.target].reset()
        # A short path: the control sockets of ssh are in it, and a socket's path may have 107 bytes.
        home = Path(tempfile.mkdtemp(prefix='h', dir=self._folder))
        try:
            return self._run_in(home, engine, scenario, port, prefix)
        finally:
            shutil.rmtree(home, ignore_errors=True)

    def _run_in(self, home: Path, engine: Engine, scenario: Scenario, port: int, prefix: tuple[str, ...]) -> Sample:
        target = self._targets[scenario.target]
        engine.write_config(home / 'ansible.cfg', target.settings(home, port), scenario.forks)
        _write_inventory(home / 'hosts.ini', {
            'ansible_connection': engine.prefix + target.connection, **target.variables()}, scenario.hosts)
        variables = {'bench_work': str(target.work), 'bench_files': str(self._files)}
        variables['bench_app_account'] = APPLICATION
        log = home / 'output.log'
        argv = scenario.argv(f'{engine.venv}/bin', str(PLAYBOOKS), str(home / 'hosts.ini'), variables)
        spec = {
            'argv': [*prefix, *argv],
            'cwd': str(home),
            'env': {**environment(home, engine), **target.environment()},
            'log': str(log),
            'timeout': LONG_TIMEOUT if scenario.on_request else RUN_TIMEOUT,
            'watch_memory': scenario.memory_budget is not None,
        }
        before = target.cpu()
        result = supervise(spec)
        left_there = target.settle()
        output = log.read_text(errors='replace') if log.exists() else ''
        if result['status'] or result['timed_out']:
            why = 'took too long' if result['timed_out'] else f'ended with status {result["status"]}'
            raise BenchError(f'{engine.name} {why} in scenario {scenario.name}:\n{output.strip()[-3000:]}')
        return Sample(
            wall=result['wall'],
            controller_cpu=result['user'] + result['system'],
            target_cpu=target.cpu() - before,
            left_here=result['left'],
            left_there=left_there,
            outcome=_outcome(output),
            memory=result['peak_kib'] / 1024,
        )


def _write_inventory(path: Path, variables: dict[str, str], hosts: int) -> None:
    names = ''.join(f'web{number}\n' for number in range(1, hosts + 1))
    lines = ''.join(f'{name}={value}\n' for name, value in variables.items())
    path.write_text(f'[web]\n{names}\n[web:vars]\n{lines}')


def supervise(spec: dict[str, Any]) -> dict[str, Any]:
    """Run `benchmarks.supervise`; whatever happens, it ends what it has started."""
    argv = [sys.executable, str(CHECKOUT / 'benchmarks' / 'supervise.py'), json.dumps(spec)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as supervisor:
        try:
            output, errors = supervisor.communicate(timeout=spec['timeout'] + 60)
        except BaseException:
            supervisor.terminate()
            raise
    if supervisor.returncode:
        raise BenchError(f'the supervisor failed: {errors.strip()[-2000:]}')
    result: dict[str, Any] = json.loads(output)
    return result


def environment(home: Path, engine: Engine) -> dict[str, str]:
    """Return the environment of a run: nothing of the caller's but what it needs."""
    return {
        'HOME': str(home),
        'PATH': f'{engine.venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'LANG': 'C.UTF-8',
        'TERM': 'dumb',
        'USER': os.environ.get('USER', 'root'),
        'ANSIBLE_CONFIG': str(home / 'ansible.cfg'),
    }


def _outcome(output: str) -> dict[str, str]:
    return {host: ' '.join(counts.split()) for host, counts in RECAP.findall(output)}


def as_json(sample: Sample) -> dict[str, object]:
    """Return a sample for the JSON report."""
    return asdict(sample)
