"""What every forked worker would load anew is loaded once, in the process that they are forked from."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

from ansible.plugins import loader
from ansible.plugins.connection import local as stock_local
from ansible.plugins.connection import ssh as stock_ssh
from ansible.utils.display import Display

from ansible_mitogen.connection.twins import twin_of
from ansible_mitogen.hooks.base import Hook

display = Display()

#: Modules that action plugins run besides the one of their own name.
_COMMON_MODULES = ('command', 'copy', 'file', 'setup', 'stat')


class WarmUp(Hook):
    """Loads classes, codecs and plugin paths in the main process, before it forks workers.

    It changes nothing: what it cannot load here is loaded by the workers, as ever.
    """

    name = 'warm'
    loss = 'every task loads plugins that the main process could have loaded once'

    def unfit_reason(self) -> str:
        """It replaces nothing and always fits."""
        return ''

    def install(self, forks: int) -> None:
        """Load what all tasks need."""
        for load in (_load_twins, _load_codecs, _load_shell, _name_files):
            _try(load)
        for name in _COMMON_MODULES:
            _try(_find_module, 'ansible.legacy.' + name, [])


#: Actions, become methods and connections that were prepared already.
_prepared: set[tuple[str, ...]] = set()


def prepare_task(task: Any) -> None:
    """Load what a task will need of plugins, once for all tasks like it. To be called before a worker is forked."""
    key = (task.action, *(task.collections or ()))
    if key not in _prepared:
        _prepared.add(key)
        _try(_find_module, task.action, task.collections)
        _try(_find_module, 'ansible.legacy.' + task.action.rpartition('.')[2], [])
    method = ('become', str(task.become_method)) if task.become else ()
    if method and method not in _prepared:
        _prepared.add(method)
        _try(loader.become_loader.get, method[1])


def _load_twins() -> None:
    for name, stock in (('ssh', stock_ssh.Connection), ('local', stock_local.Connection)):
        twin_of(stock)
        loader.connection_loader.get(name, class_only=True)


def _load_codecs() -> None:
    # Not there before ansible-core 2.19.
    from ansible.module_utils.common import json
    for direction in json.Direction:
        json.get_module_encoder('legacy', direction)
        json.get_module_decoder('legacy', direction)


def _load_shell() -> None:
    loader.get_shell_plugin(shell_type='sh')


def _name_files() -> None:
    # Whoever uses what is deprecated, ansible-core finds on the stack; and to use a strategy from outside is. If Python
    # does not know yet which modules are there, it looks for the true path of every module that is loaded.
    known: Any = getattr(inspect, 'modulesbyfile', {})
    for name, module in list(sys.modules.items()):
        path = getattr(module, '__dict__', {}).get('__file__')
        if path:
            known.setdefault(path, name)


def _find_module(name: str, collections: Any) -> None:
    loader.module_loader.find_plugin_with_context(name, collection_list=collections)


def _try(load: Callable[..., Any], *args: Any) -> None:
    try:
        load(*args)
    except Exception as exc:
        display.vvvv('MITOGEN: %s%r is left to the workers: %s' % (load.__name__, args, exc))
