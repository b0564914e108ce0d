"""The command's words, and what each calls."""

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Sequence

from ansible_mitogen.command import bench, config, findings
from ansible_mitogen.command.ansible import NoAnsible, Settings
from ansible_mitogen.command.completion import SHELLS, script
from ansible_mitogen.command.console import Console
from ansible_mitogen.command.here import check_here
from ansible_mitogen.command.there import check_there

#: Options of ansible-playbook that are passed on, with and without a value.
_WITH_VALUE = (('-u', '--user'), ('-e', '--extra-vars'), ('--private-key',), ('--become-method',), ('--become-user',),
               ('--vault-password-file',))
_WITHOUT_VALUE = (('-k', '--ask-pass'), ('-K', '--ask-become-pass'), ('-b', '--become'))


def main() -> None:
    """Run the command, with the arguments of this process."""
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def run(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status: 1 for a problem that was found, 2 if it could not do its work."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    console = Console()
    try:
        if options.command == 'config':
            return _config(options, console)
        if options.command == 'doctor':
            return _doctor(options, console)
        if options.command == 'bench':
            return _bench(options, console)
    except (NoAnsible, bench.RunFailed) as exc:
        print(f'ansible-mitogen: {exc}', file=sys.stderr)
        return 2
    console.line(script(options.shell, parser).rstrip())
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(prog='ansible-mitogen', description='Helps with running Ansible over mitogen.')
    parser.add_argument('--version', action='version', version='%(prog)s ' + _version())
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    command = commands.add_parser('config', help='print the lines for ansible.cfg')
    command.add_argument('--strategy', action='store_true', help='those for a strategy, not for the callback')
    command.add_argument('--json', action='store_true', help='print JSON')

    command = commands.add_parser('doctor', help='check this machine, and hosts')
    command.add_argument('host', nargs='?', help='a host or group of the inventory; by default all, if -i is given')
    _add_common(command)

    command = commands.add_parser('bench', help='time a playbook stock and with mitogen (a check run)')
    command.add_argument('playbook')
    command.add_argument('-l', '--limit', metavar='HOSTS', help='only these hosts')
    command.add_argument('--runs', type=_positive, default=2, metavar='N', help='for each; the fastest counts (2)')
    command.add_argument('--really', action='store_true', help='change hosts: no check run')
    _add_common(command)

    command = commands.add_parser('completion', help='print a script that completes these words in a shell')
    command.add_argument('shell', choices=SHELLS)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument('-i', '--inventory', action='append', default=[], metavar='FILE',
                         help='as of ansible-playbook')
    command.add_argument('--json', action='store_true', help='print JSON')
    for names in _WITH_VALUE:
        command.add_argument(*names, action='append', metavar='X', help=argparse.SUPPRESS)
    for names in _WITHOUT_VALUE:
        command.add_argument(*names, action='store_true', help=argparse.SUPPRESS)
    command.epilog = 'Options of ansible-playbook that are passed on: ' + ', '.join(
        name for names in _WITH_VALUE + _WITHOUT_VALUE for name in names)


def _passed_on(options: argparse.Namespace) -> list[str]:
    """Return the arguments that ansible-playbook gets."""
    words = [word for path in options.inventory for word in ('-i', path)]
    for names in _WITH_VALUE:
        for value in getattr(options, names[-1].lstrip('-').replace('-', '_')) or ():
            words += [names[-1], value]
    for names in _WITHOUT_VALUE:
        if getattr(options, names[-1].lstrip('-').replace('-', '_')):
            words.append(names[-1])
    return words


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _version() -> str:
    try:
        return importlib.metadata.version('mitogen')
    except importlib.metadata.PackageNotFoundError:
        return '(not installed)'


def _config(options: argparse.Namespace, console: Console) -> int:
    lines = config.lines(options.strategy)
    if options.json:
        console.line(json.dumps({'by_full_name': config.found_by_full_name(), 'lines': lines}, indent=2))
    else:
        for line in lines:
            console.line(line)
    return 0


def _doctor(options: argparse.Namespace, console: Console) -> int:
    with console.working('Looking at this machine'):
        found, settings = check_here()
    if settings is not None and (options.inventory or options.host):
        words = _passed_on(options) + (['--limit', options.host] if options.host else [])
        with console.working('Looking at %s' % (options.host or 'all hosts'),
                             quiet=options.ask_pass or options.ask_become_pass):
            found += check_there(words, settings, options.become or options.ask_become_pass)
    if options.json:
        console.line(json.dumps([finding.as_json() for finding in found], indent=2))
    else:
        findings.show(found, console)
    return int(any(finding.state == 'problem' for finding in found))


def _bench(options: argparse.Namespace, console: Console) -> int:
    words = [*_passed_on(options), *(['--limit', options.limit] if options.limit else []), options.playbook]
    with console.working('Reading the configuration'):
        settings = Settings.read()
    report = bench.bench(words, settings, options.runs, options.really, console)
    if options.json:
        console.line(json.dumps(report, indent=2))
    else:
        bench.show(report, console)
    return int(report['failed']['mitogen'] > report['failed']['stock'] or bool(report['differences']))
