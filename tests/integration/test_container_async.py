"""Asynchronous tasks in a container: the same as under stock Ansible."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.containers import Container
from tests.harness.containers import Engine as ContainerEngine
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.processes import wait_until
from tests.harness.project import Project, Run

# How a job runs is compared on each ansible-core over ssh and on this machine; here, how it gets there.
pytestmark = [pytest.mark.xdist_group('containers'), pytest.mark.once]

#: Has a module that imports the collection's own module_utils, by a relative name at once and a full one later.
COLLECTION = Path(__file__).with_name('parity') / 'collections'

TASKS = '''
- name: outlasting
  parity.tools.adds: {{seconds: 3, number: 9, path: /var/tmp/outlasting}}
  async: 60
  poll: 0
- name: too long
  command: sleep {nap}
  async: 2
  poll: 0
  register: too_long
- name: several
  parity.tools.adds: {{seconds: 0.5, number: "{{{{ item }}}}"}}
  async: 60
  poll: 0
  loop: [1, 2]
  register: several
- name: polled in a loop
  parity.tools.adds: {{number: "{{{{ item }}}}"}}
  async: 60
  poll: 1
  loop: [4, 5]
- name: polled with an environment
  parity.tools.adds:
  environment: {{PARITY_MARK: here}}
  async: 60
  poll: 1
- name: polled that fails
  parity.tools.adds: {{fail: true}}
  async: 60
  poll: 1
  ignore_errors: true
- name: polled of a large collection
  community.general.dpkg_divert: {{path: /usr/bin/diverted}}
  async: 60
  poll: 1
- name: polled as another account
  command: id -un
  async: 60
  poll: 1
  become: true
  become_user: guest
- name: several have ended
  async_status: {{jid: "{{{{ item.ansible_job_id }}}}"}}
  loop: "{{{{ several.results }}}}"
  register: ended
  until: ended is finished
  retries: 100
  delay: 0.2
- name: too long has ended
  async_status: {{jid: "{{{{ too_long.ansible_job_id }}}}"}}
  register: ended
  until: ended is finished
  retries: 100
  delay: 0.2
  ignore_errors: true
- name: cleaned up
  async_status: {{jid: "{{{{ several.results[0].ansible_job_id }}}}", mode: cleanup}}
- name: not known
  async_status: {{jid: "123.456"}}
  ignore_errors: true
'''

#: What is compared of a result; the rest is drawn by chance, or time.
FIELDS = ('changed', 'failed', 'finished', 'started', 'rc', 'stdout', 'stderr', 'msg', 'sum', 'mark', 'diversion')


@pytest.fixture(scope='module')
def container(docker: ContainerEngine) -> Iterator[Container]:
    with docker.container(docker.image(), '--init') as made:
        made.add_account('guest')
        yield made


def seen(result: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that is compared, of each item as well."""
    found = {key: result[key] for key in FIELDS if key in result}
    return {**found, 'results': [seen(item) for item in result['results']]} if 'results' in result else found


def play(engine: Engine, project: Project, container: Container, nap: str) -> Run:
    run = project.play(TASKS.format(nap=nap), engine, env=dict(container.engine.settings), timeout=300).assert_ok()
    running = 'grep -lxz %s /proc/[0-9]*/cmdline || true' % nap
    wait_until(lambda: not container.run('sh', '-c', running), 30, 'the command that took too long has been killed')
    wait_until(lambda: container.run('sh', '-c', 'cat /var/tmp/outlasting || true') == '9\n', 30,
               'the job that outlasts the run has ended')
    # As before, for the next run.
    container.run('rm', '/var/tmp/outlasting')
    container.run('dpkg-divert', '--remove', '/usr/bin/diverted')
    return run


def test_jobs_in_a_container_are_those_of_stock(
        project: Project, container: Container, collections_path: str) -> None:
    shutil.copytree(COLLECTION, project.folder / 'collections')
    project.configure('defaults', collections_path=f'{project.folder}/collections:{collections_path}')
    project.add_host('web1', ansible_connection='docker', ansible_host=container.name,
                     ansible_python_interpreter='/usr/bin/python3')
    stock, found = (play(engine, project, container, f'300.{os.getpid()}') for engine in (STOCK, MITOGEN))
    expected, ours = ([(result.task, result.status, seen(result.result)) for result in run.results]
                      for run in (stock, found))
    assert ours == expected
    assert [item['sum'] for item in stock.task('polled in a loop').result['results']] == [44, 45]
    assert stock.task('polled with an environment').result['sum'] == 42
    assert stock.task('polled as another account').result['stdout'] == 'guest'
    assert stock.task('too long has ended').status == 'failed'
    assert not [command for _pid, command in found.left if 'docker' not in command]
