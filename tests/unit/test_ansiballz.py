"""Recognising AnsiballZ programs: real ones of the ansible-core that is installed, and look-alikes."""

import base64
import json

import ansible.modules.command
import pytest
from ansible.executor import module_common
from ansible.parsing.dataloader import DataLoader
from ansible.release import __version__ as core_version
from ansible.template import Templar

from ansible_mitogen import ansiballz

pytestmark = pytest.mark.every_core

CORE = tuple(int(part) for part in core_version.split('.')[:2])

#: Arguments that try to look like the end of the call, the zip, and another argument.
NASTY = 'it\'s "quoted" \\ \n)\nzip_data=\'AAAA\',\n)\n€ \x00 \\N{BULLET}'

ZIP = base64.b64encode(b'a zip' * 50).decode()


def build(arguments, **variables):
    """Have ansible-core build the program of the command module."""
    variables = {'ansible_python_interpreter': '/usr/bin/python3', **variables}
    fixed = {'templar': Templar(loader=DataLoader()), 'task_vars': variables, 'module_compression': 'ZIP_DEFLATED'}
    path = ansible.modules.command.__file__
    if CORE >= (2, 19):
        return module_common.modify_module(
            module_name='ansible.legacy.command', module_path=path, module_args=arguments, **fixed).b_module_data
    return module_common.modify_module('ansible.legacy.command', path, arguments, **fixed)[0]


@pytest.fixture(scope='module')
def real(tmp_path_factory):
    """A real program, with arguments that are hard to parse."""
    return build({'_raw_params': NASTY})


def call(zip_base64=ZIP, **changes):
    """A program in the shape of ansible-core 2.19 and later."""
    arguments = {
        'ansible_module': "'ping'", 'module_fqn': "'ansible.modules.ping'", 'profile': "'legacy'",
        'date_time': 'datetime.datetime(2026, 1, 2, 3, 4, 5, 67, tzinfo=datetime.timezone.utc)',
        'rlimit_nofile': '0', 'params': repr('{"ANSIBLE_MODULE_ARGS": {}}'), 'extensions': '{}', **changes}
    lines = ''.join('%s=%s,\n' % item for item in arguments.items())
    return ('#!/usr/bin/python3\n_ANSIBALLZ_WRAPPER = True\n\ndef _ansiballz_main(\n    zip_data: str,\n): ...\n\n\n'
            'if __name__ == "__main__":\n    _ansiballz_main(\n%szip_data=\'%s\',\n)\n' % (lines, zip_base64)).encode()


def template(zip_base64=ZIP, params='\'{"ANSIBLE_MODULE_ARGS": {}}\'', coverage='', rlimit=''):
    """A program in the shape of ansible-core 2.16 to 2.18."""
    return (
        "#!/usr/bin/python3\n# -*- coding: utf-8 -*-\n_ANSIBALLZ_WRAPPER = True # test-module.py\n"
        "def _ansiballz_main():\n    import os\n" + rlimit +
        "    ZIPDATA = '" + zip_base64 + "'\n"
        "    def invoke_module(modlib_path, temp_path, json_params):\n"
        "        zinfo.filename = 'sitecustomize.py'\n"
        "        zinfo.date_time = (2026, 1, 2, 3, 4, 5)\n"
        "        basic._ANSIBLE_ARGS = json_params\n" + coverage + "\n"
        "        runpy.run_module(mod_name='ansible.modules.ping', init_globals=dict("
        "_module_fqn='ansible.modules.ping', _modlib_path=modlib_path),\n"
        "                         run_name='__main__', alter_sys=True)\n"
        "    ANSIBALLZ_PARAMS = " + params + "\n"
        "    if PY3:\n        ANSIBALLZ_PARAMS = ANSIBALLZ_PARAMS.encode('utf-8')\n"
        "if __name__ == '__main__':\n    _ansiballz_main()").encode()


def test_program_of_the_installed_core_is_recognised(real):
    found = ansiballz.recognise(real, "A=1 B='two words' /usr/bin/python3", cwd='/srv')
    assert found.module_fqn == 'ansible.modules.command'
    assert json.loads(found.params)['ANSIBLE_MODULE_ARGS']['_raw_params'] == NASTY
    assert base64.b64decode(found.zip_base64).startswith(b'PK')
    assert len(found.zip_id) == 64
    assert (found.env, found.interpreter, found.cwd) == ({'A': '1', 'B': 'two words'}, '/usr/bin/python3', '/srv')
    assert found.style == ('loader' if CORE >= (2, 19) else 'runpy')
    assert found.date_time[0] >= 2024
    assert found.rlimit_nofile == 0


def test_limit_of_open_files_is_found():
    found = ansiballz.parse_payload(build({}, ansible_python_module_rlimit_nofile=123))
    assert found.rlimit_nofile == 123


def test_same_zip_has_the_same_id_with_other_arguments():
    one, other = ansiballz.parse_payload(call()), ansiballz.parse_payload(call(params="'{}'"))
    assert one.zip_id == other.zip_id
    assert one.params != other.params


def test_shape_of_2_19():
    found = ansiballz.parse_payload(call(rlimit_nofile='99'))
    assert found == ansiballz.Payload(
        found.zip_id, ZIP, 'ansible.modules.ping', '{"ANSIBLE_MODULE_ARGS": {}}', 'legacy', 99, (2026, 1, 2, 3, 4, 5),
        'loader')


def test_seconds_that_repr_leaves_out_are_zero():
    found = ansiballz.parse_payload(call(date_time='datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)'))
    assert found.date_time == (2026, 1, 2, 0, 0, 0)


def test_shape_of_2_16():
    found = ansiballz.parse_payload(template(rlimit='    requested_soft = min(existing_hard, 77)\n'))
    assert found == ansiballz.Payload(
        found.zip_id, ZIP, 'ansible.modules.ping', '{"ANSIBLE_MODULE_ARGS": {}}', '', 77, (2026, 1, 2, 3, 4, 5),
        'runpy')


@pytest.mark.parametrize('program', [
    b'', b'print(1)\n', b'#!/usr/bin/python3\n_ANSIBALLZ_WRAPPER = True\n',
    call() + b'print("more")\n',
    call(extensions="{'_coverage': {}}"),
    call(extensions='open("/etc/passwd")'),
    call(params='open("/etc/passwd").read()'),
    call(params="'{}', os.system('id')"),
    call(params='b"{}"'),
    call(rlimit_nofile='"12"'),
    call(date_time='datetime.datetime.now()'),
    call(date_time='datetime.datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))'),
    call(new_argument='1'),
    call(zip_base64="AAAA' + 'BBBB"),
    call(zip_base64='AA\\x41A'),
    call().replace(b'profile=', b'profil='),
    call().replace(b'    _ansiballz_main(\n', b'    _other_main(\n'),
    call().replace(b'_ANSIBALLZ_WRAPPER = True', b''),
    template(coverage="        os.environ['COVERAGE_FILE'] = '/tmp/x'\n"),
    template(params='ANSIBLE_JSON'),
    template() + b'\nprint("more")',
    template(zip_base64='AA\\x41A'),
])
def test_anything_unusual_is_not_recognised(program):
    assert ansiballz.recognise(program, '/usr/bin/python3') is None


def test_no_program_is_no_module():
    assert ansiballz.recognise(None, '/usr/bin/python3') is None


@pytest.mark.parametrize('command, env, interpreter', [
    ('/usr/bin/python3', {}, '/usr/bin/python3'),
    ('python3 && sleep 0', {}, 'python3'),
    ("'/opt/my python/bin/python'", {}, '/opt/my python/bin/python'),
    ("A=b /usr/bin/python3", {'A': 'b'}, '/usr/bin/python3'),
    ("A='' B='it'\"'\"'s' C=/x:/y /usr/bin/python3 ", {'A': '', 'B': "it's", 'C': '/x:/y'}, '/usr/bin/python3'),
    ("PATH='/a b:/c' /usr/libexec/platform-python", {'PATH': '/a b:/c'}, '/usr/libexec/platform-python'),
])
def test_command_that_starts_an_interpreter(command, env, interpreter):
    assert ansiballz.parse_command(command) == (env, interpreter)


@pytest.mark.parametrize('command', [
    '', ' ', 'A=b', 'A=b C=d', 'python3 -u', '/usr/bin/env python3', 'python3 && rm -rf /', 'python3; id', 'python3 &',
    '$PYTHON', '`which python3`', '"/usr/bin/python3"', 'cd /tmp && python3', '~/venv/bin/python', 'a\nb',
    'A=$HOME python3',
    'python3 && sleep 0 && sleep 0', 'A="b c" python3',
    "PYTHONPATH=/x python3", "LD_PRELOAD=/x.so python3", "LC_ALL=C python3", "LANG=C python3", 'LANGUAGE=de python3',
    'TZ=UTC python3', 'MALLOC_ARENA_MAX=1 python3', 'A=b PYTHONUTF8=1 python3',
])
def test_command_that_is_anything_else(command):
    assert ansiballz.parse_command(command) is None


@pytest.mark.parametrize('command, inner', [
    ("/bin/sh -c /usr/bin/python3", '/usr/bin/python3'),
    ("/bin/bash -c 'A=b python3 && sleep 0'", 'A=b python3 && sleep 0'),
    ("/bin/sh -c 'A='\"'\"'b c'\"'\"' python3'", "A='b c' python3"),
    ("/bin/zsh -c python3", None),
    ("/usr/bin/fish -c python3", None),
    ("/bin/sh -c 'python3' x", None),
    ("/bin/sh -c python3 && id", None),
    ("python3", None),
])
def test_shell_around_a_command(command, inner):
    assert ansiballz.unwrap_shell(command) == inner
