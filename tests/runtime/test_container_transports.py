"""Contexts in real containers, and in other accounts there, over each other to any depth."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitogen.master import HopError, Router
from tests.harness import images
from tests.harness.accounts import Accounts
from tests.harness.containers import Container, Engine
from tests.harness.processes import wait_until
from tests.harness.sshd import Sshd

pytestmark = pytest.mark.xdist_group('containers')

#: Accounts in the Docker container, with their passwords. `guest` may use doas without one, `member` with it.
PASSWORDS = {'guest': '', 'member': 'sesame', 'other': 'other sesame'}

DOAS_CONF = 'permit nopass guest as other\npermit member as other\n'

PYTHON = ['/usr/bin/python3']


@pytest.fixture
def router() -> Iterator[Router]:
    router = Router()
    yield router
    router.broker.shutdown()
    router.broker.join(20)
    assert not router.broker.thread.is_alive()


@pytest.fixture(scope='module')
def docker_container(docker: Engine) -> Iterator[Container]:
    with docker.container(docker.image(), '--init', '--hostname', 'inside-docker') as container:
        for name, password in PASSWORDS.items():
            container.add_account(name, password)
        container.run('sh', '-c', 'printf "$1" > /etc/doas.conf', 'sh', DOAS_CONF)
        yield container


@pytest.fixture
def in_docker(router: Router, docker_container: Container, monkeypatch: pytest.MonkeyPatch) -> Any:
    use(docker_container.engine, monkeypatch)
    return router.docker(docker_container.name, python=PYTHON)


@pytest.fixture(scope='module')
def podman_container(podman: Engine) -> Iterator[Container]:
    with podman.container(podman.image(), '--env', 'container=inside-podman') as container:
        yield container


@pytest.fixture(scope='module')
def root_folder(docker: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder of Debian's, outside of any container."""
    folder = tmp_path_factory.mktemp('root')
    images.run(['tar', '-C', folder, '-xf', images.archive_of('bookworm')])
    (folder / 'mt-root').mkdir()
    return folder


def use(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs that this process starts find the engine's containers."""
    for name, value in engine.settings.items():
        monkeypatch.setenv(name, value)


def test_docker(in_docker: Any) -> None:
    assert in_docker.call(socket.gethostname) == 'inside-docker'
    assert in_docker.call(os.getuid) == 0
    assert in_docker.info['executable'] == '/usr/bin/python3'


def test_docker_as_another_account(router: Router, docker_container: Container,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    use(docker_container.engine, monkeypatch)
    context = router.docker(docker_container.name, username='guest', args=['--env', 'WITH=this'], python=PYTHON)
    assert context.call(os.path.expanduser, '~') == '/home/guest'
    assert context.call(os.getenv, 'WITH') == 'this'


def test_a_container_that_is_not_there_is_named(router: Router, docker: Engine, podman: Engine,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    use(docker, monkeypatch)
    use(podman, monkeypatch)
    for method in (router.docker, router.podman):
        with pytest.raises(HopError, match='mt-none: .*[Nn]o such container'):
            method('mt-none', python=PYTHON)
    with pytest.raises(HopError, match='setns docker mt-none: .*[Nn]o such'):
        router.setns('mt-none', 'docker', python=PYTHON)


def test_podman_and_its_namespaces(router: Router, podman_container: Container,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    use(podman_container.engine, monkeypatch)
    context = router.podman(podman_container.name, python=PYTHON)
    assert context.call(os.getenv, 'container') == 'inside-podman'
    entered = router.setns(podman_container.name, 'podman', python=PYTHON)
    assert entered.call(os.readlink, '/proc/self/ns/pid') == context.call(os.readlink, '/proc/self/ns/pid')
    assert context.call(os.readlink, '/proc/self/ns/pid') != os.readlink('/proc/self/ns/pid')


def test_buildah(router: Router, podman: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(podman, monkeypatch)
    image = podman.image()
    name = images.run(['buildah', 'from', '--pull-never', image]).strip()
    try:
        images.run(['buildah', 'config', '--env', 'container=inside-buildah', name])
        context = router.buildah(name, python=PYTHON)
        assert context.call(os.getenv, 'container') == 'inside-buildah'
        assert context.call(os.getuid) == 0
    finally:
        router.broker.shutdown()
        router.broker.join(20)
        images.run(['buildah', 'rm', name])


def test_namespaces_of_docker_by_name_and_by_process(
        router: Router, in_docker: Any, docker_container: Container) -> None:
    namespace = in_docker.call(os.readlink, '/proc/self/ns/pid')
    for name, kind in ((docker_container.name, 'docker'), (docker_container.pid, 'pid')):
        context = router.setns(name, kind, python=PYTHON)
        assert context.call(socket.gethostname) == 'inside-docker'
        assert context.call(os.readlink, '/proc/self/ns/pid') == namespace


def test_chroot(router: Router, root_folder: Path) -> None:
    context = router.chroot(str(root_folder), python=PYTHON)
    assert 'mt-root' in context.call(os.listdir, '/')
    other = router.chroot(str(root_folder), username='daemon', python=PYTHON)
    assert other.call(os.getuid) == 1


def test_lxc_and_its_namespaces(router: Router, root_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'mt-lxc'
    folder.mkdir()
    tmp_path.chmod(0o755)
    (folder / 'config').write_text(
        'lxc.uts.name = inside-lxc\nlxc.rootfs.path = dir:%s\nlxc.net.0.type = none\nlxc.mount.auto = proc sys\n'
        % root_folder)
    where = ['-P', str(tmp_path), '-n', 'mt-lxc']
    images.run(['lxc-start', *where, '--', '/bin/sleep', 'infinity'])
    try:
        context = router.lxc('mt-lxc', args=['-P', str(tmp_path)], python=PYTHON)
        assert context.call(socket.gethostname) == 'inside-lxc'
        info = tmp_path / 'lxc-info'
        info.write_text('#!/bin/sh\nexec lxc-info -P "%s" "$@"\n' % tmp_path)
        info.chmod(0o755)
        entered = router.setns('mt-lxc', 'lxc', program=str(info), python=PYTHON)
        assert entered.call(os.readlink, '/proc/self/ns/pid') == context.call(os.readlink, '/proc/self/ns/pid')
    finally:
        subprocess.run(['lxc-stop', *where, '--kill'], capture_output=True)


def test_doas_without_and_with_a_password(router: Router, docker_container: Container,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    use(docker_container.engine, monkeypatch)
    other = int(docker_container.run('id', '-u', 'other'))
    guest = router.docker(docker_container.name, username='guest', python=PYTHON)
    assert router.doas('other', via=guest, python=PYTHON).call(os.getuid) == other
    member = router.docker(docker_container.name, username='member', python=PYTHON)
    assert router.doas('other', via=member, password='sesame', python=PYTHON).call(os.getuid) == other
    for secret in ('wrong', None):
        with pytest.raises(HopError, match='doas other: .*(password|not allow)'):
            router.doas('other', via=member, password=secret, python=PYTHON)
    with pytest.raises(HopError, match='doas root: it does not allow that'):
        router.doas('root', via=guest, python=PYTHON)


def test_su_and_sudo_in_a_container(router: Router, docker_container: Container, in_docker: Any) -> None:
    guest = router.su('guest', via=in_docker, python=PYTHON)
    assert guest.call(os.path.expanduser, '~') == '/home/guest'
    other = router.su('other', via=guest, password=PASSWORDS['other'], python=PYTHON)
    assert other.call(os.getuid) == int(docker_container.run('id', '-u', 'other'))
    with pytest.raises(HopError, match='su other: the password is wrong'):
        router.su('other', via=guest, password='wrong', python=PYTHON)
    assert router.sudo('guest', via=in_docker, python=PYTHON).call(os.getuid) == guest.call(os.getuid)


def test_a_container_of_another_host_is_reached_through_it_and_so_on(
        router: Router, session_folder: Path, sshd: Sshd, accounts: Accounts, docker_container: Container) -> None:
    login = router.ssh('127.0.0.1', port=sshd.port, username=accounts.nopasswd.name, identity_file=str(sshd.key),
                       check_host_keys='ignore', ssh_args=['-F', '/dev/null'], python=PYTHON)
    root = router.sudo(via=login, python=PYTHON)
    # What finds the tests' daemon is in this process's environment alone.
    client = session_folder / 'docker'
    client.write_text('#!/bin/sh\nexec env %s docker "$@"\n' % ' '.join(
        '%s=%s' % setting for setting in docker_container.engine.settings.items()))
    client.chmod(0o755)
    inside = router.docker(docker_container.name, program=str(client), via=root, python=PYTHON)
    assert inside.call(socket.gethostname) == 'inside-docker'
    other = router.su('other', via=inside, python=PYTHON)
    last = router.local(via=other, python=PYTHON)
    assert last.call(os.getppid) == other.call(os.getpid)
    assert [context.call(os.getuid) for context in (login, root, inside)] == [accounts.nopasswd.uid, 0, 0]
    assert last.call(os.path.expanduser, '~') == '/home/other'


def test_nothing_is_left_in_a_container(router: Router, in_docker: Any, docker_container: Container) -> None:
    def processes() -> str:
        return docker_container.run('sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "')
    assert 'MITOGEN' in processes()
    router.broker.shutdown()
    router.broker.join(20)
    wait_until(lambda: 'MITOGEN' not in processes(), 20, 'the end of all contexts in the container')
