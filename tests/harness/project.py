"""A user's project: a folder with ansible.cfg, an inventory and playbooks, and the runs made of it."""

import configparser
import json
import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.engines import ROOT, Engine, Settings
from tests.harness.processes import Ending, Process, Warded

Variables = Mapping[str, Any]

#: Time that processes of ours have to end after ansible-playbook has. One second is promised, on an idle machine.
GRACE = 15.0

#: What ansible-core adds to a message before 2.19, on a line of its own.
HINT = '\nSee stdout/stderr for the exact error'

#: A task that takes longer than this on a busy machine has hung.
TIMEOUT = 120.0


@dataclass(frozen=True)
class TaskResult:
    """What a callback plugin sees of one task on one host."""

    host: str
    task: str
    action: str
    status: str
    result: dict[str, Any]
    time: float

    @property
    def message(self) -> str:
        """The text that explains a failure to the user."""
        return str(self.result.get('msg', '')).removesuffix(HINT)


@dataclass
class Run:
    """An ended run.

    :param status: exit status of the command.
    :param results: in the order in which callbacks saw them.
    :param stats: the play recap, by host.
    :param left: processes that were alive when the grace was over, as (pid, command).
    """

    status: int
    output: str
    errors: str
    results: list[TaskResult]
    stats: dict[str, dict[str, int]]
    left: list[tuple[int, str]]
    seconds: float

    def task(self, name: str, host: str | None = None) -> TaskResult:
        """The one result of that task (on that host)."""
        found = [result for result in self.results if result.task == name and host in (None, result.host)]
        assert len(found) == 1, f'{len(found)} results of {name!r} on {host or "any host"}\n{self.text}'
        return found[0]

    def statuses(self, host: str) -> dict[str, str]:
        """Status of each task of `host`, by the task's name."""
        return {result.task: result.status for result in self.results if result.host == host}

    @property
    def text(self) -> str:
        """All that the user saw."""
        return f'{self.output}\n{self.errors}'

    def assert_ok(self) -> 'Run':
        """Fail with all that the user saw, unless the run succeeded without a traceback."""
        assert self.status == 0, f'status {self.status}\n{self.text}'
        assert 'Traceback (most recent call last)' not in self.text, self.text
        return self


@dataclass
class Running:
    """A run that goes on. Wait for it, or kill it."""

    warded: Warded
    folder: Path
    _record: Path = field(repr=False)

    def results(self) -> list[TaskResult]:
        """The results so far."""
        return [TaskResult(**line) for line in self._lines() if 'task' in line]

    def _lines(self) -> list[dict[str, Any]]:
        if not self._record.exists():
            return []
        # The last line may be half written.
        return [json.loads(line) for line in self._record.read_text().split('\n')[:-1]]

    def tree(self) -> list[Process]:
        """Living processes on the controller's side."""
        return self.warded.tree()

    def wait(self, timeout: float = TIMEOUT) -> Run:
        """Wait for the end.

        :raises TimeoutError: it did not come in time; all has been killed.
        """
        try:
            ending = self.warded.wait(timeout)
        except TimeoutError as error:
            raise TimeoutError(f'{error}\n{self._read("output")}\n{self._read("errors")}') from None
        return self._as_run(ending)

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text(errors='replace')

    def _as_run(self, ending: Ending) -> Run:
        stats: dict[str, dict[str, int]] = next((line['stats'] for line in self._lines() if 'stats' in line), {})
        return Run(
            ending.status,
            self._read('output'),
            self._read('errors'),
            self.results(),
            stats,
            ending.left,
            ending.seconds,
        )


class Project:
    """Files of a user, and runs of ansible-playbook and ansible in a clean environment.

    :param folder: must be short: UNIX sockets are made below it.
    :param settings: what ansible.cfg says besides the defaults of the tests.
    """

    #: Where ansible-playbook is: of another environment than the tests' own, if a test says so.
    bin_folder = Path(sys.executable).parent

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder
        self.home = folder / 'home'
        self.temp = folder / 'tmp'
        self.home.mkdir(parents=True)
        self.temp.mkdir()
        self._hosts: dict[str, dict[str, Any]] = {}
        self._settings = settings or {}
        self._runs = 0

    def add_host(self, name: str, *variables: Variables, **more: Any) -> None:
        """Put a host into the inventory; later variables win. A variable that is None is left out."""
        merged: dict[str, Any] = {}
        for group in (*variables, more):
            merged.update(group)
        self._hosts[name] = {key: value for key, value in merged.items() if value is not None}

    def configure(self, section: str, **settings: str) -> None:
        """Add lines to ansible.cfg."""
        self._settings = {**self._settings, section: {**self._settings.get(section, {}), **settings}}

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of the project; common indentation is taken away."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text))
        target.chmod(mode)
        return target

    def start_play(
        self,
        tasks: str,
        engine: Engine,
        *,
        hosts: str = 'all',
        keywords: Variables | None = None,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        grace: float | None = None,
    ) -> Running:
        """Start a playbook of one play.

        :param tasks: YAML: a list of tasks.
        :param keywords: further keywords of the play; `gather_facts` is False unless they say otherwise.
        """
        play = {'hosts': hosts, 'gather_facts': False, **(keywords or {})}
        head = '- ' + '\n  '.join(f'{key}: {json.dumps(value)}' for key, value in play.items())
        self.write('site.yml', head + '\n  tasks:\n' + textwrap.indent(textwrap.dedent(tasks), '    '))
        return self.start_playbook('site.yml', engine, arguments=arguments, env=env, grace=grace)

    def play(self, tasks: str, engine: Engine, *, timeout: float = TIMEOUT, **options: Any) -> Run:
        """Run a playbook of one play to its end; `options` as for :meth:`start_play`."""
        return self.start_play(tasks, engine, **options).wait(timeout)

    def start_playbook(
        self,
        playbook: str,
        engine: Engine,
        *,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        grace: float | None = None,
    ) -> Running:
        """Start ansible-playbook on a file of the project."""
        return self._start(['ansible-playbook', playbook, *arguments], engine, env or {}, grace)

    def start_adhoc(
        self,
        arguments: Sequence[str],
        engine: Engine,
        *,
        env: Mapping[str, str] | None = None,
        grace: float | None = None,
    ) -> Running:
        """Start ``ansible ARGUMENTS``, with the strategy chosen as a user does: by the environment."""
        more = {'ANSIBLE_STRATEGY': engine.strategy, 'ANSIBLE_LOAD_CALLBACK_PLUGINS': '1', **(env or {})}
        return self._start(['ansible', *arguments], engine, more, grace)

    def adhoc(self, arguments: Sequence[str], engine: Engine, *, timeout: float = TIMEOUT, **options: Any) -> Run:
        """Run ``ansible ARGUMENTS`` to its end."""
        return self.start_adhoc(arguments, engine, **options).wait(timeout)

    def prepare(self, command: Sequence[str], engine: Engine) -> tuple[dict[str, str], list[str]]:
        """Write the files of a run that somebody else starts, in this folder; returns environment and arguments.

        :param command: one of Ansible's programs and its arguments, or nothing.
        """
        folder = self._prepare_run(engine)
        inventory = ['-i', str(self.folder / 'inventory.json')]
        arguments = [str(self.bin_folder / command[0]), *inventory, *command[1:]] if command else []
        return self._run_environment(folder), arguments

    def _prepare_run(self, engine: Engine) -> Path:
        self._runs += 1
        folder = self.folder / f'run{self._runs}'
        folder.mkdir()
        self._write_config(folder / 'ansible.cfg', engine)
        self.write('inventory.json', json.dumps({'all': {'hosts': self._hosts}}))
        return folder

    def _run_environment(self, folder: Path) -> dict[str, str]:
        return {
            **self.environment(),
            'ANSIBLE_CONFIG': str(folder / 'ansible.cfg'),
            'MITOGEN_TEST_RECORD': str(folder / 'record'),
        }

    def _start(self, command: list[str], engine: Engine, env: Mapping[str, str], grace: float | None) -> Running:
        folder = self._prepare_run(engine)
        executable = self.bin_folder / command[0]
        environment = {**self._run_environment(folder), **env}
        if grace is None:
            grace = GRACE if engine.ours else 0
        warded = Warded(
            [str(executable), '-i', 'inventory.json', *command[1:]],
            env=environment,
            cwd=self.folder,
            output=folder / 'output',
            errors=folder / 'errors',
            grace=grace,
        )
        return Running(warded, folder, folder / 'record')

    def environment(self) -> dict[str, str]:
        """The environment of a run: nothing of the caller's but the way to the programs."""
        environment = {
            'PATH': os.pathsep.join(
                [
                    str(self.bin_folder),
                    '/usr/local/sbin',
                    '/usr/local/bin',
                    '/usr/sbin',
                    '/usr/bin',
                    '/sbin',
                    '/bin',
                ]
            ),
            'HOME': str(self.home),
            'TMPDIR': str(self.temp),
            'LANG': 'C.UTF-8',
            'LC_ALL': 'C.UTF-8',
            'USER': 'root',
            'LOGNAME': 'root',
            'TERM': 'dumb',
        }
        if self.bin_folder == Project.bin_folder and not _is_installed():
            environment['PYTHONPATH'] = str(ROOT)
        return environment

    def _write_config(self, path: Path, engine: Engine) -> None:
        config = configparser.RawConfigParser()
        config.read_dict(
            {
                'defaults': {
                    'strategy': engine.strategy,
                    'callback_plugins': str(Path(__file__).with_name('callback_plugins')),
                    'callbacks_enabled': 'record',
                    'host_key_checking': 'False',
                    'retry_files_enabled': 'False',
                    'forks': '5',
                    # The deprecation of strategy plugins is ansible-core's own message, and not under test.
                    'deprecation_warnings': 'False',
                    'inject_invocation': 'True',
                },
            }
        )
        for settings in (engine.settings, self._settings):
            for section, lines in settings.items():
                if not config.has_section(section):
                    config.add_section(section)
                for key, value in lines.items():
                    config.set(section, key, value)
        with path.open('w') as stream:
            config.write(stream)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def empty_project(session_folder: Path) -> Iterator[Project]:
    """An empty project of a user, in a folder of its own that all accounts can enter; gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix='p', dir=session_folder))
    folder.chmod(0o755)
    yield Project(folder / 'w')
    shutil.rmtree(folder, ignore_errors=True)


def _is_installed() -> bool:
    """Whether the environment that runs the tests has the project installed."""
    site = (
        Path(sys.executable).parents[1] / 'lib' / f'python{sys.version_info[0]}.{sys.version_info[1]}' / 'site-packages'
    )
    return any(site.glob('mitogen-*.dist-info'))
