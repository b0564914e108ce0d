"""Changes to what a login, a become program or a library reads: tasks see them when they would under stock Ansible."""

import os
import secrets
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.names import name_server
from tests.harness.project import Project, Run
from tests.harness.sshd import Sshd

# What an agent or a zygote has to notice is the same under each ansible-core.
pytestmark = pytest.mark.once

#: What an account's processes get from files that only logging in, or becoming, reads.
LOOK = '''
- name: {name} looks, {when}
  command: {{argv: [python3, -c, "{code}"]}}
  {become}
'''

#: What opens the connections that are to see the changes.
OPEN = '''
- name: {name} looks, before
  raw: python3 -c "{code}"
  {become}
'''

CODE = ('import os, resource; print(sorted(os.getgroups()), resource.getrlimit(resource.RLIMIT_NOFILE)[0], '
        "os.environ.get('FROM_BASHRC'), os.environ.get('PATH', '').split(':')[0])")

#: Commands of the shell where no module is under test: under stock a module costs more than all that it does here.
CHANGES = '''
- name: change groups and limits
  run_once: true
  raw: >-
    set -e; for name in {plain} {other}; do
    usermod --append --groups games $name; echo "$name - nofile 500"; done > /etc/security/limits.d/{plain}.conf
  delegate_to: root
- name: change start-up file
  raw: sed -i '1i export FROM_BASHRC=yes PATH=/first:$PATH' ~/.bashrc
  # Not on the host whose login changes otherwise: ours sees all of that once it logs in anew for one of it.
  when: inventory_hostname == 'web2'
'''


def look(when: str, task: str = LOOK) -> str:
    return ''.join(task.format(name=name, when=when, code=CODE, become=become) for name, become in (
        ('login', ''), ('sudo', 'become: true'), ('sudo to another', 'become: true\n  become_user: "{{ other }}"')))


def play(project: Project, sshd: Sshd, accounts: Accounts, engine: Engine) -> Run:
    me, third, other = accounts.nopasswd, accounts.passwd, accounts.other
    project.add_host('web1', sshd.variables(me), other=other.name)
    project.add_host('web2', sshd.variables(third, ansible_become_password=third.password), other=other.name)
    project.add_host('root', sshd.variables())
    bashrc = third.home / '.bashrc'
    before = bashrc.read_text()
    tasks = (look('before', OPEN) + CHANGES.format(plain=me.name, other=other.name) + look('after')
             + '- meta: reset_connection\n' + look('after the reset'))
    try:
        return project.play(tasks, engine, hosts='web1,web2', timeout=400).assert_ok()
    finally:
        bashrc.write_text(before)
        Path(f'/etc/security/limits.d/{me.name}.conf').unlink(missing_ok=True)
        for account in (me, other):
            subprocess.run(['gpasswd', '--delete', account.name, 'games'], capture_output=True)


def test_changes_are_seen_when_stock_would_see_them(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    # What opens a connection may have a terminal, where line ends are others, and there is one more after a password.
    stock, found = ({(result.task, result.host): result.result['stdout'].strip() for result in
                     play(project, sshd, accounts, engine).results if ' looks' in result.task}
                    for engine in (STOCK, MITOGEN))
    assert found == stock
    assert len(set(stock.values())) > 3


@pytest.fixture
def own_etc(session_folder: Path, accounts: Accounts) -> Iterator[Sshd]:
    """An sshd whose sessions have an /etc of their own; else the test is skipped, or fails where CI is set."""
    server = Sshd(session_folder / ('etc' + secrets.token_hex(3)), copied=['/etc'])
    try:
        if not server.private:
            (pytest.fail if os.environ.get('CI') else pytest.skip)('needs a machine that allows mount namespaces')
        yield server
    finally:
        server.stop()


ENVIRONMENT = '''
- name: login {when}
  command: {{argv: [python3, -c, "import os; print(os.environ.get('FROM_ETC'))"]}}
- name: sudo {when}
  command: {{argv: [python3, -c, "import os; print(os.environ.get('FROM_ETC'))"]}}
  become: true
- name: su {when}
  command: {{argv: [python3, -c, "import os; print(os.environ.get('FROM_ETC'))"], chdir: /}}
  become: true
  become_method: su
  become_user: "{{{{ other }}}}"
  vars: {{ansible_become_password: "{{{{ password }}}}"}}
'''

SET = '''
- name: set {value}
  raw: sed -i '/^FROM_ETC=/d' /etc/environment && echo FROM_ETC={value} >> /etc/environment
  delegate_to: root
'''

RESET = '- meta: reset_connection\n'


def test_variables_of_the_machine_are_seen_when_stock_would_see_them(
    project: Project, own_etc: Sshd, accounts: Accounts
) -> None:
    project.add_host('web1', own_etc.variables(
        accounts.nopasswd, other=accounts.other.name, password=accounts.other.password))
    project.add_host('root', own_etc.variables())
    tasks = ''.join((
        SET.format(value='one'), RESET, ENVIRONMENT.format(when='before'), SET.format(value='two'),
        ENVIRONMENT.format(when='after'), RESET, ENVIRONMENT.format(when='after the reset')))
    # su wants a terminal, and stock then puts modules into files.
    project.configure('defaults', allow_world_readable_tmpfiles='True')
    machine = Path('/etc/environment').read_bytes()
    stock, found = ({name: result.result['stdout'] for result in project.play(
        tasks, engine, hosts='web1', timeout=300).assert_ok().results if (name := result.task) and 'stdout' in
        result.result} for engine in (STOCK, MITOGEN))
    assert found == stock
    assert [stock[f'login {when}'] for when in ('before', 'after', 'after the reset')] == ['one', 'one', 'two']
    # Debian's sudo does not read the file, and its su does each time.
    assert stock['su after'] == 'two'
    assert Path('/etc/environment').read_bytes() == machine


#: Asks the C library, in the module's own process.
ASKS = '''
import socket
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({})
try:
    address = socket.getaddrinfo('host.mitogen.test', None, socket.AF_INET)[0][4][0]
except socket.gaierror as exc:
    address = 'none'
try:
    port = socket.getservbyname('mitogen-test')
except OSError:
    port = None
module.exit_json(address=address, port=port)
'''

#: Another file takes the place of the former, as modules and package managers do it.
CONF = '''
- name: {{name}}
  raw: >-
    printf '{text}' > /etc/{path}.new && mv /etc/{path}.new /etc/{path}
  delegate_to: root
'''
NAME_SERVER = CONF.format(path='resolv.conf', text='nameserver {server}\\noptions timeout:1 attempts:1\\n')
SWITCH = CONF.format(path='nsswitch.conf', text=(
    'passwd: files\\ngroup: files\\nhosts: {hosts}\\nservices: {services}\\n'))
ADD = '''
- name: add to {file}
  raw: (cat /etc/{file}; echo {line}) > /etc/{file}.new && mv /etc/{file}.new /etc/{file}
  delegate_to: root
'''
ASK = '''
- {{name: "ask as login: {name}", asks: }}
- {{name: "ask as sudo: {name}", asks: , become: true}}
'''


def test_settings_of_the_c_library_are_seen_at_once(
    engine: Engine, project: Project, own_etc: Sshd, accounts: Accounts
) -> None:
    project.write('library/asks.py', ASKS)
    project.add_host('web1', own_etc.variables(accounts.nopasswd))
    project.add_host('root', own_etc.variables())
    # Other test runs of this machine have their own.
    first, second = (f'127.{secrets.randbelow(250) + 2}.{secrets.randbelow(250) + 2}.{host}' for host in (53, 54))
    steps = {
        'before': SWITCH.format(name='switch', hosts='files dns', services='files')
        + NAME_SERVER.format(name='first server', server=first)
        + ADD.format(file='services', line='mitogen-test 4242/tcp'),
        'another server': NAME_SERVER.format(name='second server', server=second),
        'no services': SWITCH.format(name='no services', hosts='files dns', services='db'),
        'no servers': SWITCH.format(name='no servers', hosts='files', services='files'),
        'in hosts': ADD.format(file='hosts', line='10.0.0.3 host.mitogen.test'),
        'as before': SWITCH.format(name='servers', hosts='dns', services='files'),
    }
    tasks = ''.join(step + ASK.format(name=name) for name, step in steps.items())
    with ExitStack() as stack:
        stack.enter_context(name_server(first, '10.0.0.1'))
        stack.enter_context(name_server(second, '10.0.0.2'))
        run = project.play(tasks, engine, hosts='web1', timeout=300).assert_ok()
    for account in ('login', 'sudo'):
        asked = {name: run.task(f'ask as {account}: {name}').result for name in steps}
        assert {name: (result['address'], result['port']) for name, result in asked.items()} == {
            'before': ('10.0.0.1', 4242), 'another server': ('10.0.0.2', 4242), 'no services': ('10.0.0.2', None),
            'no servers': ('none', 4242), 'in hosts': ('10.0.0.3', 4242), 'as before': ('10.0.0.2', 4242)}, account


#: Imports what may be there, in its own process.
OPTIONAL = '''
from ansible.module_utils.basic import AnsibleModule
try:
    from brand_new_library import part
    value = part.VALUE
except ImportError:
    value = None

module = AnsibleModule({})
module.exit_json(value=value)
'''


def make_wheel(folder: Path, version: str) -> Path:
    """A library for pip, whose parts know its version."""
    info = f'brand_new_library-{version}.dist-info'
    files = {
        'brand_new_library/__init__.py': '',
        'brand_new_library/part.py': f'VALUE = {version!r}\n',
        f'{info}/METADATA': f'Metadata-Version: 2.1\nName: brand-new-library\nVersion: {version}\n',
        f'{info}/WHEEL': 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    }
    path = folder / f'brand_new_library-{version}-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        for name, text in {**files, f'{info}/RECORD': ''.join(f'{name},,\n' for name in files)}.items():
            wheel.writestr(name, text)
    return path


#: Runs a pip that is elsewhere. The first line has the path of the interpreter: what is longer than 127 bytes the
#: kernel does not take.
PIP = '''\
#!{python}
import sys
from pip._internal.cli.main import main
sys.exit(main())
'''

#: The module does so by other calls of pip that list what there is; the command does nothing else.
STEPS = '''
- {name: before, optional: }
- {name: install, pip: {name: "{{ first }}", executable: "{{ pip }}", extra_args: --no-index --no-deps --no-compile}}
- {name: after install, optional: }
- {name: upgrade, command: "{{ pip }} install --no-index --no-deps --no-compile {{ second }}"}
- {name: after upgrade, optional: }
- {name: remove, pip: {name: brand-new-library, executable: "{{ pip }}", state: absent}}
- {name: after remove, optional: }
- {name: again, command: "{{ pip }} install --no-index --no-deps --no-compile {{ first }}"}
- {name: after again, optional: }
'''


@pytest.fixture(scope='session')
def pip_folder(session_folder: Path) -> Path:
    """A folder with pip in it, compiled, for virtual environments that have none of their own."""
    subprocess.run(['/usr/bin/python3', '-m', 'venv', str(session_folder / 'with-pip')], check=True)
    (folder,) = (session_folder / 'with-pip').glob('lib/python3*/site-packages')
    return folder


def make_virtual_environment(folder: Path, pip_folder: Path) -> Path:
    """A virtual environment for the machine's Python; returns its pip."""
    subprocess.run(['/usr/bin/python3', '-m', 'venv', '--without-pip', str(folder)], check=True)
    (site,) = folder.glob('lib/python3*/site-packages')
    (site / 'pip.pth').write_text(f'{pip_folder}\n')
    pip = folder / 'bin' / 'pip'
    pip.write_text(PIP.format(python=folder / 'bin' / 'python'))
    pip.chmod(0o755)
    return pip


@pytest.mark.xdist_group('pip')
def test_what_pip_does_is_seen_by_the_next_module(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts, pip_folder: Path
) -> None:
    project.write('library/optional.py', OPTIONAL)
    first, second = (str(make_wheel(project.folder, version)) for version in ('1.0', '2.0'))
    for host, become in (('login', False), ('sudo', True)):
        virtual = project.folder / host
        pip = make_virtual_environment(virtual, pip_folder)
        if not become:
            subprocess.run(['chown', '--recursive', accounts.nopasswd.name, str(virtual)], check=True)
        project.add_host(host, sshd.variables(
            accounts.nopasswd, ansible_python_interpreter=str(virtual / 'bin' / 'python'), ansible_become=become,
            pip=str(pip), first=first, second=second))
    run = project.play(STEPS, engine, timeout=300).assert_ok()
    for host in ('login', 'sudo'):
        values = [run.task(name, host).result['value'] for name in (
            'before', 'after install', 'after upgrade', 'after remove', 'after again')]
        assert values == [None, '1.0', '2.0', None, '1.0'], host
