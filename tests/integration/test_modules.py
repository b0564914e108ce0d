"""Modules from everywhere, each as alone as if it had the machine for itself."""

import json
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


def test_module_beside_the_playbook_with_module_utils(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.write('library/mine.py', module('from ansible.module_utils.mine.deep import answer', 'answer()'))
    project.write('module_utils/mine/__init__.py', '')
    project.write('module_utils/mine/deep.py', 'from .deeper import ANSWER\n\n\ndef answer():\n    return ANSWER\n')
    project.write('module_utils/mine/deeper.py', 'ANSWER = "from beside"\n')
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('- {name: mine, mine: }', engine).assert_ok()
    assert run.task('mine').result['answer'] == 'from beside'


def test_module_utils_that_override_those_of_ansible_core(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.write('library/mine.py', module('from ansible.module_utils import urls', 'getattr(urls, "MARK", None)'))
    project.write('module_utils/urls.py', 'MARK = "overridden"\n')
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('[{name: first, ping: }, {name: mine, mine: }]', engine).assert_ok()
    assert run.task('mine').result['answer'] == 'overridden'


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
def test_collection(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    make_collection(project)
    project.configure('defaults', collections_path=str(project.folder / 'collections'))
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
    ''', engine).assert_ok()
    answers = {task: run.task(task).result['answer'] for task in run.statuses('web1')}
    assert answers == {'word': 'col', 'relative import': 'colcol', 'action': 'col', 'asynchronous': 'col',
                       'in the role': 'col'}
    assert run.task('action').result['low'] == accounts.plain.name


@pytest.mark.every_core
def test_modules_of_other_kinds(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
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
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: old
          old_style: {text: one}
        - name: want
          want_json: {text: two}
        - name: included
          json_args: {text: three}
    ''', engine).assert_ok()
    assert 'text=one' in run.task('old').result['arguments']
    assert run.task('want').result['arguments']['text'] == 'two'
    assert run.task('included').result['text'] == 'three'


def test_a_module_leaves_no_state_to_the_next(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: before
          probe:
        - name: leaves
          probe: {leave: true}
        - name: after
          probe:
    ''', MITOGEN).assert_ok()
    before, after = (run.task(name).result for name in ('before', 'after'))
    assert after['leaked'] is None
    for field in ('environ', 'cwd', 'umask', 'argv', 'open_files', 'stdin', 'tty', 'groups', 'parent'):
        assert after[field] == before[field], field
    assert after['session'] != before['session']


def test_world_of_a_module_is_like_that_of_stock(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.plain))
    tasks = '- {name: probe, probe: , environment: {MINE: "1"}}'
    stock, found = (project.play(tasks, engine).assert_ok().task('probe').result for engine in (STOCK, MITOGEN))
    for field in ('uid', 'cwd', 'executable', 'version', 'umask', 'groups', 'tty'):
        assert found[field] == stock[field], field
    # Variables that shells and sshd set as they run, which is once for a connection of ours.
    changing = {'_', 'SHLVL', 'SSH_CLIENT', 'SSH_CONNECTION', 'OLDPWD'}
    assert {name: value for name, value in found['environ'].items() if name not in changing} == {
        name: value for name, value in stock['environ'].items() if name not in changing}
    assert found['argv'][1:] == stock['argv'][1:]
    assert os.path.basename(found['file']) == os.path.basename(stock['file'])


def test_library_installed_by_a_task_is_seen_by_the_next(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.write('library/optional.py', module('''
try:
    import brand_new_library
except ImportError:
    brand_new_library = None
''', 'brand_new_library and brand_new_library.VALUE'))
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: site
          command: /usr/bin/python3 -c 'import site; print(site.getusersitepackages())'
          register: site
        - name: before
          optional:
        - name: folder
          file: {path: "{{ site.stdout }}", state: directory}
        - name: install
          copy: {content: "VALUE = 5\\n", dest: "{{ site.stdout }}/brand_new_library.py"}
        - name: after
          optional:
        - name: remove
          file: {path: "{{ site.stdout }}/brand_new_library.py", state: absent}
    ''', engine).assert_ok()
    assert run.task('before').result['answer'] is None
    assert run.task('after').result['answer'] == 5


@pytest.mark.every_core
def test_module_that_respawns_in_another_interpreter(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    other = project.write('other-python', '#!/bin/sh\nRESPAWNED=yes exec /usr/bin/python3 "$@"\n', 0o755)
    project.write('library/respawning.py', module(f'''
import os
from ansible.module_utils.common.respawn import has_respawned, respawn_module
if not has_respawned():
    respawn_module({str(other)!r})
''', 'os.environ.get("RESPAWNED")'))
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('- {name: respawning, respawning: }', engine).assert_ok()
    assert run.task('respawning').result['answer'] == 'yes'


def test_big_arguments_and_results(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.write('library/echo.py', module('', 'module.params["text"] * 3'))
    project.write('big.txt', 'x' * 700_000)
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play('''
        - name: echo
          echo: {text: "{{ lookup('file', 'big.txt') }}"}
        - name: output
          shell: head -c 3000000 /dev/zero | tr '\\0' y
    ''', engine).assert_ok()
    assert run.task('echo').result['answer'] == 'x' * 2_100_000
    assert run.task('output').result['stdout'] == 'y' * 3_000_000


def test_big_file_is_copied_and_fetched(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    content = os.urandom(1 << 20) * 40
    (project.folder / 'big.bin').write_bytes(content)
    target = accounts.plain.home / 'big.bin'
    project.add_host('web1', sshd.variables(accounts.plain))
    project.play(f'''
        - name: copy
          copy: {{src: big.bin, dest: {target}}}
        - name: fetch
          fetch: {{src: {target}, dest: fetched.bin, flat: true}}
        - name: remove
          file: {{path: {target}, state: absent}}
    ''', engine).assert_ok()
    assert Path(project.folder, 'fetched.bin').read_bytes() == content


def test_copy_of_many_files_keeps_each(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    for number in range(25):
        project.write(f'many/{number % 3}/{number}', f'{number}\n', 0o640 if number % 2 else 0o755)
    target = accounts.plain.home / 'many'
    project.add_host('web1', sshd.variables(accounts.plain))
    run = project.play(f'- {{name: copy, copy: {{src: many/, dest: {target}, mode: preserve}}}}', engine).assert_ok()
    assert run.task('copy').result['changed']
    for number in range(25):
        path = target / str(number % 3) / str(number)
        assert path.read_text() == f'{number}\n'
        assert path.stat().st_mode & 0o777 == (0o640 if number % 2 else 0o755)
        path.unlink()


def test_environment_of_a_play_reaches_modules_and_commands(
    engine: Engine, project: Project, sshd: Sshd, accounts: Accounts
) -> None:
    project.write('library/probe.py', PROBE)
    project.add_host('web1', sshd.variables(accounts.nopasswd))
    environment = {'MARK': "it's \"quoted\" ü $HOME", 'EMPTY': '', 'LC_ALL': 'C'}
    run = project.play('''
        - name: probe
          probe:
        - name: become
          probe:
          become: true
        - name: without
          probe:
          environment: {MARK: other}
    ''', engine, keywords={'environment': environment}).assert_ok()
    for task in ('probe', 'become'):
        found = run.task(task).result['environ']
        assert {name: found.get(name) for name in environment} == environment
    assert run.task('without').result['environ']['MARK'] == 'other'


def test_raw_needs_no_python(engine: Engine, project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.plain, ansible_python_interpreter='/no/such/python'))
    run = project.play('- {name: raw, raw: id -un}', engine).assert_ok()
    assert run.task('raw').result['stdout'].strip() == accounts.plain.name


def test_hidden_values_are_in_no_process_list(project: Project, sshd: Sshd, accounts: Accounts) -> None:
    project.add_host('web1', sshd.variables(accounts.passwd, ansible_become_password=accounts.passwd.password))
    run = project.play('''
        - name: commands
          shell: cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '
          become: true
    ''', MITOGEN).assert_ok()
    assert accounts.passwd.password not in json.dumps(run.task('commands').result['stdout'])
