"""What a zygote imports into itself, and that its children nonetheless see what a fresh interpreter would."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.runtime.test_zygote import interpreter_id
from tests.runtime.zygote_harness import INTERPRETERS, ZygoteClient, ZygoteError

#: Oldest, one with and one without `sys.stdlib_module_names`, and newest.
SOME = [INTERPRETERS[0], *(path for path in INTERPRETERS if '/3.9' in path or '/3.11' in path), INTERPRETERS[-1]]


@pytest.fixture(params=sorted(set(SOME)), ids=interpreter_id)
def zygote(request, tmp_path):
    """A zygote with a folder of its own for third-party modules."""
    site = tmp_path / 'third-party'
    site.mkdir()
    with ZygoteClient(request.param, env={'PYTHONPATH': str(site)}) as client:
        client.site = site
        yield client
        assert client.logs == []


def lines(result):
    assert result['rc'] == 0, result
    return result['stdout'].decode().splitlines()


#: Prints whether a module had been imported before the fork: the process that imported it says so.
WHO = 'import os\nIMPORTED_BY = os.getpid()\n'


def shared(zygote, name, members, script='', **fields):
    """Run a script that imports `name`; return whether its import had been made in the zygote."""
    text = '%s\nimport %s as module, os\nprint(module.IMPORTED_BY != os.getpid())\n' % (script, name)
    return lines(zygote.script(text, members, **fields))[-1] == 'True'


def test_a_preloaded_module_is_imported_once(zygote):
    members = {'shared.py': WHO}
    assert shared(zygote, 'shared', members, preload=['shared'])
    assert shared(zygote, 'shared', members, preload=[])


def test_what_a_job_imported_is_preloaded_for_the_next_that_has_it(zygote):
    members = {'shared.py': 'import inner\n' + WHO, 'inner.py': WHO}
    result = zygote.script('import shared', members)
    assert sorted(result['imported']) == ['inner', 'launcher', 'shared']
    assert shared(zygote, 'inner', members)
    assert zygote.script('import shared', members)['imported'] == []


def test_a_changed_member_is_what_the_job_imports(zygote):
    script = 'import base, user\nprint(base.VALUE, user.VALUE)'
    world = {'base.py': 'VALUE = 1\n', 'user.py': 'from base import VALUE\n'}
    other = {**world, 'base.py': 'VALUE = 2\n'}
    for _ in range(2):
        assert lines(zygote.script(script, world, ['base', 'user'])) == ['1 1']
        assert lines(zygote.script(script, other, ['base', 'user'])) == ['2 2']


def test_dropping_all_modules_leaves_the_zygotes_own(zygote):
    read = 'import base\nprint(base.__loader__.get_resource_reader("base").open_resource("data").read(), base.VALUE)'
    world = {'base/__init__.py': 'VALUE = 1\n', 'base/data': 'x'}
    other = {**world, 'base/__init__.py': 'VALUE = 2\n'}
    for _ in range(3):
        assert lines(zygote.script(read, world, ['base'])) == ["b'x' 1"]
        assert lines(zygote.script(read, other, ['base'])) == ["b'x' 2"]


def test_a_preloaded_module_that_is_no_member_of_a_job_cannot_be_imported_there(zygote):
    assert lines(zygote.script('import pkg.one; print(1)', {'pkg/__init__.py': '', 'pkg/one.py': ''}, ['pkg.one']))
    result = zygote.script('import pkg\nprint(hasattr(pkg, "one"))\nimport pkg.one', {'pkg/__init__.py': ''})
    assert result['rc'] == 1 and result['stdout'] == b'False\n'
    assert b"No module named 'pkg.one'" in result['stderr']


def test_a_module_that_needs_a_third_party_one_is_not_preloaded(zygote):
    (zygote.site / 'thirdparty.py').write_text('X = 1\n')
    swallow = 'try:\n    import thirdparty\nexcept:\n    thirdparty = None\nassert thirdparty\n'
    for source in ('import thirdparty\n', swallow, 'import importlib\nimportlib.import_module("thirdparty")\n'):
        for _ in range(3):
            assert not shared(zygote, 'needy', {'needy.py': source + WHO}, preload=['needy'])


def test_what_a_refused_module_had_imported_can_still_be_preloaded(zygote):
    (zygote.site / 'thirdparty.py').write_text('X = 1\n')
    members = {'needy.py': 'import plain, thirdparty\n' + WHO, 'plain.py': WHO}
    assert not shared(zygote, 'needy', members, preload=['needy'])
    assert shared(zygote, 'plain', members)


def test_third_party_modules_that_the_entry_tolerates_are_checked_for_changes(zygote):
    library = zygote.site / 'tolerable.py'
    library.write_text('VALUE = 1\n')
    members = {'launcher.py': 'TOLERATED = ("tolerable",)\ndef run():\n    import user, os\n'
                              '    print(user.VALUE, user.IMPORTED_BY != os.getpid())\n',
               'user.py': 'from tolerable import VALUE\n' + WHO}

    def run():
        return lines(zygote.wait(zygote.start_function(members, 'launcher:run', preload=['user'])))
    assert run() == ['1 True']
    library.write_text('VALUE = 2000\n')
    assert run() == ['2000 True']


def test_a_module_that_appears_is_found_by_the_next_job(zygote):
    """As `pip install` makes one appear which a preloaded module had looked for in vain."""
    members = {'user.py': 'try:\n    import newcomer\nexcept ImportError:\n    newcomer = None\n' + WHO}
    script = 'import user\nprint(user.newcomer is not None)'
    assert lines(zygote.script(script, members, ['user'])) == ['False']
    assert shared(zygote, 'user', members)
    (zygote.site / 'newcomer.py').write_text('')
    assert lines(zygote.script(script, members, ['user'])) == ['True']
    assert not shared(zygote, 'user', members, preload=['user'])


def test_a_job_installs_and_the_next_imports(zygote):
    install = 'import importlib.util\nassert importlib.util.find_spec("fresh") is None\nopen(%r, "w").write("X = 5")'
    assert lines(zygote.script(install % str(zygote.site / 'fresh.py'))) == []
    assert lines(zygote.script('import fresh\nprint(fresh.X)')) == ['5']
    os.unlink(str(zygote.site / 'fresh.py'))
    assert zygote.script('import fresh')['rc'] == 1


def test_an_environment_variable_that_an_import_read_is_read_again_where_it_differs(zygote):
    members = {'config.py': 'import os\nVALUE = os.environ.get("SETTING", "none")\n' + WHO}
    script = 'import config\nprint(config.VALUE)'
    assert lines(zygote.script(script, members, ['config'])) == ['none']
    assert lines(zygote.script(script, members, env={'SETTING': 'b'})) == ['b']
    assert lines(zygote.script(script, members)) == ['none']
    assert shared(zygote, 'config', members, env={'OTHER': 'b'})


def test_what_a_preloaded_module_prints_is_not_repeated_by_every_job(zygote):
    members = {'noisy.py': 'import sys\nprint("hello")\nsys.stderr.write("hi")\n'}
    result = zygote.script('import noisy', members, ['noisy'])
    assert (result['stdout'], result['stderr']) == (b'', b'')


def test_a_module_that_fails_in_the_zygote_fails_in_the_job_as_it_would_have(zygote):
    for source in ('raise SystemExit(7)\n', 'import sys\nsys.exit(7)\n'):
        assert zygote.script('import ending', {'ending.py': source}, ['ending'])['rc'] == 7
    result = zygote.script('import broken', {'broken.py': 'def :\n'}, ['broken'])
    assert result['rc'] == 1 and b'SyntaxError' in result['stderr']


def test_members_are_asked_for_once(zygote):
    members = {'a.py': '', 'b.py': ''}
    zygote.script('import a', members)
    zygote.script('import a, b', members)
    assert len(zygote.code_requests) == 2  # the second for the changed script only
    assert len(zygote.code_requests[1]) == 1


def test_missing_members_are_an_error(zygote):
    job = zygote.start('module', members=[[100, 102]], entry='x:y', args={}, preload=[])
    with pytest.raises(ZygoteError, match='3 pieces'):
        zygote.wait(job)


def test_a_new_site_folder_is_taken_up(tmp_path):
    """`pip install --user` on an account that had no user site when the zygote started."""
    with ZygoteClient(sys.executable, env={'PYTHONUSERBASE': str(tmp_path)}) as client:
        assert client.script('import fresh_user_module')['rc'] == 1
        ask = 'import site; print(site.getusersitepackages(), int(bool(site.ENABLE_USER_SITE)))'
        folder, enabled = subprocess.check_output(
            [sys.executable, '-c', ask], env={**os.environ, 'PYTHONUSERBASE': str(tmp_path)}).decode().split()
        os.makedirs(folder)
        elsewhere = tmp_path / 'elsewhere'
        elsewhere.mkdir()
        (elsewhere / 'fresh_user_module.py').write_text(textwrap.dedent('''
            X = 1
        '''))
        with open(folder + '/fresh.pth', 'w') as pth:
            pth.write(str(elsewhere) + '\n')
        assert client.script('import fresh_user_module')['rc'] == (0 if enabled == '1' else 1)


def test_jobs_have_garbage_collected_though_what_is_preloaded_is_imported_without(zygote):
    members = {'shared.py': 'import gc\nCOLLECTS = gc.isenabled()\n'}
    for _ in range(2):
        result = zygote.script('import gc, shared\nprint(shared.COLLECTS, gc.isenabled())\n', members,
                               preload=['shared'])
        assert result['stdout'] == b'False True\n', result


#: Python 3.6 keeps these elsewhere.
ASK = """
from collections.abc import Mapping, Sequence
try:
    from _abc import _get_dump
except ImportError:
    def known(abstract):
        return set(abstract._abc_cache) | set(abstract._abc_negative_cache)
else:
    def known(abstract):
        return {ref() for answers in _get_dump(abstract)[1:3] for ref in answers}
for abstract, concrete in ((Mapping, dict), (Sequence, int)):
    print('known' if concrete in known(abstract) else 'unknown')
"""


def test_what_abstract_classes_are_asked_most_is_known_and_may_change(zygote):
    assert ' '.join(lines(zygote.script(ASK))) == 'known known'
    for change, answer in (('Mapping.register(int)', 'True'), ('', 'False')):
        script = 'from collections.abc import Mapping\n%s\nprint(isinstance(1, Mapping))\n' % change
        assert lines(zygote.script(script)) == [answer]
