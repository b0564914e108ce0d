"""Modules from everywhere, each as alone as if it had the machine for itself."""

import os
import textwrap
from pathlib import Path

import pytest

from tests.harness.accounts import Accounts
from tests.harness.engines import MITOGEN, STOCK, Engine
from tests.harness.probes import PROBE
from tests.harness.project import Project
from tests.harness.sshd import Sshd

MODULE = '''\
from ansible.module_utils.basic import AnsibleModule
{imports}

def main():
    module = AnsibleModule(argument_spec={{'text': {{'type': 'str', 'default': ''}}}}, supports_check_mode=True)
    module.exit_json(changed=False, answer={answer})


if __name__ == '__main__':
    main()
'''


def module(imports: str, answer: str) -> str:
    """Source of a module that answers with an expression."""
    return MODULE.format(imports=imports, answer=answer)


def test_modules_and_module_utils_beside_the_playbook(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.write('library/mine.py', module('from ansible.module_utils.mine.deep import answer', 'answer()'))
    project.write('module_utils/mine/__init__.py', '')
    project.write('module_utils/mine/deep.py', 'from .deeper import ANSWER\n\n\ndef answer():\n    return ANSWER\n')
    project.write('module_utils/mine/deeper.py', 'ANSWER = "from beside"\n')
    # One of ansible-core's own name.
    project.write('library/overrides.py', module(
        'from ansible.module_utils import urls', 'getattr(urls, "MARK", None)'))
    project.write('module_utils/urls.py', 'MARK = "overridden"\n')
    project.write('library/echo.py', module('', 'module.params["text"] * 3'))
    project.write('big.txt', 'x' * 700_000)
    # A library that a task installs.
    project.write('library/optional.py', module('''
try:
    import brand_new_library
except ImportError:
    brand_new_library = None
''', 'brand_new_library and brand_new_library.VALUE'))
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: raw
          raw: id -un
          vars: {ansible_python_interpreter: /no/such/python}
        - name: mine
          mine:
        - name: overridden
          overrides:
        - name: big argument
          echo: {text: "{{ lookup('file', 'big.txt') }}"}
        - name: big output
          shell: head -c 3000000 /dev/zero | tr '\\0' y
        - name: site
          raw: /usr/bin/python3 -c 'import site; print(site.getusersitepackages())'
          register: site
        - name: before
          optional:
        - name: folder
          raw: mkdir -p {{ site.stdout | trim }}
        - name: install
          raw: echo "VALUE = 5" > {{ site.stdout | trim }}/brand_new_library.py
        - name: after
          optional:
        - name: remove
          raw: rm {{ site.stdout | trim }}/brand_new_library.py
    ''', engine).assert_ok()
    assert run.task('raw').result['stdout'].strip() == accounts.plain.name
    answers = {task: run.task(task).result['answer'] for task in ('mine', 'overridden', 'before', 'after')}
    assert answers == {'mine': 'from beside', 'overridden': 'overridden', 'before': None, 'after': 5}
    assert run.task('big argument').result['answer'] == 'x' * 2_100_000
    assert run.task('big output').result['stdout'] == 'y' * 3_000_000


def test_two_modules_with_different_utils_of_one_name(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    for role in ('one', 'two'):
        source = module('from ansible.module_utils.shared_name import MARK', 'MARK')
        project.write(f'roles/{role}/library/from_{role}.py', source)
        project.write(f'roles/{role}/module_utils/shared_name.py', f'MARK = {role!r}\n')
        project.write(f'roles/{role}/tasks/main.yml', f'- {{name: from {role}, from_{role}: }}\n')
    project.add_host('web1', sshd.variables(accounts.plain))
    # One after the other: a role's folders count from the moment it is loaded.
    project.write('site2.yml', '''\
        - hosts: all
          gather_facts: false
          tasks: [{include_role: {name: one}}]
    ''')
    run = project.start_playbook('site2.yml', engine).wait().assert_ok()
    assert run.task('from one').result['answer'] == 'one'
    project.write('site2.yml', '''\
        - hosts: all
          gather_facts: false
          roles: [two]
    ''')
    run = project.start_playbook('site2.yml', engine).wait().assert_ok()
    assert run.task('from two').result['answer'] == 'two'


def make_collection(project: Project) -> None:
    """A collection with a module, module_utils, an action plugin and a role."""
    base = 'collections/ansible_collections/my/own'
    project.write(f'{base}/galaxy.yml', 'namespace: my\nname: own\nversion: 1.0.0\n')
    project.write(
        f'{base}/plugins/module_utils/words.py', 'from .more.letters import LETTERS\nWORD = "".join(LETTERS)\n'
    )
    project.write(f'{base}/plugins/module_utils/more/__init__.py', '')
    project.write(f'{base}/plugins/module_utils/more/letters.py', 'LETTERS = ["c", "o", "l"]\n')
    project.write(f'{base}/plugins/modules/word.py', module(
        'from ansible_collections.my.own.plugins.module_utils.words import WORD', 'WORD'))
    project.write(f'{base}/plugins/modules/word2.py', module('from ..module_utils.words import WORD', 'WORD * 2'))
    project.write(f'{base}/roles/role/tasks/main.yml', '- {name: in the role, word: }\n')
    project.write(f'{base}/plugins/action/acts.py', textwrap.dedent('''\
        from ansible.plugins.action import ActionBase


        class ActionModule(ActionBase):
            def run(self, tmp=None, task_vars=None):
                result = super().run(tmp, task_vars)
                result.update(self._execute_module('my.own.word', task_vars=task_vars))
                result['low'] = self._low_level_execute_command('id -un')['stdout'].strip()
                return result
    '''))


@pytest.mark.every_core
def test_modules_of_collections_and_of_other_kinds(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    make_collection(project)
    project.configure('defaults', collections_path=str(project.folder / 'collections'))
    project.write('library/old_style.py', '''\
        #!/usr/bin/python3
        import json, sys

        print(json.dumps({'changed': False, 'arguments': open(sys.argv[1]).read()}))
    ''')
    project.write('library/want_json.sh', '''\
        #!/bin/sh
        # WANT_JSON
        printf '{"changed": false, "arguments": %s}' "$(cat "$1")"
    ''')
    project.write('library/json_args.py', '''\
        #!/usr/bin/python3
        import json

        arguments = json.loads(r\'\'\'<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>\'\'\')
        print(json.dumps({'changed': False, 'text': arguments['text']}))
    ''')
    other = project.write('other-python', '#!/bin/sh\nRESPAWNED=yes exec /usr/bin/python3 "$@"\n', 0o755)
    project.write('library/respawning.py', module(f'''
import os
from ansible.module_utils.common.respawn import has_respawned, respawn_module
if not has_respawned():
    respawn_module({str(other)!r})
''', 'os.environ.get("RESPAWNED")'))
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: word
          my.own.word:
        - name: relative import
          my.own.word2:
        - name: action
          my.own.acts:
        - name: asynchronous
          my.own.word:
          async: 20
          poll: 1
        - import_role:
            name: my.own.role
        - name: old
          old_style: {text: one}
        - name: want
          want_json: {text: two}
        - name: included
          json_args: {text: three}
        - name: respawning
          respawning:
    ''', engine).assert_ok()
    answers = {result.task: result.result['answer'] for result in run.results if 'answer' in result.result}
    assert answers == {'word': 'col', 'relative import': 'colcol', 'action': 'col', 'asynchronous': 'col',
                       'in the role': 'col', 'respawning': 'yes'}
    assert run.task('action').result['low'] == accounts.plain.name
    assert 'text=one' in run.task('old').result['arguments']
    assert run.task('want').result['arguments']['text'] == 'two'
    assert run.task('included').result['text'] == 'three'


def test_world_of_a_module_is_like_that_of_stock_and_of_the_one_before_it(
    project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    environment = {'MARK': "it's \"quoted\" ü $HOME", 'EMPTY': ''}
    tasks = '''
        - name: probe
          probe:
        - name: become
          probe:
          become: true
          environment: {LC_ALL: C}
        - name: without
          probe:
          environment: {MARK: other, LC_ALL: C}
    '''
    more = '''
        - name: leaves
          probe: {leave: true}
        - name: after
          probe:
    '''
    runs = [project.play(text, engine, keywords={'environment': environment}).assert_ok()
            for text, engine in ((tasks, STOCK), (tasks + more, MITOGEN))]
    for run in runs:
        for task, expected in (('probe', environment), ('become', {**environment, 'LC_ALL': 'C'}),
                               ('without', {**environment, 'MARK': 'other', 'LC_ALL': 'C'})):
            found = run.task(task).result['environ']
            assert {name: found.get(name) for name in expected} == expected, task
    stock, ours = (run.task('probe').result for run in runs)
    for field in ('uid', 'cwd', 'executable', 'version', 'umask', 'groups', 'tty'):
        assert ours[field] == stock[field], field
    # Variables that shells and sshd set as they run, which is once for a connection of ours.
    changing = {'_', 'SHLVL', 'SSH_CLIENT', 'SSH_CONNECTION', 'OLDPWD'}
    assert {name: value for name, value in ours['environ'].items() if name not in changing} == {
        name: value for name, value in stock['environ'].items() if name not in changing}
    assert ours['argv'][1:] == stock['argv'][1:]
    assert os.path.basename(ours['file']) == os.path.basename(stock['file'])
    # What a module leaves behind, the next one does not find.
    after = runs[1].task('after').result
    assert after['leaked'] is None
    for field in ('environ', 'cwd', 'umask', 'argv', 'open_files', 'stdin', 'tty', 'groups', 'parent'):
        assert after[field] == ours[field], field
    assert after['session'] != ours['session']


def test_big_file_is_copied_and_fetched(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    content = os.urandom(1 << 20) * 16
    (project.folder / 'big.bin').write_bytes(content)
    target = accounts.plain.home / 'big.bin'
    project.add_host('web1', sshd.variables(accounts.plain))
    project.play(f'''
        - name: copy
          copy: {{src: big.bin, dest: {target}}}
        - name: fetch
          fetch: {{src: {target}, dest: fetched.bin, flat: true}}
    ''', engine).assert_ok()
    target.unlink()
    assert Path(project.folder, 'fetched.bin').read_bytes() == content


def test_copy_of_many_files_keeps_each(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    # Stock Ansible runs two modules for each.
    numbers = range(25 if engine.ours else 4)
    for number in numbers:
        project.write(f'many/{number % 3}/{number}', f'{number}\n', 0o640 if number % 2 else 0o755)
    target = accounts.plain.home / 'many'
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play(f'- {{name: copy, copy: {{src: many/, dest: {target}, mode: preserve}}}}', engine).assert_ok()
    assert run.task('copy').result['changed']
    for number in numbers:
        path = target / str(number % 3) / str(number)
        assert path.read_text() == f'{number}\n'
        assert path.stat().st_mode & 0o777 == (0o640 if number % 2 else 0o755)
        path.unlink()
