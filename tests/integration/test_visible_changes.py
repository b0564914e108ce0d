"""Changes to what a login or a become program reads: tasks see them when they would under stock Ansible."""

import subprocess

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

#: What an account's processes get from files that only logging in, or becoming, reads.
LOOK = '''
- name: {name} looks, {when}
  command: {{argv: [python3, -c, "{code}"]}}
  {become}
'''

CODE = ('import os, resource; print(sorted(os.getgroups()), resource.getrlimit(resource.RLIMIT_NOFILE)[0], '
        "os.environ.get('FROM_BASHRC'), os.environ.get('PATH', '').split(':')[0])")

CHANGES = '''
- name: change group
  run_once: true
  user: {{name: "{{{{ item }}}}", groups: [games], append: true}}
  loop: {accounts}
  delegate_to: root
- name: change limits
  run_once: true
  copy:
    dest: /etc/security/limits.d/{plain}.conf
    content: "{plain} - nofile 500\\n{other} - nofile 500\\n"
  delegate_to: root
- name: change start-up file
  lineinfile:
    path: ~/.bashrc
    insertbefore: BOF
    line: export FROM_BASHRC=yes PATH=/first:$PATH
  # Not on the host whose login changes otherwise: ours sees all of that once it logs in anew for one of it.
  when: inventory_hostname == 'web2'
'''

UNDO = '''
- name: undo limits
  run_once: true
  file: {{path: /etc/security/limits.d/{plain}.conf, state: absent}}
  delegate_to: root
'''


def look(when: str) -> str:
    return ''.join(LOOK.format(name=name, when=when, code=CODE, become=become) for name, become in (
        ('login', ''), ('sudo', 'become: true'), ('sudo to another', 'become: true\n  become_user: "{{ other }}"')))


def play(project: Project, sshd: Sshd, accounts: Accounts, engine: Engine) -> Run:
    me, third, other = accounts.nopasswd, accounts.passwd, accounts.other
    project.add_host('web1', sshd.variables(me), other=other.name)
    project.add_host('web2', sshd.variables(third, ansible_become_password=third.password), other=other.name)
    project.add_host('root', sshd.variables())
    bashrc = third.home / '.bashrc'
    before = bashrc.read_text()
    words = {'plain': me.name, 'other': other.name, 'accounts': f'[{me.name}, {other.name}]'}
    tasks = (look('before') + CHANGES.format(**words) + look('after') + '- meta: reset_connection\n'
             + look('after the reset') + UNDO.format(**words))
    try:
        return project.play(tasks, engine, hosts='web1,web2', timeout=400).assert_ok()
    finally:
        bashrc.write_text(before)
        for account in (me, other):
            subprocess.run(['gpasswd', '--delete', account.name, 'games'], capture_output=True)


def test_changes_are_seen_when_stock_would_see_them(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    stock, found = ({(result.task, result.host): result.result['stdout'] for result in
                     play(project, sshd, accounts, engine).results if ' looks' in result.task}
                    for engine in (STOCK, MITOGEN))
    assert found == stock
    assert len(set(stock.values())) > 3
