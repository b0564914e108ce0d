"""Connections into containers: the stock plugins' own command lines, and modules that run from memory there."""

import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness import images
from tests.harness.budget_play import budget_tasks, budgets, round_trips
from tests.harness.containers import Container, Engine
from tests.harness.engines import MITOGEN
from tests.harness.engines import Engine as Strategy
from tests.harness.probes import PROBE
from tests.harness.profiles import enable_profile
from tests.harness.project import Project, Run

pytestmark = pytest.mark.xdist_group('containers')

#: Runs in each kind of container, by whatever connection.
TASKS = '''
- name: probe
  probe:
  register: report
- name: parent
  command: cat /proc/{{ report.parent }}/cmdline
- name: traces
  command: find / -xdev ( -iname "*ansiballz*" -o -path "*/.ansible/tmp/*" )
- name: copy
  copy: {content: "{{ 'x' * 300000 }}", dest: "/var/tmp/{{ inventory_hostname }}", mode: "0640"}
- name: copy again
  copy: {content: "{{ 'x' * 300000 }}", dest: "/var/tmp/{{ inventory_hostname }}", mode: "0640"}
- name: fetch
  fetch: {src: "/var/tmp/{{ inventory_hostname }}", dest: "{{ playbook_dir }}/fetched/"}
- name: raw
  raw: echo $0; pwd
- name: async
  command: id -un
  async: 60
  poll: 1
  # There HOME is that of the controller, and the account's folder another one: stock loses the job as well.
  when: inventory_hostname != 'chroot'
- name: become
  command: id -un
  become: true
  become_user: guest
- name: become by su
  command: id -un
  become: true
  become_user: guest
  become_method: su
- name: reset
  meta: reset_connection
- name: after the reset
  command: hostname
'''


#: Without a network of its own, and with pseudo-terminals.
LXC_CONFIG = '''\
lxc.uts.name = %s
lxc.rootfs.path = dir:%s
lxc.net.0.type = none
lxc.mount.auto = proc sys
lxc.pty.max = 16
'''


@dataclass
class Place:
    """Where containers run that have an account `guest`, and how the connections find them."""

    docker: Container
    podman: Container
    buildah: str
    lxc: str
    root: Path
    env: dict[str, str]


@pytest.fixture(scope='module')
def place(docker: Engine, podman: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        in_docker = stack.enter_context(docker.container(docker.image(), '--init'))
        in_podman = stack.enter_context(podman.container(podman.image()))
        buildah = images.run(['buildah', 'from', '--pull-never', podman.image()], podman.env).strip()
        stack.callback(subprocess.run, ['buildah', 'rm', buildah], env=podman.env, capture_output=True)
        root = tmp_path_factory.mktemp('root')
        images.run(['tar', '-C', root, '-xf', images.archive_of('bookworm')])
        # What works without any of the kernel's folders.
        images.run(['chroot', root, 'useradd', '--create-home', 'guest'])
        for container in (in_docker, in_podman):
            container.add_account('guest')
        images.run(['buildah', 'run', buildah, '--', 'useradd', '--create-home', 'guest'], podman.env)
        lxc_root = tmp_path_factory.mktemp('lxc')
        # It has to be entered from outside, as root of the container.
        for folder in (lxc_root, *lxc_root.parents[:2]):
            folder.chmod(0o755)
        images.run(['cp', '-a', f'{root}/.', lxc_root])
        lxc = stack.enter_context(lxc_container(lxc_root))
        for folder, mount in (('proc', ['-t', 'proc', 'proc']), ('dev', ['--bind', '/dev']),
                              ('dev/pts', ['--bind', '/dev/pts'])):
            images.run(['mount', *mount, root / folder])
            stack.callback(subprocess.run, ['umount', root / folder], capture_output=True)
        yield Place(in_docker, in_podman, buildah, lxc, root, {**docker.settings, **podman.settings})


@pytest.fixture
def with_collections(project: Project, collections_path: str) -> Project:
    project.configure('defaults', collections_path=collections_path, interpreter_python='/usr/bin/python3')
    project.write('library/probe.py', PROBE)
    return project


def hosts(place: Place) -> dict[str, dict[str, Any]]:
    """A host for each connection, by the names that users know."""
    return {
        'docker-short': {'ansible_connection': 'docker', 'ansible_host': place.docker.name},
        'docker-full': {'ansible_connection': 'community.docker.docker', 'ansible_host': place.docker.name},
        'podman-short': {'ansible_connection': 'podman', 'ansible_host': place.podman.name},
        'podman-full': {'ansible_connection': 'containers.podman.podman', 'ansible_host': place.podman.name},
        'buildah': {'ansible_connection': 'containers.podman.buildah', 'ansible_host': place.buildah},
        'lxc': {'ansible_connection': 'community.general.lxc', 'ansible_host': place.lxc},
        'chroot': {'ansible_connection': 'community.general.chroot', 'ansible_host': str(place.root)},
    }


@contextmanager
def lxc_container(root: Path) -> Iterator[str]:
    """An LXC container on a root folder, under the one path where the connection looks for it; yields its name."""
    name = 'mt-' + secrets.token_hex(4)
    folder = Path('/var/lib/lxc', name)
    folder.mkdir(parents=True)
    try:
        (folder / 'config').write_text(LXC_CONFIG % (name, root))
        images.run(['lxc-start', '--name', name, '--', '/bin/sleep', 'infinity'])
        yield name
    finally:
        subprocess.run(['lxc-stop', '--name', name, '--kill'], capture_output=True)
        shutil.rmtree(folder)


def assert_runs_from_memory(run: Run, host: str) -> None:
    """The module was a fork of our zygote, and no file of it has been in the container."""
    assert 'MITOGEN-1' in run.task('parent', host).result['stdout']
    assert run.task('traces', host).result['stdout'] == ''


def commands_of(run: Run) -> str:
    """What the user saw, commands without quotes: the collections of ansible-core 2.16 show them as lists."""
    return re.sub(r"[\[\],]|b?'", '', run.text)


def test_every_connection_runs_modules_from_memory(with_collections: Project, place: Place) -> None:
    project = with_collections
    everywhere = hosts(place)
    for name, variables in everywhere.items():
        project.add_host(name, variables)
    run = project.play(TASKS, MITOGEN, env=place.env, arguments=['-vvv'], timeout=400).assert_ok()
    assert 'left to the stock' not in run.text
    for host in everywhere:
        assert_runs_from_memory(run, host)
        assert run.task('copy', host).result['changed'] is True
        assert run.task('copy again', host).result['changed'] is False
        assert (project.folder / 'fetched' / host / 'var' / 'tmp' / host).read_text() == 'x' * 300000
        assert run.task('raw', host).result['stdout_lines'] == ['/bin/sh', '/']
        assert host == 'chroot' or run.task('async', host).result['stdout'] == 'root'
        assert run.task('become', host).result['stdout'] == 'guest'
        assert run.task('become by su', host).result['stdout'] == 'guest'
        assert run.task('after the reset', host).status == 'ok'
    assert not run.left


# The same budgets are tested with ssh on each ansible-core, with and without an account.
@pytest.mark.once
@pytest.mark.parametrize('account', ['', 'guest'])
def test_tasks_wait_for_their_container_as_often_as_for_a_host(
        account: str, with_collections: Project, place: Place) -> None:
    project = with_collections
    profile = enable_profile(project)
    everywhere = {name: variables for name, variables in hosts(place).items() if not name.endswith('-full')}
    for name, variables in everywhere.items():
        project.add_host(name, variables, work='{{ made.path }}')
    keywords = {'become': True, 'become_user': account} if account else {}
    # Folders that went along with a job are gone like those that stock makes.
    traces = '- {name: traces, command: find / -xdev -path "*/ansible-tmp-*", become: false}\n'
    run = project.play(
        budget_tasks(project) + traces, MITOGEN, env=place.env, keywords=keywords, timeout=400).assert_ok()
    wanted = budgets(become=bool(account))
    assert {name: round_trips(profile, name) for name in everywhere} == dict.fromkeys(everywhere, wanted)
    left = {name: run.task('traces', name).result['stdout'] for name in everywhere}
    assert left == dict.fromkeys(everywhere, '')


def test_options_of_the_stock_plugin_mean_what_they_do(with_collections: Project, place: Place) -> None:
    project = with_collections
    project.add_host('c1', ansible_connection='docker', ansible_host=place.docker.name, ansible_user='guest',
                     ansible_docker_extra_args='--log-level error', ansible_docker_working_dir='/usr/share',
                     ansible_docker_extra_env={'GIVEN': 'yes'})
    run = project.play('''
        - {name: probe, probe: }
        - {name: raw, raw: id -un}
    ''', MITOGEN, env=place.env, arguments=['-vvv']).assert_ok()
    probe = run.task('probe').result
    assert (probe['cwd'], probe['environ']['GIVEN'], probe['environ']['HOME']) == ('/usr/share', 'yes', '/home/guest')
    assert run.task('raw').result['stdout'].strip() == 'guest'
    assert 'docker --log-level error exec -u guest -e GIVEN=yes -w /usr/share -i' in commands_of(run)


def test_a_container_that_is_not_there_is_unreachable(
        engine: Strategy, with_collections: Project, place: Place) -> None:
    project = with_collections
    project.configure('connection', pipelining='False')
    for name in ('docker', 'podman'):
        project.add_host(name, ansible_connection=name, ansible_host='mt-none')
    project.add_host('there', ansible_connection='docker', ansible_host=place.docker.name)
    run = project.play('- {name: ping, ping: }', engine, env=place.env)
    assert [run.task('ping', host).status for host in ('docker', 'podman', 'there')] == [
        'unreachable', 'unreachable', 'ok']
    if engine.ours:
        for host, said in (('docker', 'Error response from daemon: No such container: mt-none'),
                           ('podman', 'Error: no container with name or ID "mt-none"')):
            assert '%s mt-none: %s' % (host, said) in run.task('ping', host).message


def test_a_container_without_python_serves_raw(engine: Strategy, with_collections: Project, docker: Engine) -> None:
    project = with_collections
    with docker.container(docker.image(), '--init') as container:
        container.run('sh', '-c', 'rm /usr/bin/python3*')
        project.add_host('bare', ansible_connection='docker', ansible_host=container.name)
        run = project.play('''
            - {name: raw, raw: uname}
            - {name: ping, ping: }
        ''', engine, env=dict(docker.settings))
    assert run.task('raw').result['stdout'].strip() == 'Linux'
    assert run.task('ping').status == 'failed'
    assert '/usr/bin/python3' in run.text


def test_our_own_names_and_what_works_without_the_collections(
        project: Project, place: Place, collections_path: str) -> None:
    project.configure('defaults', interpreter_python='/usr/bin/python3', collections_path=str(project.home))
    for name in ('docker', 'mitogen_docker', 'podman', 'mitogen_podman'):
        project.add_host(name, ansible_connection=name, ansible_host=(
            place.docker if 'docker' in name else place.podman).name, ansible_user='guest')
    # Machines of systemd: no collection has a plugin for them.
    missing = ('lxd', 'nspawn', 'machinectl', 'mitogen_nspawn', 'mitogen_machinectl')
    for name in ('mitogen_lxd', *missing):
        project.add_host(name, ansible_connection=name)
    tasks = '''
        - {name: copy, copy: {content: abc, dest: "/tmp/{{ inventory_hostname }}"}}
        - {name: who, command: id -un}
    '''
    without = project.play(tasks, MITOGEN, env=place.env, arguments=['-vvv'])
    for name in missing:
        assert "the connection plugin '%s' was not found" % name in without.task('copy', name).message
    assert 'mitogen_lxd needs the collection community.general, which is not installed' in without.task(
        'copy', 'mitogen_lxd').message
    project.configure('defaults', collections_path=collections_path)
    with_them = project.play(tasks, MITOGEN, env=place.env, arguments=['-vvv'], hosts='mitogen_docker')
    for run, names in ((without, ('docker', 'mitogen_docker', 'podman', 'mitogen_podman')),
                       (with_them, ('mitogen_docker',))):
        for name in names:
            assert run.task('who', name).result['stdout'] == 'guest'
        assert 'left to the stock' not in run.text
    assert 'docker exec -u guest -i' in commands_of(with_them)
