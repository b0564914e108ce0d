"""Modules and plugins that tests put into their projects."""

#: Reports where and how it runs.
PROBE = '''
import json
import os
import sys

from ansible.module_utils.basic import AnsibleModule


def ancestors():
    pid = os.getpid()
    while pid > 1:
        with open('/proc/%d/stat' % pid) as stat:
            name, rest = stat.read().rpartition(')')[0::2]
        yield [pid, name.partition('(')[2]]
        pid = int(rest.split()[1])


def main():
    module = AnsibleModule(argument_spec={'leave': {'type': 'bool', 'default': False}})
    leaked = getattr(json, 'left_by_a_probe', None)
    umask = os.umask(0)
    os.umask(umask)
    report = dict(
        pid=os.getpid(), parent=os.getppid(), uid=os.getuid(), cwd=os.getcwd(), executable=sys.executable,
        version=list(sys.version_info[:3]), argv=sys.argv, file=__file__, environ=dict(os.environ), leaked=leaked,
        ancestors=list(ancestors()), umask=umask, groups=sorted(os.getgroups()), session=os.getsid(0),
        open_files=sorted(os.listdir('/proc/self/fd')), stdin=os.readlink('/proc/self/fd/0'),
    )
    try:
        os.close(os.open('/dev/tty', os.O_RDWR))
        report['tty'] = True
    except OSError:
        report['tty'] = False
    if module.params['leave']:
        json.left_by_a_probe = True
        os.environ['LEFT_BY_A_PROBE'] = 'yes'
        os.chdir('/')
        os.umask(0o077)
    module.exit_json(changed=False, **report)


if __name__ == '__main__':
    main()
'''

#: A become plugin with a dialogue of its own: it asks on stderr, in its own words.
GATE_PLUGIN = '''
from __future__ import annotations

from ansible.plugins.become import BecomeBase

DOCUMENTATION = """
name: gate
short_description: through a gate
description: Asks for a word of its own, then goes on with sudo.
options:
  become_user: {description: who, default: root, vars: [{name: ansible_become_user}], keyword: [{name: become_user}]}
  become_exe: {description: the gate, required: true, vars: [{name: ansible_become_exe}]}
  become_flags: {description: flags, default: "", vars: [{name: ansible_become_flags}]}
  become_pass: {description: the word, vars: [{name: ansible_become_password}]}
"""


class BecomeModule(BecomeBase):
    name = 'gate'
    fail = ('the gate stays closed',)
    missing = ('the gate wants a word',)
    prompt = 'Halt! The word?'

    def build_become_command(self, cmd, shell):
        super().build_become_command(cmd, shell)
        if not cmd:
            return cmd
        return '%s %s %s' % (self.get_option('become_exe'), self.get_option('become_user'),
                             self._build_success_command(cmd, shell))
'''

#: What the plugin runs on the target.
GATE = '''\
#!/bin/sh
user=$1
shift
printf 'Halt! The word? ' >&2
IFS= read -r word
if [ "$word" != 'open sesame' ]; then
    echo 'the gate stays closed' >&2
    exit 1
fi
exec sudo -n -H -u "$user" "$@"
'''

#: Stands in for ``machinectl``: what it starts has a terminal, whatever it has itself.
MACHINECTL = '''\
#!/usr/bin/python3
import json, os, pty, sys

with open("{log}", "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
account = sys.argv[3].rpartition("@")[0]
status = pty.spawn(["sudo", "-n", "-H", "-u", account, "--", *sys.argv[4:]])
sys.exit(os.WEXITSTATUS(status))
'''
