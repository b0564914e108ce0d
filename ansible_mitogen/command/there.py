"""Checks of hosts: a playbook of a few tasks, and what its results mean."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_mitogen.command.ansible import PlayRun, Settings, play, switched_on
from ansible_mitogen.command.findings import Finding
from ansible_mitogen.command.remedies import explain

_PLAYBOOK = Path(__file__).with_name('files') / 'doctor.yml'

Result = dict[str, Any]


def check_there(arguments: Sequence[str], settings: Settings, wants_become: bool) -> list[Finding]:
    """Look at hosts.

    :param arguments: of ansible-playbook: which inventory, which hosts, and how to log in.
    :param wants_become: that become does not work is a problem, for all hosts.
    """
    run = play([*arguments, '-vvv', str(_PLAYBOOK)], settings, switched_on(settings, 'free'))
    by_host: dict[str, dict[str, Result]] = {}
    for result in run.results:
        by_host.setdefault(result['host'], {})[result['task']] = result
    if not by_host:
        return [_no_host(run)]
    ways = {host: json.loads(results['address']['message']) for host, results in by_host.items()}
    findings = []
    for host, results in by_host.items():
        way = ways[host]
        findings += _of_host(host, results, way, wants_become)
        # Notes bear addresses. Of two hosts at one address it cannot be told which is meant.
        alone = sum(other['address'] == way['address'] for other in ways.values()) == 1
        if alone and 'interpreter' in results:
            notes = re.findall(rf'^<{re.escape(way["address"])}> MITOGEN: (.*)$', run.output, re.MULTILINE)
            findings.append(_speed(host, notes))
    return findings


def _no_host(run: PlayRun) -> Finding:
    lines = [line for line in run.output.splitlines() if re.search(r'ERROR|WARNING|no hosts matched', line)]
    return Finding('', 'inventory', 'problem', ' '.join(lines[:2]) or 'Ansible ended before it reached a host.',
                   'Check -i and the name of the host (ansible-inventory --graph shows what there is).')


def _of_host(host: str, results: dict[str, Result], way: dict[str, Any], wants_become: bool) -> list[Finding]:
    login = results.get('login')
    account = ' as %s' % way['user'] if way['user'] else ''
    to = f'{way["connection"]} to {way["address"]}{account}'
    if login is None or login['status'] != 'ok':
        text, remedy = explain('login', login['message'] if login else '')
        return [Finding(host, 'login', 'problem', f'{to}: {text}', remedy)]
    findings = [Finding(host, 'login', 'ok', to)]
    findings.append(_interpreter(host, results.get('interpreter')))
    if 'become' in results:
        findings.append(_become(host, results['become'], way, wants_become))
    return findings


def _interpreter(host: str, result: Result | None) -> Finding:
    if result is not None and result['status'] == 'ok':
        return Finding(host, 'interpreter', 'ok', result['python'])
    text, remedy = explain('interpreter', result['message'] if result else '')
    return Finding(host, 'interpreter', 'problem', text, remedy)


def _speed(host: str, notes: list[str]) -> Finding:
    left = [note for note in notes if note.startswith('left to the stock')]
    opened = [found.group(1) for note in notes if (found := re.match(r'opened .*? in (\d+) ms', note))]
    if left:
        return Finding(host, 'speed', 'warning', left[0], 'Tasks work, at the speed of stock Ansible.')
    if not notes:
        return Finding(host, 'speed', 'warning', 'the connection is not one of those that can be persistent',
                       'Tasks work, at the speed of stock Ansible.')
    return Finding(host, 'speed', 'ok', 'modules run over one connection' + (
        ', opened in %s ms' % opened[0] if opened else ''))


def _become(host: str, result: Result, way: dict[str, Any], wanted: bool) -> Finding:
    if result['status'] == 'ok':
        return Finding(host, 'become', 'ok', '%s to %s' % (way['method'], result['stdout'].strip()))
    text, remedy = explain('become', result['message'])
    state = 'problem' if wanted or way['become'] else 'warning'
    return Finding(host, 'become', state, f'{way["method"]}: {text}', remedy)
