"""Modules are built, and taken to pieces, while tasks before those that need them wait for their hosts."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import ansible.modules
from ansible import constants as C
from ansible.executor import module_common
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import module_loader
from ansible.template import Templar
from ansible.utils.display import Display

from ansible_mitogen import ansiballz, link
from ansible_mitogen.hooks.base import Hook, parameters_of
from ansible_mitogen.hooks.worker_threads import WorkerThreads
from ansible_mitogen.workers.idle import IdleThread

display = Display()

#: How many tasks ahead. What they need is built in vain if all of them are skipped.
_AHEAD = 20

#: What action plugins run that have modules of other names.
_MODULES_OF = {
    'assemble': ('assemble', 'copy', 'file', 'stat'), 'copy': ('copy', 'file', 'stat'), 'fetch': ('stat', 'slurp'),
    'shell': ('command',), 'template': ('copy', 'file', 'stat'), 'unarchive': ('stat', 'unarchive'),
}

_PARAMETERS = frozenset(['module_name', 'module_path', 'module_args', 'templar', 'task_vars', 'module_compression'])

_STOCK_FOLDER = os.path.join(os.path.dirname(os.path.realpath(ansible.modules.__file__)), '')


class ModulesAhead(Hook):
    """Has modules built that tasks to come will need, in a thread of its own, while no task is at work.

    Ansible builds each kind of module once for a run, and keeps it in a file; whoever needs it meanwhile waits for that
    file. It is the same function that builds it here. Then the multiplexer gets it.

    :param threads: the hook by which tasks run in threads: else nobody knows when none is at work.
    """

    name = 'modules-ahead'
    loss = 'the first use of each module takes some 60 ms longer'

    def __init__(self, threads: WorkerThreads) -> None:
        self._threads = threads

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        if self._threads.gate is None:
            return ''
        missing = _PARAMETERS.difference(parameters_of(module_common.modify_module))
        return 'modify_module does not take %s' % ', '.join(sorted(missing)) if missing else ''

    def install(self, forks: int) -> None:
        """Make the thread, which starts with the first play."""
        if self._threads.gate is not None:
            outlook.idle_thread = IdleThread(self._threads.gate)


class Outlook:
    """Which modules a play needs next. Until the hook gives it a thread, it does nothing."""

    def __init__(self) -> None:
        self.idle_thread: IdleThread | None = None
        self._known: set[str] = set()
        self._tasks: list[Any] = []
        self._positions: dict[str, int] = {}
        self._seen = 0

    def begin_play(self, blocks: Iterable[Any]) -> None:
        """Take the tasks of a play."""
        if self.idle_thread is not None:
            self._tasks = list(tasks_of(blocks))
            self._positions = {task._uuid: position for position, task in enumerate(self._tasks)}
            self._seen = 0

    def note_task(self, task: Any) -> None:
        """Have modules built for this task, which is queued now, and for those that follow."""
        position = self._positions.get(task._uuid)
        if self.idle_thread is None or position is None:
            return
        stop = position + 1 + _AHEAD
        if stop <= self._seen:
            return
        # Its own are built by itself, but while it waits for its host the multiplexer can have them, too.
        coming, self._seen = self._tasks[max(self._seen, position):stop], stop
        jobs = []
        for name, collections in ((name, one.collections) for one in coming for name in modules_of(one.action)):
            if name not in self._known:
                self._known.add(name)
                jobs.append(partial(_build, name, list(collections or ())))
        self.idle_thread.add(jobs)

    def end_play(self) -> None:
        """Nothing more is built. What is being built now is finished: its folder is removed at the end of the run."""
        if self.idle_thread is not None:
            self.idle_thread.stop()


outlook = Outlook()


def tasks_of(blocks: Iterable[Any]) -> Iterator[Any]:
    """Yield the tasks of blocks, in order."""
    for block in blocks:
        for one in (*block.block, *block.rescue, *block.always):
            if hasattr(one, 'block'):
                yield from tasks_of([one])
            else:
                yield one


def modules_of(action: str) -> list[str]:
    """Return the names of the modules that a task with this action is likely to run."""
    prefix, _, name = action.rpartition('.')
    if prefix in ('', 'ansible.builtin', 'ansible.legacy') and name in _MODULES_OF:
        return list(_MODULES_OF[name])
    return [action]


def _build(name: str, collections: list[str]) -> None:
    """Build a module of ansible-core as the first task that needs it would. Others may print warnings when built."""
    try:
        found = module_loader.find_plugin_with_context(name, collection_list=collections)
        path = found.plugin_resolved_path
        if not path or not os.path.realpath(path).startswith(_STOCK_FOLDER):
            return
        # An interpreter is needed to go on to the end, whichever.
        variables = {'ansible_facts': {'discovered_interpreter_python': sys.executable}}
        compression = C.config.get_config_value('DEFAULT_MODULE_COMPRESSION', variables={})
        build: Callable[[], Any] = partial(
            module_common.modify_module, module_name=name, module_path=path, module_args={},
            templar=Templar(DataLoader(), variables=variables), task_vars=variables, module_compression=compression)
        build()
        # From its file, as the tasks do.
        payload = ansiballz.parse_payload(getattr(build(), 'b_module_data', b''))
        client = link.running_client()
        if payload is not None and client is not None:
            client.keep_zip(payload.zip_id, payload.zip_base64)
    except Exception as exc:
        display.vvvv('MITOGEN: the module %s is left to the first task that needs it: %s' % (name, exc))
