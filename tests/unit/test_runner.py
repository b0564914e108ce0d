"""Real modules through zygote and runner, compared with what stock's wrapper makes of them."""

import json
import os
import sys

import pytest
from ansible.release import __version__ as core_version

from tests.runtime.test_zygote import interpreter_id
from tests.runtime.zygote_harness import INTERPRETERS, RUNNER, ZygoteClient
from tests.unit.zygote_payloads import ENTRY, build, result_of, run, run_stock

CORE = tuple(int(part) for part in core_version.split('.')[:2])
#: What this ansible-core's modules run on.
OLDEST = 8 if CORE < (2, 20) else 9
SUPPORTED = [path for path in INTERPRETERS
             if path == sys.executable or int(interpreter_id(path).split('.')[1]) >= OLDEST]

#: Differs from run to run.
VOLATILE = {'start', 'end', 'delta', 'atime', 'mtime', 'ctime', 'ansible_date_time', 'ansible_loadavg', 'ansible_env'}


@pytest.fixture(scope='module', params=[SUPPORTED[0], SUPPORTED[-1]], ids=interpreter_id)
def zygote(request, tmp_path_factory):
    """A zygote whose temporary folder is its own."""
    temp = tmp_path_factory.mktemp('temp')
    with ZygoteClient(request.param, env={'TMPDIR': str(temp)}) as client:
        client.python = request.param
        client.temp = temp
        yield client
        assert client.logs == []


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """No test may leave a file in the zygote's temporary folder."""
    yield
    if 'zygote' in request.fixturenames:
        assert os.listdir(request.getfixturevalue('zygote').temp) == []


@pytest.fixture(scope='module')
def module(tmp_path_factory):
    """Build the program of a module of one's own: ``module(source, **arguments)``."""
    folder, names = tmp_path_factory.mktemp('modules'), {}

    def make(source, rlimit_nofile=0, **arguments):
        # ansible-core keeps what it builds by name, and so builds it once for all interpreters and arguments.
        if source not in names:
            names[source] = 'own_module_%d' % len(names)
            (folder / (names[source] + '.py')).write_text('#!/usr/bin/python\n' + source)
        return build(names[source], arguments, folder / (names[source] + '.py'), rlimit_nofile)
    return make


def stable(value):
    """Leave out what differs from run to run."""
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if key not in VOLATILE}
    return value


MODULE = '''
from ansible.module_utils.basic import AnsibleModule
import os, sys
def main():
    module = AnsibleModule(argument_spec=dict(value=dict(type='str'), old=dict(type='str', removed_in_version='9.9',
                                              removed_from_collection='ansible.builtin')))
%s
if __name__ == '__main__':
    main()
'''


def body(text):
    return MODULE % '\n'.join('    ' + line for line in text.strip().splitlines())


@pytest.mark.parametrize('name, arguments', [
    ('ping', {'data': 'pöng'}), ('ping', {'data': 'crash'}), ('stat', {'path': '/etc/passwd'}),
    ('command', {'_raw_params': 'echo hi', '_uses_shell': True}), ('command', {'argv': ['/no/such/program']}),
    ('setup', {'gather_subset': ['!network', '!hardware', '!virtual']}),
    ('setup', {'gather_subset': ['!all', 'distribution', 'python'], 'filter': ['ansible_dist*']}),
    ('file', {'path': '/etc/hostname', 'state': 'absent', '_ansible_check_mode': True}),
    ('getent', {'database': 'passwd', 'key': 'root'}), ('slurp', {'src': '/etc/hostname'}),
    ('find', {'paths': ['/etc/default']}), ('ping', {'no_such_argument': 1}),
])
def test_a_module_gives_what_it_gives_under_stock(zygote, name, arguments):
    program = build('ansible.legacy.' + name, arguments)
    expected = run_stock(zygote.python, program)
    for _ in range(2):
        got = run(zygote, program)
        assert (got[0], _without_frames(got[2].decode())) == (expected[0], _without_frames(expected[2].decode()))
        # A module that raises has no result before ansible-core 2.19.
        assert got[1] == expected[1] or stable(result_of(got)) == stable(result_of(expected))


def test_copy_writes_the_file(zygote, tmp_path):
    (tmp_path / 'source').write_text('content\n')
    arguments = {'src': str(tmp_path / 'source'), 'dest': str(tmp_path / 'dest'), 'mode': '0640'}
    result = result_of(run(zygote, build('ansible.legacy.copy', arguments)))
    assert result['changed'] and result['mode'] == '0640'
    assert (tmp_path / 'dest').read_text() == 'content\n'


@pytest.mark.parametrize('source', [
    body("module.warn('careful')\nmodule.deprecate('old', version='9.0', collection_name='ansible.builtin')\n"
         "module.deprecate('older', date='2040-01-01')\nmodule.exit_json(x=1)"),
    body("from ansible.module_utils.common.warnings import deprecate, warn\nwarn('mine')\ndeprecate('x', version='9')\n"
         "module.exit_json(changed=True)"),
    body("raise ValueError('no luck')"),
    body("try:\n    1 / 0\nexcept ZeroDivisionError as exc:\n    module.fail_json('failed', exception=exc)"),
    body("module.fail_json(msg='failed')"),
    body("pass"),
    body("sys.exit(0)"),
    body("print('garbage')\nprint('more', file=sys.stderr)\nmodule.exit_json()"),
    body("sys.exit('a message')"),
    body("os._exit(4)"),
    "import no_such_library\n# from ansible.module_utils.basic import AnsibleModule\n",
    body("module.exit_json(names=[__name__, _module_fqn, os.path.basename(_modlib_path), os.path.basename(__file__),"
         " sys.argv[1:], os.path.basename(sys.argv[0]), sys.modules['__main__'].__name__, __package__,"
         " __spec__.name, sys.stdin.read()])"),
], ids=range(12))
# Before ansible-core 2.19 nobody asks for tracebacks.
@pytest.mark.parametrize('tracebacks', [False, True] if CORE >= (2, 19) else [False])
def test_whatever_a_module_does_is_reported_as_under_stock(zygote, module, source, tracebacks):
    program = module(source, value='v', old='o', **({'_ansible_tracebacks_for': ['error', 'warning', 'deprecated']}
                                                    if tracebacks else {}))
    expected, got = run_stock(zygote.python, program), run(zygote, program)
    assert got[0] == expected[0]
    assert _without_frames(got[2].decode()) == _without_frames(expected[2].decode())
    if b'{' not in expected[1]:
        assert got[1] == expected[1]
        return
    assert got[1].partition(b'{')[0] == expected[1].partition(b'{')[0]
    assert _without_frames(result_of(got)) == _without_frames(result_of(expected))


def _without_frames(value):
    """Leave of tracebacks the lines that neither name a path nor belong to the wrapper or its replacement."""
    if isinstance(value, dict):
        return {key: _without_frames(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_frames(item) for item in value]
    if isinstance(value, str) and value.startswith('Traceback'):
        return [line.rpartition('payload.zip/')[2] for line in value.splitlines()
                if 'payload.zip/ansible/' in line or not line.startswith(' ')]
    return value


def test_a_module_may_respawn_under_another_interpreter(zygote, module):
    other = next(path for path in SUPPORTED if path != zygote.python)
    program = module(body('''
from ansible.module_utils.common.respawn import has_respawned, respawn_module
if not has_respawned():
    respawn_module(module.params['value'])
module.exit_json(executable=sys.executable, value=module.params['value'])
'''), value=other)
    result = result_of(run(zygote, program))
    assert os.path.realpath(result['executable']) == os.path.realpath(other)
    assert result == result_of(run_stock(zygote.python, program))


def test_a_module_may_probe_interpreters(zygote, module):
    source = body('''
from ansible.module_utils.common.respawn import probe_interpreters_for_module
module.exit_json(found=[probe_interpreters_for_module(['/no/such', module.params['value']], name)
                        for name in ('json', 'no_such_library')])
''')
    program = module(source, value=zygote.python)
    for _ in range(3):
        assert result_of(run(zygote, program))['found'] == [zygote.python, None]


def test_other_processes_may_use_the_path_of_the_modules_zip(zygote, module):
    program = module(body('''
import subprocess
def ask(path):
    code = 'import sys, ansible.module_utils.basic as b; print(b.__file__.startswith(sys.path[0]))'
    return subprocess.check_output([sys.executable, '-c', code], env={'PYTHONPATH': path}).decode().strip()
module.exit_json(answers=[ask(str(_modlib_path)), ask('%s:/other' % sys.path[0])],
                 mode=oct(os.stat(os.path.dirname(_modlib_path)).st_mode))
'''))
    result = result_of(run(zygote, program))
    assert result['answers'] == ['True'] * 2 and result['mode'].endswith('700')


def test_a_module_that_kills_itself_leaves_no_zip(zygote, module):
    program = module(body('repr(_modlib_path)\nassert os.path.exists(_modlib_path)\nos.kill(os.getpid(), 9)'))
    assert run(zygote, program) == (137, b'', b'Killed\n')


def test_two_jobs_have_zips_of_their_own(zygote, module):
    result = [result_of(run(zygote, module(body("module.exit_json(path=str(_modlib_path))")))) for _ in range(2)]
    assert result[0]['path'] != result[1]['path']


def test_multiprocessing_may_start_interpreters(zygote, module):
    program = module('''
from ansible.module_utils.basic import AnsibleModule
def work(number):
    return number * 2
def main():
    module = AnsibleModule(argument_spec={})
    import multiprocessing
    with multiprocessing.get_context('spawn').Pool(2) as pool:
        module.exit_json(results=pool.map(work, [1, 2]))
if __name__ == '__main__':
    main()
''')
    result = result_of(run(zygote, program))
    assert result == result_of(run_stock(zygote.python, program))
    assert result['results'] == [2, 4]


def test_the_limit_of_open_files_is_set(zygote, module):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    source = body("import resource\nmodule.exit_json(limit=resource.getrlimit(resource.RLIMIT_NOFILE))")
    for limit in (0, 123, 1 << 40):
        program = module(source, rlimit_nofile=limit)
        assert result_of(run(zygote, program))['limit'] == [min(limit, hard) or soft, hard]


def test_a_folder_that_is_gone_is_left(zygote, module, tmp_path):
    program = module(body("module.exit_json(cwd=os.getcwd())"))
    client_folder = tmp_path / 'gone'
    client_folder.mkdir()
    with ZygoteClient(zygote.python, cwd=str(client_folder)) as client:
        client.command(['/bin/true'])
        client_folder.rmdir()
        assert result_of(run(client, program))['cwd'] == os.path.expanduser('~')


def test_environment_reaches_the_module(zygote, module):
    program = module(body("module.exit_json(value=os.environ.get('MY_VALUE'), there=os.environ['PATH'])"))
    assert result_of(run(zygote, program, env={'MY_VALUE': 'x y'}))['value'] == 'x y'
    assert result_of(run(zygote, program))['value'] is None


def test_a_program_that_has_ended_is_not_waited_for(zygote, module):
    source = body('''
import selectors, subprocess
waits, answers = [], []
select, poll = selectors.PollSelector.select, subprocess.Popen.poll
def counted(self, timeout=None):
    waits.append(len(self.get_map()))
    return select(self, 0 if not waits[-1] else timeout)
def late(self):
    self.wait()
    answers.append(None if not answers else poll(self))
    return answers[-1]
selectors.PollSelector.select, subprocess.Popen.poll = counted, late
rc, out, err = module.run_command(['/bin/echo', 'x'])
module.exit_json(rc=rc, out=out, waits=waits)
''')
    program = module(source)
    mended, stock = result_of(run(zygote, program, mends=['waits'])), result_of(run(zygote, program))
    assert (mended['rc'], mended['out']) == (stock['rc'], stock['out']) == (0, 'x\n')
    assert 0 in stock['waits'] and 0 not in mended['waits']


@pytest.mark.parametrize('umask', [None, 0o77])
def test_a_program_is_started_without_a_function_that_does_nothing(zygote, module, umask):
    source = body('''
import subprocess
given = []
init = subprocess.Popen.__init__
def noted(self, *args, **kwargs):
    given.append(kwargs.get('preexec_fn') is not None)
    init(self, *args, **kwargs)
subprocess.Popen.__init__ = noted
rc, out, err = module.run_command(['/bin/sh', '-c', 'umask; kill -PIPE $$'], umask=%r)
module.exit_json(rc=rc, out=out, err=err, given=given)
''' % umask)
    program = module(source)
    mended, stock = result_of(run(zygote, program, mends=['spawn'])), result_of(run(zygote, program))
    assert stock.pop('given') == [True] and mended.pop('given') == [umask is not None]
    assert mended == stock


def test_package_data_is_served(zygote, module):
    if CORE < (2, 21):
        source = body("import pkgutil\ndata = pkgutil.get_data('ansible.module_utils', 'basic.py').decode()\n"
                      "module.exit_json(data=data.count('class AnsibleModule'))")
    else:
        source = ("from ansible.module_utils.embed import EmbedManager\n"
                  "embedded = EmbedManager.embed('ansible.module_utils._embed', 'dnf.py')\n"
                  + body("with embedded.path_context_manager as path:\n"
                         "    module.exit_json(data=path.read_text().count('import dnf'))"))
    program = module(source)
    assert result_of(run(zygote, program))['data'] > 0


def test_the_modules_before_2_19_are_run_by_runpy(zygote):
    members = {**RUNNER, 'ansible/__init__.py': '', 'ansible/module_utils/__init__.py': '',
               'ansible/module_utils/basic.py': '_ANSIBLE_ARGS = None\n', 'ansible/modules/__init__.py': '',
               'ansible/modules/old.py': 'import json\nfrom ansible.module_utils import basic\n'
               'args = json.loads(basic._ANSIBLE_ARGS.decode())\nif args["end"]:\n'
               '    print(json.dumps([args, _module_fqn]))\n    raise SystemExit(3)\n'}
    args = {'module_fqn': 'ansible.modules.old', 'profile': '', 'style': 'runpy', 'rlimit_nofile': 0,
            'date_time': [2020, 1, 1, 0, 0, 0], 'extensions': {}, 'mends': ['waits']}

    def go(end):
        params = json.dumps({'end': end})
        result = zygote.wait(zygote.start_function(members, ENTRY, {**args, 'params': params}))
        return result['rc'], json.loads(result['stdout'].decode())
    assert go(True) == (3, [{'end': True}, 'ansible.modules.old'])
    assert go(False) == (1, {'msg': 'New-style module did not handle its own exit', 'failed': True})


@pytest.mark.parametrize('python', SUPPORTED, ids=interpreter_id)
def test_every_interpreter_runs_modules(python):
    programs = [build('ansible.legacy.' + name, arguments) for name, arguments in (
        ('ping', {}), ('command', {'_raw_params': 'echo hi'}), ('setup', {'gather_subset': ['min']}))]
    stock = [run_stock(python, program) for program in programs]
    with ZygoteClient(python) as client:
        for _ in range(2):
            for program, expected in zip(programs, stock, strict=True):
                got = run(client, program)
                assert stable(result_of(got)) == stable(result_of(expected))
                assert got[2] == expected[2]
