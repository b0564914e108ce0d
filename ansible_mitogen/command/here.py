"""Checks of this machine."""

import importlib.metadata
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_mitogen.command.ansible import NoAnsible, Settings, program
from ansible_mitogen.command.findings import Finding
from ansible_mitogen.mux import launcher
from ansible_mitogen.names import CALLBACK_NAMES
from ansible_mitogen.versions import TESTED, is_too_old, untested_reason

#: Descriptors that the multiplexer keeps open for one connection over ssh, and for itself.
_FILES_EACH, _FILES_BASE = 4, 64


def check_here() -> tuple[list[Finding], Settings | None]:
    """Look at this machine. Without settings there is no Ansible to go on with."""
    findings = [_python(), _packages(), _core()]
    settings = None
    try:
        for name in ('ansible-playbook', 'ansible-config'):
            program(name)
        settings = Settings.read()
        findings += [_switch(settings), _ssh(), _temporary_folder(), _open_files(settings)]
    except NoAnsible as exc:
        findings.append(Finding('', 'programs', 'problem', str(exc)))
    return findings, settings


def _python() -> Finding:
    return Finding('', 'Python', 'ok', 'Python %d.%d.%d at %s' % (*sys.version_info[:3], sys.executable))


def _packages() -> Finding:
    ours = Path(__file__).parents[2]
    spec = importlib.util.find_spec('mitogen')
    theirs = Path(spec.origin or '').parents[1] if spec else None
    if theirs != ours:
        return Finding('', 'packages', 'problem', f'ansible_mitogen is in {ours}, but mitogen is in {theirs}',
                       'Another package of that name is in the way: pip uninstall mitogen, then install this again.')
    return Finding('', 'packages', 'ok', f'mitogen and ansible_mitogen in {ours}')


def _core() -> Finding:
    try:
        version = importlib.metadata.version('ansible-core')
    except importlib.metadata.PackageNotFoundError:
        return Finding('', 'ansible-core', 'problem', 'it is not installed beside this package',
                       f'{sys.executable} -m pip install ansible-core')
    text = f'ansible-core {version}'
    if is_too_old(version):
        return Finding('', 'ansible-core', 'problem', text + ' is too old',
                       f'Use one of {TESTED[0].version} to {TESTED[-1].version}.')
    untested = untested_reason(version)
    if untested:
        return Finding('', 'ansible-core', 'warning', untested,
                       'What does not fit it is left to stock Ansible, with a warning.')
    return Finding('', 'ansible-core', 'ok', text)


def _switch(settings: Settings) -> Finding:
    strategy = settings.values.get('DEFAULT_STRATEGY')
    by_callback = [*CALLBACK_NAMES.intersection(settings.names('CALLBACKS_ENABLED'))]
    if by_callback:
        return Finding('', 'switch', 'ok', 'callbacks_enabled has %s, from %s' % (
            by_callback[0], settings.origins['CALLBACKS_ENABLED']))
    if str(strategy).startswith(('mitogen.ansible.', 'mitogen_')) or strategy == 'mitogen':
        return Finding('', 'switch', 'ok', 'strategy is %s, from %s' % (strategy, settings.origins['DEFAULT_STRATEGY']))
    return Finding('', 'switch', 'warning', f'ansible.cfg does not switch it on here: strategy is {strategy}',
                   'ansible-mitogen config prints the lines. (A play may still say so itself.)')


def _ssh() -> Finding:
    path = shutil.which('ssh')
    if path is None:
        return Finding('', 'ssh', 'warning', 'there is no ssh on the PATH',
                       'Install the OpenSSH client, unless no host is reached by ssh.')
    ended = subprocess.run([path, '-V'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return Finding('', 'ssh', 'ok', '%s at %s' % ((ended.stderr or ended.stdout).split(',')[0].strip(), path))


def _temporary_folder() -> Finding:
    try:
        folder = launcher.make_directory(os.getpid())
        os.rmdir(folder)
    except OSError as exc:
        return Finding('', 'temporary folder', 'problem', f'no private folder can be made: {exc}',
                       'Set TMPDIR to a folder that this account can write to.')
    return Finding('', 'temporary folder', 'ok', f'{os.path.dirname(folder)} can be written to')


def _open_files(settings: Settings) -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    forks = int(settings.values.get('DEFAULT_FORKS') or 5)
    wanted = _FILES_BASE + _FILES_EACH * forks
    if hard not in (resource.RLIM_INFINITY, -1) and hard < wanted:
        return Finding('', 'open files', 'warning', f'the limit is {hard}, and {forks} forks may need {wanted}',
                       f'Raise it (ulimit -Hn {wanted}), or lower forks.')
    return Finding('', 'open files', 'ok', f'enough for {forks} forks')
