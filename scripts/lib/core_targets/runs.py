"""Runs of integration targets, as ansible-test would start them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from environments import ROOT

from core_targets.targets import Target

WORLD = Path(__file__).with_name('world.sh')

#: Variables that switch this project on, by what does it.
SWITCHES = {
    'strategy': {
        'ANSIBLE_STRATEGY_PLUGINS': str(ROOT / 'ansible_mitogen' / 'plugins' / 'strategy'),
        'ANSIBLE_STRATEGY': 'mitogen_linear',
    },
    'callback': {'ANSIBLE_CALLBACKS_ENABLED': 'junit,mitogen.ansible.mitogen'},
}

#: The same for all engines.
_ENGINES = {'stock': {}, **SWITCHES}

#: How the host that a target tests is reached, as variables of the inventory.
WAYS = {
    'local': {'ansible_connection': 'local'},
    'ssh': {'ansible_connection': 'ssh', 'ansible_host': 'localhost', 'ansible_user': 'root'},
}

#: Programs that targets use: where they are in the source distribution, and those that are made.
_INJECTOR = 'test/lib/ansible_test/_util/target/injector'
_PROGRAMS = '/tmp/programs'

#: Seconds that a world has beyond its target's to be made and to go away.
_ALLOWANCE = 30

#: Status of a program that `timeout` has ended.
_TIMED_OUT = (124, 137)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    :param status: 'passed', 'failed' or 'timed out'.
    :param log: what it printed.
    """

    status: str
    seconds: float
    log: Path

    @property
    def passed(self) -> bool:
        """Whether the target is content."""
        return self.status == 'passed'


class Runner:
    """Runs targets of one ansible-core.

    :param source: its unpacked source distribution.
    :param wheels: the folder of what targets have pip install.
    :param bin_folder: of the environment that it is installed in.
    :param base: the folder that logs go to, in one of their own.
    :param timeout: seconds that one target may take.
    """

    def __init__(self, source: Path, wheels: Path, bin_folder: Path, base: Path, timeout: int) -> None:
        self._source = source
        self._wheels = wheels
        self._bin = bin_folder
        self._timeout = timeout
        self._logs = base.with_name(base.name + '-logs')
        self._library = next(bin_folder.parent.glob('lib/python*'))
        self._integration = source / 'test' / 'integration'

    def run(self, target: Target, way: str, engine: str) -> Outcome:
        """Run a target in a world of its own.

        :param engine: 'stock', or what switches this project on.
        """
        folder = self._logs / ('%s-%s' % (engine, way))
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / (target.name + '.log')
        base = Path(tempfile.mkdtemp(prefix='world-'))
        program = self._program(target, way)
        command = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--net', '--ipc', '--uts', 'sh', str(WORLD),
                   str(base), 'timeout', '--kill-after', '5', str(self._timeout), 'sh', '-c', program]
        began = time.monotonic()
        try:
            with log.open('wb') as output:
                status = subprocess.run(
                    command, env=self._environment(target, engine), stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, timeout=self._timeout + _ALLOWANCE).returncode
        except subprocess.TimeoutExpired:
            status = _TIMED_OUT[0]
        finally:
            shutil.rmtree(base, ignore_errors=True)
        word = 'passed' if status == 0 else 'timed out' if status in _TIMED_OUT else 'failed'
        return Outcome(word, time.monotonic() - began, log)

    def _program(self, target: Target, way: str) -> str:
        """What happens in the world: the files that ansible-test makes, and the target itself."""
        variables = {'ansible_pipelining': True, 'ansible_python_interpreter': str(self._bin / 'python'), **WAYS[way]}
        inventory = '[testgroup]\ntesthost %s\n' % ' '.join('%s="%s"' % item for item in variables.items())
        play = [{
            'hosts': 'testhost', 'gather_facts': target.gathers_facts, 'vars': {'output_dir': '/tmp/output'},
            'roles': [target.name],
        }]
        lines = ['mkdir -p /tmp/output ' + _PROGRAMS, _write('inventory', inventory), ': > /tmp/ansible.cfg',
                 _write(_PROGRAMS + '/python.py', '#!/bin/sh\nexec python "$@"'), 'chmod +x %s/*' % _PROGRAMS]
        if target.script:
            lines += ['cd targets/%s' % target.name, 'exec ./%s -v' % target.script.name]
        else:
            lines += [_write('%s-play.yml' % target.name, json.dumps(play)),
                      'exec ansible-playbook %s-play.yml -i inventory -v' % target.name]
        return '\n'.join(['set -eu', *lines])

    def _environment(self, target: Target, engine: str) -> dict[str, str]:
        return {
            'HOME': '/root',
            'LANG': 'C.UTF-8',
            'LC_ALL': 'C.UTF-8',
            'PATH': os.pathsep.join([str(self._bin), _PROGRAMS, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin',
                                     '/usr/bin', '/sbin', '/bin', str(self._source / _INJECTOR)]),
            'PAGER': '/bin/cat',
            # Some targets make environments of their own, which find ansible-core as those of ansible-test do.
            'PYTHONPATH': os.pathsep.join([str(ROOT), str(self._library / 'site-packages')]),
            'WORLD_DIRECTORY': str(self._integration),
            'WORLD_WHEELS': str(self._wheels),
            'ANSIBLE_PYTHON_MODULE_RLIMIT_NOFILE': '1024',
            'ANSIBLE_FORCE_COLOR': 'false',
            'ANSIBLE_FORCE_HANDLERS': 'true',
            'ANSIBLE_HOST_PATTERN_MISMATCH': 'error',
            'ANSIBLE_INVENTORY': '/dev/null',
            'ANSIBLE_DEPRECATION_WARNINGS': 'false',
            'ANSIBLE_HOST_KEY_CHECKING': 'false',
            'ANSIBLE_RETRY_FILES_ENABLED': 'false',
            'ANSIBLE_CONFIG': '/tmp/ansible.cfg',
            'ANSIBLE_LIBRARY': '/dev/null',
            'ANSIBLE_DEVEL_WARNING': 'false',
            'ANSIBLE_PYTHON_INTERPRETER': '/set/ansible_python_interpreter/in/inventory',
            'ANSIBLE_CALLBACKS_ENABLED': 'junit',
            'ANSIBLE_PLAYBOOK_DIR': str(target.folder if target.script else self._integration),
            'ANSIBLE_TEST_CI': '',
            'ANSIBLE_TEST_COVERAGE': '',
            'ANSIBLE_TEST_ANSIBLE_VERSION': self._source.name.rpartition('-')[2],
            'ANSIBLE_TEST_ANSIBLE_LIB_ROOT': str(self._library / 'site-packages' / 'ansible'),
            'ANSIBLE_TEST_PREFER_VENV': '1',
            'ANSIBLE_TEST_PYTHON_INTERPRETER': str(self._bin / 'python'),
            'ANSIBLE_TEST_PYTHON_VERSION': self._library.name.removeprefix('python'),
            'JUNIT_OUTPUT_DIR': '/tmp/junit',
            'JUNIT_TASK_RELATIVE_PATH': str(self._source),
            'OUTPUT_DIR': '/tmp/output',
            'INVENTORY_PATH': str(self._integration / 'inventory'),
            **({} if target.script else {'ANSIBLE_ROLES_PATH': 'targets'}),
            **self._plugin_paths(),
            **target.environment,
            **_ENGINES[engine],
        }

    def _plugin_paths(self) -> dict[str, str]:
        """The plugins that come with the targets."""
        support = self._source / 'test' / 'support' / 'integration' / 'plugins'
        names = {'module_utils': 'MODULE_UTILS', 'modules': 'LIBRARY'}
        return {'ANSIBLE_%s' % names.get(folder.name, folder.name.upper() + '_PLUGINS'): str(folder)
                for folder in support.iterdir() if folder.is_dir()}


def _write(path: str, text: str) -> str:
    """Shell text that writes a file."""
    return "cat > %s <<'END'\n%s\nEND" % (path, text)
