"""The managed machine as a container: the tests' own image in the tests' own Docker, a new container for each run."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.engines import Settings
from benchmarks.paths import BenchError
from benchmarks.processes import command_line
from tests.harness import containers, galaxy

#: What a container runs that does nothing, under Docker's init.
IDLE = 'sleep infinity'


class ContainerTarget:
    """A container, and what the connection plugin for it needs; a context manager that removes it.

    :param core: series of ansible-core.
    """

    #: The name of Ansible's connection plugin: the short one, by which every engine knows it.
    connection = 'docker'

    #: No port: nothing is between an engine and Docker.
    port = 0

    #: Where playbooks may write in the container.
    work = Path('/var/tmp/bench')

    def __init__(self, core: str) -> None:
        self._core = core
        self._stack = ExitStack()
        self._run = ExitStack()

    def __enter__(self) -> 'ContainerTarget':
        missing = containers.missing()
        if missing:
            raise BenchError(f'the scenarios in Docker need the packages {", ".join(missing)}')
        try:
            self._engine = self._stack.enter_context(containers.docker())
            self._image = self._engine.image()
            self._collections = galaxy.collections_path(self._core)
        except (RuntimeError, AssertionError) as exc:
            self._stack.close()
            raise BenchError(f'there is no container to measure with: {exc}') from exc
        return self

    def __exit__(self, *_: object) -> None:
        self._run.close()
        self._stack.close()

    def reset(self) -> None:
        """Make a new container; the one of the last run goes."""
        self._run.close()
        self._container = self._run.enter_context(self._engine.container(self._image, '--init'))
        self._pid = self._container.pid

    def settings(self, home: Path, port: int) -> Settings:
        """Return lines of ansible.cfg: pipelining is off, as it is by default."""
        return {'defaults': {'collections_path': str(self._collections)}}

    def variables(self) -> dict[str, str]:
        """Return the variables of its hosts."""
        return {'ansible_host': self._container.name}

    def environment(self) -> dict[str, str]:
        """Return what engines need in their environment."""
        return dict(self._engine.settings)

    def settle(self, seconds: float = 2) -> list[str]:
        """Wait for what runs in the container to end; return what is there after `seconds`. It goes with the container.
        """
        deadline = time.monotonic() + seconds
        while (left := self._commands()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def cpu(self) -> float:
        """Return the CPU seconds that the container has taken so far."""
        for line in Path(f'/proc/{self._pid}/cgroup').read_text().splitlines():
            _, controllers, path = line.split(':', 2)
            if 'cpuacct' in controllers.split(','):
                return int(Path(f'/sys/fs/cgroup/cpuacct{path}/cpuacct.usage').read_text()) / 1e9
            if not controllers and (stat := Path(f'/sys/fs/cgroup{path}/cpu.stat')).exists():
                return int(dict(map(str.split, stat.read_text().splitlines()))['usage_usec']) / 1e6
        raise BenchError('the CPU time of a container cannot be read on this machine')

    def _commands(self) -> list[str]:
        """Return the commands that run in the container."""
        namespace = os.readlink(f'/proc/{self._pid}/ns/pid')
        found = []
        for entry in os.listdir('/proc'):
            try:
                if entry.isdigit() and int(entry) != self._pid and os.readlink(f'/proc/{entry}/ns/pid') == namespace:
                    found.append(command_line(int(entry)))
            except OSError:
                # It is gone.
                continue
        return [command for command in found if command not in ('', IDLE)]
