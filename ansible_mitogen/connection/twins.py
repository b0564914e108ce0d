"""The persistent twin of each stock connection class that has one."""

import inspect
import sys

from ansible.plugins.connection import ConnectionBase
from ansible.plugins.connection import local as stock_local
from ansible.plugins.connection import ssh as stock_ssh

from ansible_mitogen.connection.persistent import PersistentConnection
from ansible_mitogen.connection.program import ProgramConnection, starts_programs

#: The stock classes that have a twin, with what it needs of them: methods and their first parameters.
NEEDS: dict[type, dict[str, list[str]]] = {
    stock_ssh.Connection: {
        '_build_command': ['binary', 'subsystem', 'other_args'],
        'exec_command': ['cmd', 'in_data', 'sudoable'],
        'put_file': ['in_path', 'out_path'],
        'fetch_file': ['in_path', 'out_path'],
    },
    stock_local.Connection: {
        'exec_command': ['cmd', 'in_data', 'sudoable'],
        'put_file': ['in_path', 'out_path'],
    },
}

#: The same for any other class that starts a program for each command.
_PROGRAM_NEEDS = {
    'exec_command': ['cmd', 'in_data', 'sudoable'],
    'put_file': ['in_path', 'out_path'],
    'fetch_file': ['in_path', 'out_path'],
}

_twins: dict[type, type | None] = {}


def unfit_reasons() -> list[str]:
    """Return why stock classes that should have a twin have none: one sentence for each."""
    return [reason for stock in NEEDS if (reason := _unfit_reason(stock))]


def twin_of(stock: type) -> type | None:
    """Return the persistent subclass of a stock class, None if there is none."""
    if stock not in _twins:
        known = _as_imported(stock)
        if known is not stock:
            _twins[stock] = twin_of(known)
        else:
            _twins[stock] = _make_twin(stock) if _has_twin(stock) else None
    return _twins[stock]


def _as_imported(stock: type) -> type:
    """Return the class that we know of the same source file, or the class itself.

    Ansible loads a plugin again, into another module, when it has forgotten it and is asked by another name.
    """
    source = _source_of(stock)
    return next((known for known in NEEDS if source and _source_of(known) == source), stock)


def _source_of(stock: type) -> str | None:
    return getattr(sys.modules.get(stock.__module__), '__file__', None)


def _has_twin(stock: type) -> bool:
    if stock in NEEDS:
        return not _unfit_reason(stock)
    # What has a twin already, or is something more than ssh or local, is left as it is.
    return issubclass(stock, ConnectionBase) and not issubclass(stock, (PersistentConnection, *NEEDS)) and \
        (starts_programs(stock) or _is_lxc(stock)) and not _unfit_reason(stock)


def _is_lxc(stock: type) -> bool:
    return stock.__module__ == 'ansible_collections.community.general.plugins.connection.lxc'


def _make_twin(stock: type) -> type:
    # Imported late: what a mixin needs of the stock module may not be there.
    mixin: type = ProgramConnection
    if stock is stock_ssh.Connection:
        from ansible_mitogen.connection.ssh import SshConnection as mixin
    elif stock is stock_local.Connection:
        from ansible_mitogen.connection.local import LocalConnection as mixin
    elif _is_lxc(stock):
        from ansible_mitogen.connection.lxc import LxcConnection as mixin
    # Ansible derives the type of a plugin from the name of its class.
    return type('Connection', (mixin, stock), {'__module__': mixin.__module__, '__doc__': mixin.__doc__})


def _unfit_reason(stock: type) -> str:
    if stock is stock_ssh.Connection and not callable(getattr(stock_ssh, '_ssh_retry', None)):
        return '%s._ssh_retry is not there' % stock.__module__
    for name, wanted in NEEDS.get(stock, _PROGRAM_NEEDS).items():
        method = getattr(stock, name, None)
        found = list(inspect.signature(method).parameters)[1:] if callable(method) else None
        if found is None or found[:len(wanted)] != wanted:
            return '%s.%s is not there, or takes other parameters' % (stock.__module__, name)
    return ''
