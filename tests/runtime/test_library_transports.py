"""Each transport's command line, and that a context runs behind it. The programs are stubs."""

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitogen.master import HopError, Router

#: Writes its arguments to a file, drops all up to a marker that the test chose, and runs the rest.
STUB = """\
#!{python}
import json, os, sys
with open({record!r}, 'w') as record:
    json.dump(sys.argv[1:], record)
for option, value in zip(sys.argv, sys.argv[1:]):
    if value == {behind!r}:
        at = sys.argv.index(value) + 1
        break
rest = sys.argv[at:]
while rest[0] == '--':
    del rest[0]
os.execvp(rest[0], rest)
"""

#: Transport, program, what is asked for, arguments before the command, and the last of them that the stub looks for.
CONTAINERS: list[tuple[str, str, dict[str, Any], list[str], str]] = [
    ('docker', 'docker', {'container': 'c1'}, ['exec', '--interactive', 'c1'], 'c1'),
    ('docker', 'docker', {'container': 'c1', 'username': 'deploy', 'args': ['--env', 'A=b']},
     ['exec', '--interactive', '--user', 'deploy', '--env', 'A=b', 'c1'], 'c1'),
    ('podman', 'podman', {'container': 'c1', 'username': 'deploy'},
     ['exec', '--interactive', '--user', 'deploy', 'c1'], 'c1'),
    ('buildah', 'buildah', {'container': 'c1', 'username': 'deploy'},
     ['run', '--user', 'deploy', '--', 'c1'], 'c1'),
    ('kubectl', 'kubectl', {'pod': 'deployment/web', 'container': 'app', 'namespace': 'prod'},
     ['exec', '--stdin', '--quiet', '--namespace', 'prod', '--container', 'app', 'deployment/web', '--'],
     'deployment/web'),
    ('lxc', 'lxc-attach', {'container': 'c1'}, ['--clear-env', '--name', 'c1', '--'], 'c1'),
    ('lxd', 'lxc', {'container': 'c1', 'username': '1000'},
     ['exec', '--mode=non-interactive', '--user', '1000', 'c1', '--'], 'c1'),
    ('incus', 'incus', {'container': 'c1'}, ['exec', '--mode=non-interactive', 'c1', '--'], 'c1'),
    ('jail', 'jexec', {'container': 'j1', 'username': 'www'}, ['-U', 'www', 'j1'], 'j1'),
    ('machinectl', 'systemd-run', {'container': 'm1', 'username': 'deploy'},
     ['--machine', 'm1', '--pipe', '--wait', '--collect', '--quiet', '--uid', 'deploy', '--'], 'deploy'),
    ('chroot', 'chroot', {'path': '/srv/root', 'username': 'www'}, ['--userspec=www', '/srv/root'], '/srv/root'),
    ('sudo', 'sudo', {'username': 'deploy', 'preserve_env': True}, ['-u', 'deploy', '-H', '-E', '-n', '--'], '-n'),
    ('doas', 'doas', {'username': 'deploy'}, ['-u', 'deploy', '-n', '--'], '-n'),
]


@pytest.fixture
def router() -> Iterator[Router]:
    router = Router()
    yield router
    router.broker.shutdown()
    router.broker.join(20)
    assert not router.broker.thread.is_alive()


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes stub programs that are found before the real ones."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    monkeypatch.setenv('PATH', '%s:%s' % (folder, os.environ['PATH']))

    def make(program: str, behind: str) -> Path:
        record = tmp_path / 'record'
        write(folder / program, STUB.format(python=sys.executable, record=str(record), behind=behind))
        return record
    make.folder = folder  # type: ignore[attr-defined]
    return make


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(('transport', 'program', 'options', 'expected', 'behind'), CONTAINERS)
def test_a_context_is_reached_by_the_right_command(
        router: Router, stubs: Any, transport: str, program: str, options: dict[str, Any], expected: list[str],
        behind: str) -> None:
    record = stubs(program, behind)
    context = getattr(router, transport)(python=sys.executable, **options)
    assert context.call(os.getppid) == os.getpid()
    argv = json.loads(record.read_text())
    assert argv[:len(expected)] == expected
    assert argv[len(expected):len(expected) + 2] == ['sh', '-c']


def test_su_gets_one_text_for_the_shell(router: Router, stubs: Any) -> None:
    write(stubs.folder / 'su', '#!/bin/sh\n[ "$1" = deploy ] && [ "$2" = -c ] && [ $# = 3 ] && exec sh -c "$3"\n')
    context = router.su('deploy', python=sys.executable)
    assert context.call(os.getppid) == os.getpid()
    assert context.name == 'su deploy'


def test_ssh_gets_one_text_for_the_shell_on_the_other_side(router: Router, stubs: Any, tmp_path: Path) -> None:
    record = tmp_path / 'ssh-record'
    write(stubs.folder / 'ssh', '#!/bin/bash\nprintf "%%s\\n" "${@:1:$#-1}" > %s\nexec sh -c "${@: -1}"\n' % record)
    context = router.ssh('web1', username='deploy', port=2222, identity_file='/k', compression=True, deadline=20,
                         ssh_args=['-F', '/dev/null'], python=sys.executable)
    assert context.call(os.getppid) == os.getpid()
    assert context.name == 'ssh deploy@web1'
    assert record.read_text().split('\n')[:-1] == [
        '-T', '-x', '-o', 'StrictHostKeyChecking=yes', '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes',
        '-o', 'ConnectTimeout=20', '-l', 'deploy', '-p', '2222', '-i', '/k', '-C', '-F', '/dev/null', '--', 'web1']


@pytest.mark.parametrize(('kind', 'program', 'answer'), [
    ('docker', 'docker', 'echo 77'), ('podman', 'podman', 'echo 77'), ('lxc', 'lxc-info', 'echo 77'),
    ('lxd', 'lxc', 'echo "{\\"status\\": \\"Running\\", \\"pid\\": 77, \\"x\\": 1}"'),
    ('incus', 'incus', 'echo "{\\"status\\": \\"Running\\", \\"pid\\": 77, \\"x\\": 1}"'),
    ('machinectl', 'machinectl', 'echo 77'), ('pid', '', ''),
])
def test_namespaces_are_entered_at_the_containers_first_process(
        router: Router, stubs: Any, kind: str, program: str, answer: str) -> None:
    if program:
        write(stubs.folder / program, '#!/bin/sh\n%s\n' % answer)
    record = stubs('nsenter', '--wd')
    context = router.setns('c1' if program else '77', kind, python=sys.executable)
    assert context.call(os.getppid) == os.getpid()
    assert json.loads(record.read_text())[:9] == [
        '--target', '77', '--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wd']


@pytest.mark.parametrize('answer', ['echo 0', 'echo', 'exit 1', 'echo "Error: No such container: c1" >&2; exit 1'])
def test_a_container_that_does_not_run_is_named(router: Router, stubs: Any, answer: str) -> None:
    write(stubs.folder / 'docker', '#!/bin/sh\n%s\n' % answer)
    with pytest.raises(HopError, match='setns docker c1.*(no running container c1|No such container)'):
        router.setns('c1', 'docker')


def test_a_transports_failure_is_told_in_one_sentence(router: Router, stubs: Any) -> None:
    write(stubs.folder / 'docker', '#!/bin/sh\necho "Error response from daemon: No such container: c1" >&2; exit 1\n')
    with pytest.raises(HopError) as caught:
        router.docker('c1')
    assert str(caught.value) == 'docker c1: Error response from daemon: No such container: c1'
    assert caught.value.kind == 'exited'


def test_a_program_that_is_not_there_is_named(router: Router) -> None:
    with pytest.raises(HopError, match='no-such-program') as caught:
        router.docker('c1', program='no-such-program')
    assert caught.value.kind == 'spawn'


def test_transports_go_through_each_other_to_any_depth(router: Router, stubs: Any) -> None:
    stubs('docker', 'c1')
    stubs('podman', 'c2')
    context = None
    pids = [os.getpid()]
    for depth in range(4):
        if depth % 2:
            context = router.podman('c2', via=context, python=sys.executable)
        else:
            context = router.docker('c1', via=context, python=sys.executable)
        pids.append(context.call(os.getpid))
        assert context.call(os.getppid) == pids[-2]
    assert len(set(pids)) == 5


def test_a_failure_behind_another_context_is_told_as_well(router: Router) -> None:
    via = router.local()
    with pytest.raises(HopError, match='no-such-program'):
        router.docker('c1', program='no-such-program', via=via)
    with pytest.raises(HopError, match='looked for no-such-python'):
        router.local(via=via, python='no-such-python')
    assert via.call(os.getppid) == os.getpid()


@pytest.mark.parametrize(('secret', 'typed', 'message'), [
    ('sesame', 'sesame', ''), ('wrong', 'sesame', 'the password is wrong'),
])
def test_a_password_is_typed_on_the_terminal(
        router: Router, stubs: Any, secret: str, typed: str, message: str) -> None:
    write(stubs.folder / 'su', """#!/bin/bash
for attempt in 1 2 3; do
    printf 'Mot de passe : ' > /dev/tty
    read -r answer < /dev/tty
    [ "$answer" = %s ] && exec sh -c "$3"
    printf '\\nnope\\n' > /dev/tty
done
exit 1
""" % typed)
    if message:
        with pytest.raises(HopError, match=message):
            router.su('deploy', password=secret, python=sys.executable)
    else:
        assert router.su('deploy', password=secret, python=sys.executable).call(os.getppid) == os.getpid()


def test_a_password_that_nobody_knows_is_asked_for_in_vain(router: Router, stubs: Any) -> None:
    write(stubs.folder / 'su', '#!/bin/sh\nprintf "Password: " >&2\nread answer\nexit 1\n')
    with pytest.raises(HopError, match='su deploy: it asked for a password and none was given'):
        router.su('deploy', python=sys.executable, deadline=10)


def test_prompts_are_answered_behind_another_context(router: Router, stubs: Any) -> None:
    write(stubs.folder / 'su', '#!/bin/sh\nprintf "Password: " >&2\nread -r answer\n'
                               '[ "$answer" = sesame ] && exec sh -c "$3"\n')
    via = router.local()
    context = router.su('deploy', password='sesame', via=via, python=sys.executable)
    assert context.call(os.getppid) == via.call(os.getpid)


def test_options_that_make_no_sense_are_refused(router: Router) -> None:
    with pytest.raises(ValueError, match='check_host_keys'):
        router.ssh('web1', check_host_keys='maybe')
    with pytest.raises(ValueError, match='kind'):
        router.setns('c1', 'vmware')
