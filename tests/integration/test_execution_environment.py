"""As automation platforms run it: ansible-runner in a container, with hardly anything that a user has."""

import json
import platform
import sys
from pathlib import Path

import pytest
import yaml

from tests.harness import images
from tests.harness.containers import Engine as Containers
from tests.harness.engines import ROOT
from tests.harness.environments import ansible_folder, make_environment
from tests.harness.probes import PROBE
from tests.harness.project import Project

RECIPE = ROOT / 'docs' / 'examples' / 'execution-environment'

#: No account has this number.
UID = 54321

#: Two tasks, and what a user of that number has in a container that was not made for it.
PLAY = [{'hosts': 'all', 'gather_facts': False, 'tasks': [
    {'name': 'first', 'probe': {}}, {'name': 'second', 'probe': {}},
    {'name': 'shown', 'debug': {
        'msg': '{{ lookup("pipe", "id -u; getent passwd $(id -u); echo $HOME; test -w $HOME || echo read-only") }}'}},
]}]


@pytest.fixture(scope='module')
def environment(session_folder: Path, wheel: Path) -> Path:
    """The bin folder of what the recipe's requirements file installs."""
    requirements = session_folder / 'requirements.txt'
    requirements.write_text((RECIPE / 'requirements.txt').read_text().replace('file:///wheels', wheel.parent.as_uri()))
    return make_environment(session_folder / 'ee', '-r', requirements)


def recipe_variables() -> dict[str, str]:
    """What the recipe sets in the container's environment."""
    steps = yaml.safe_load((RECIPE / 'execution-environment.yml').read_text())['additional_build_steps']
    words = [step.split(' ', 1) for step in steps['append_final']]
    return dict(pair.split('=', 1) for word, pair in words if word == 'ENV')


def suite() -> str:
    """The image that runs programs of this machine: of the same Debian, if there is one."""
    codename = platform.freedesktop_os_release().get('VERSION_CODENAME', '')
    return codename if codename in images.SUITES else 'bookworm'


def test_user_without_a_name_a_home_or_a_terminal_runs_a_play(
    docker: Containers, project: Project, environment: Path
) -> None:
    folder = project.folder / 'runner'
    hosts = {'target': {'ansible_connection': 'local', 'ansible_python_interpreter': '/usr/bin/python3'}}
    for name, text in (('project/site.yml', json.dumps(PLAY)), ('project/library/probe.py', PROBE),
                       ('inventory/hosts.json', json.dumps({'all': {'hosts': hosts}}))):
        project.write(f'runner/{name}', text)
    (folder / 'artifacts').mkdir()
    (folder / 'artifacts').chmod(0o777)
    settings = {'PATH': f'{environment}:/usr/bin:/bin', 'HOME': '/', **recipe_variables()}
    # Of this machine, but at the same places: the environment, the Python that it was made with, and its libraries.
    mounts = {environment.parent, ansible_folder(), Path(sys.base_prefix)} - {Path('/usr')}
    words = ['run', '--rm', '--network', 'host', '--read-only', '--tmpfs', '/tmp', '--user', f'{UID}:0',
             '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--volume', f'{folder}:/runner']
    # The image's own is closed to others, and the Python may lie in there.
    (project.folder / 'root').mkdir()
    words += ['--volume', f'{project.folder}/root:/root']
    words += [word for path in mounts for word in ('--volume', f'{path}:{path}:ro')]
    words += [word for pair in settings.items() for word in ('--env', '='.join(pair))]
    docker.run(*words, docker.image(suite()), environment / 'ansible-runner', 'run', '/runner', '-p', 'site.yml')

    events = [json.loads(path.read_text()) for path in folder.glob('artifacts/*/job_events/*.json')]
    results = {event['event_data']['task']: event['event_data']['res'] for event in events
               if event['event'] == 'runner_on_ok'}
    first, second, shown = (results[name] for name in ('first', 'second', 'shown'))
    assert first['parent'] == second['parent'] and first['ancestors'][1][1].startswith('python')
    assert first['uid'] == UID
    assert shown['msg'].splitlines() == [str(UID), '/', 'read-only']
