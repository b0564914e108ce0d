"""Where this project steps into Ansible: one module for each hook, all listed here."""

import os

from ansible.release import __version__ as ansible_release
from ansible.utils.display import Display

from ansible_mitogen.hooks.base import Hook
from ansible_mitogen.hooks.connection_choice import ConnectionChoice
from ansible_mitogen.hooks.connection_variables import ConnectionVariables
from ansible_mitogen.hooks.early_start import EarlyStart
from ansible_mitogen.hooks.fact_cleaning import FactCleaning
from ansible_mitogen.hooks.garbage import Garbage
from ansible_mitogen.hooks.make_folder import MakeFolder
from ansible_mitogen.hooks.module_imports import ModuleImports
from ansible_mitogen.hooks.module_kinds import ModuleKinds
from ansible_mitogen.hooks.module_mends import CommandSpawn, CommandWaits
from ansible_mitogen.hooks.module_zips import ModuleZips
from ansible_mitogen.hooks.modules_ahead import ModulesAhead
from ansible_mitogen.hooks.option_names import OptionNames
from ansible_mitogen.hooks.option_values import OptionValues
from ansible_mitogen.hooks.permissions import Permissions
from ansible_mitogen.hooks.plain_keywords import PlainKeywords
from ansible_mitogen.hooks.remove_folder import RemoveFolder
from ansible_mitogen.hooks.ssh_arguments import SshArguments
from ansible_mitogen.hooks.strategy_choice import StrategyChoice
from ansible_mitogen.hooks.template_code import TemplateCode
from ansible_mitogen.hooks.unchanged_copy import UnchangedCopy
from ansible_mitogen.hooks.warm_up import WarmUp
from ansible_mitogen.hooks.worker_threads import WorkerThreads
from ansible_mitogen.switched_off import is_switched_off
from ansible_mitogen.versions import untested_reason

display = Display()

_threads = WorkerThreads()

#: In the order in which they are installed: garbage before there is more, the connections before those who watch which
#: are chosen.
HOOKS: tuple[Hook, ...] = (
    Garbage(), EarlyStart(), ConnectionChoice(), ConnectionVariables(), _threads, FactCleaning(), ModuleImports(),
    ModuleKinds(), ModuleZips(), ModulesAhead(_threads), TemplateCode(), OptionNames(), OptionValues(), PlainKeywords(),
    SshArguments(), WarmUp(), StrategyChoice(), MakeFolder(), RemoveFolder(), Permissions(), UnchangedCopy(),
    CommandWaits(), CommandSpawn())

_installed_by = 0


def install(forks: int, adopt_stock: bool = False) -> None:
    """Install the hooks that fit, once in a process, and warn once of those that do not or of a version that is new.

    :param forks: how many workers the run has.
    :param adopt_stock: plays under the stock strategies are ours, too: the switch is not a strategy.
    """
    global _installed_by
    if _installed_by == os.getpid():
        return
    _installed_by = os.getpid()
    unfit = []
    for hook in HOOKS:
        if isinstance(hook, StrategyChoice) and not adopt_stock:
            continue
        if is_switched_off(hook.name):
            display.vvv('MITOGEN: hook %s is switched off' % hook.name)
            continue
        reason = hook.unfit_reason()
        if reason:
            unfit.append('%s (%s; %s)' % (hook.name, reason, hook.loss))
        else:
            unfit += ['part of %s (%s)' % (hook.name, part) for part in hook.missing_parts()]
            hook.install(forks)
    untested = untested_reason(ansible_release)
    if unfit or untested:
        display.warning('%s.%s Everything else works as usual.' % (
            untested or 'mitogen does not know this version of ansible-core',
            ' Left out: %s.' % ', '.join(unfit) if unfit else ''))
