"""What messages of ssh, sudo and Ansible mean, in plain words, and what to do."""

import re

#: For each check: a pattern, what it means, what to do. Groups of the pattern are put in. The first that fits counts.
_KNOWN: dict[str, tuple[tuple[str, str, str], ...]] = {
    'login': (
        (r'Could not resolve hostname ([^\s:]+)', 'The name {0} is not known here.',
         'Correct ansible_host or the name in the inventory, or add it to DNS or /etc/hosts.'),
        (r'Connection refused', 'The host is there, but nothing listens on that port.',
         'Start sshd there, or set ansible_port to its port.'),
        (r'No route to host|Network is unreachable', 'There is no way to that address in the network.',
         'Check ansible_host, VPN and routes.'),
        (r'REMOTE HOST IDENTIFICATION HAS CHANGED', 'The key of the host is not the one in known_hosts.',
         'If it was reinstalled, remove the old key: ssh-keygen -R HOST. If not, somebody may be in between.'),
        (r'Host key verification failed|host key checking', 'The key of the host is not known yet.',
         'Log in once with ssh and compare the key, or put it into known_hosts.'),
        (r'UNPROTECTED PRIVATE KEY|bad permissions', 'ssh does not use the key, as others may read its file.',
         'chmod 600 the key file.'),
        (r'Permission denied \(([^)]*)\)', 'The login was refused (the host accepts: {0}).',
         'Check ansible_user and the key (ansible_ssh_private_key_file, ssh-add -l), or give a password with -k.'),
        (r'Invalid/incorrect (?:username/)?password', 'The password was refused.',
         'Check ansible_user and ansible_password.'),
        (r'No user exists for uid (\d+)', 'ssh does not run here: uid {0} of this machine has no entry in /etc/passwd.',
         'Add one; the page on execution environments shows how.'),
        (r'[Tt]imed? ?out', 'There was no answer in time.',
         'Check ansible_host, ansible_port and firewalls. `timeout` says how long ssh waits.'),
        (r"connection plugin|couldn't resolve", 'The connection plugin is not installed.',
         'Install its collection, or correct ansible_connection.'),
    ),
    'interpreter': (
        (r'no Python 3\.6 or later, (\S+) is (\S+)', 'The Python there is too old: {0} is {1}.',
         'Install a newer one, or set ansible_python_interpreter to one.'),
        (r'(?:No such file or directory|not found).*?python|python[^\n]*(?:not found|No such file or directory)'
         r'|no Python found|No python interpreters found|interpreter .*not found',
         'No Python was found where it was looked for.',
         'Install python3 there (the raw module works without), or set ansible_python_interpreter to its path.'),
        (r'requires? (?:a minimum of )?Python|SyntaxError',
         'The Python there is too old for the modules of this Ansible.',
         'Set ansible_python_interpreter to a newer one.'),
    ),
    'become': (
        (r'Missing (\S+) password|password is required', 'A password is asked for, and none was given.',
         'Run with -K, or set ansible_become_password (in a vault).'),
        (r'Incorrect (\S+) password|Sorry, try again|Authentication failure|Duplicate become password',
         'The password was refused.', 'Check ansible_become_password. sudo asks for the login account\'s own.'),
        (r'not in the sudoers|not allowed to', 'The account may not do that.',
         'Allow it in /etc/sudoers.d, or set another ansible_become_user or ansible_become_method.'),
        (r'no new privileges|must be owned by uid 0|effective uid is not 0|must be setuid',
         'The become program cannot change the account: it has no setuid bit here, or a container forbids it.',
         'Log in as the account itself (ansible_user), or start the container without no-new-privileges.'),
        (r'(sudo|su|doas)[^\n]*(?:not found|No such file)', '{0} is not installed there.',
         'Install it, or set ansible_become_method to what there is.'),
        (r'[Tt]imed? ?out', 'The become program neither went on nor asked something that its plugin knows.',
         'Try the command by hand; look with -vvv at what it printed.'),
    ),
}


def explain(check: str, message: str) -> tuple[str, str]:
    """Return what a message means and what to do; the message's own first lines where it is not known.

    :param check: ``login``, ``interpreter`` or ``become``.
    """
    for pattern, meaning, remedy in _KNOWN[check]:
        found = re.search(pattern, message)
        if found:
            return meaning.format(*(group or '' for group in found.groups())), remedy
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return ' '.join(lines[:3]) or 'It failed without a message.', 'Run the same with -vvv to see more.'
