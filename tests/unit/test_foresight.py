"""A look at a file and what comes of it, in one message."""

import hashlib
import json
from dataclasses import replace

import pytest

from ansible_mitogen.connection.foresight import FILE, STAT, Foresight, Heard, Rehearsal
from ansible_mitogen.mux.api import Completed, ModuleCall
from ansible_mitogen.target import runner

pytestmark = pytest.mark.every_core

SHA1 = hashlib.sha1(b'content').hexdigest()


def call(fqn, date_time=(2024, 1, 1, 0, 0, 0), **arguments):
    return ModuleCall('id of ' + fqn, '', fqn, json.dumps({'ANSIBLE_MODULE_ARGS': arguments}), date_time=date_time)


LOOK = call(STAT, path='/etc/x', follow=False, get_checksum=True, checksum_algorithm='sha1')
NEXT = call(FILE, path='/etc/x', state='file')


def test_module_that_ran_instead_is_not_run_again():
    foresight = Foresight(7, SHA1, lambda: NEXT)
    either = foresight.either(LOOK, foresight.look(LOOK))
    assert (either.call, either.path, either.follow, either.size, either.sha1) == (NEXT, '/etc/x', False, 7, SHA1)
    outcome = Completed(0, b'{"changed": true}', b'', 1.0, 1, other_ran=True)
    found = json.loads(foresight.found_unchanged(either, outcome))['stat']
    assert (found['exists'], found['isdir'], found['checksum']) == (True, False, SHA1)
    assert foresight.outcome_of(replace(NEXT, date_time=(2025, 1, 1, 0, 0, 0))) is outcome
    assert foresight.outcome_of(NEXT) is None


@pytest.mark.parametrize('path, glances', [
    ('/etc/x', [('must_exist', '/etc/x', False)]), ('~/x', []), ('x', []), ('/$HOME/x', [])])
def test_a_glance_is_enough_only_where_the_path_says_what_it_is(path, glances):
    look = Foresight.look(call(STAT, path=path, follow=False, get_checksum=True, checksum_algorithm='sha1'))
    assert Foresight.glances(look) == glances
    assert Foresight.glances(None) == []


def test_outcome_is_not_that_of_another_call():
    foresight = Foresight(7, SHA1, lambda: NEXT)
    either = foresight.either(LOOK, foresight.look(LOOK))
    foresight.found_unchanged(either, Completed(0, b'', b'', 1.0, 1, other_ran=True))
    assert foresight.outcome_of(call(FILE, path='/etc/x', state='file', mode='0600')) is None


@pytest.mark.parametrize('other', [
    call('ansible.modules.ping'), call(STAT, path='/x', get_checksum=False, checksum_algorithm='sha1'),
    call(STAT, path='/x', get_checksum=True, checksum_algorithm='md5'), call(STAT, path=3, get_checksum=True)])
def test_what_does_not_look_for_the_content_of_a_file_is_no_look(other):
    assert Foresight.look(other) is None


@pytest.mark.parametrize('following', [
    None, LOOK, replace(NEXT, interpreter='/other'), replace(NEXT, env={'A': 'b'})])
def test_nothing_is_run_instead_where_it_is_not_known_to_be_next(following):
    foresight = Foresight(7, SHA1, lambda: following)
    assert foresight.either(LOOK, foresight.look(LOOK)) is None


def test_rehearsal_hears_the_first_thing_and_goes_no_further():
    rehearsal = Rehearsal()
    for command in ('first', 'second'):
        with pytest.raises(Heard):
            rehearsal.hear(command, b'data')
    assert rehearsal.call == ('first', b'data')


def test_file_is_unchanged_only_if_it_is_a_plain_file_with_that_content(tmp_path, monkeypatch):
    file, link = tmp_path / 'file', tmp_path / 'link'
    file.write_bytes(b'content')
    link.symlink_to(file)
    monkeypatch.setenv('HERE', str(tmp_path))
    assert runner.is_unchanged(str(file), False, 7, SHA1)
    assert runner.is_unchanged('$HERE/link', True, 7, SHA1)
    assert not runner.is_unchanged(str(link), False, 7, SHA1)
    assert not runner.is_unchanged(str(tmp_path), False, 7, SHA1)
    file.write_bytes(b'CONTENT')
    assert not runner.is_unchanged(str(file), False, 7, SHA1)
    with pytest.raises(FileNotFoundError):
        runner.is_unchanged(str(tmp_path / 'missing'), False, 7, SHA1)


def test_the_other_module_runs_if_the_file_is_unchanged(tmp_path, monkeypatch, capfd):
    file = tmp_path / 'file'
    file.write_bytes(b'content')
    ran = []
    monkeypatch.setattr(runner, 'run_module', lambda **args: ran.append(args))
    unchanged = {'path': str(file), 'follow': False, 'size': 7, 'sha1': SHA1}
    runner.run_either({'module_fqn': 'usual'}, {'module_fqn': 'other'}, unchanged)
    assert capfd.readouterr().out.encode() == runner.OTHER_RAN
    runner.run_either({'module_fqn': 'usual'}, {'module_fqn': 'other'}, {**unchanged, 'path': str(tmp_path / 'no')})
    assert capfd.readouterr().out == ''
    assert [args['module_fqn'] for args in ran] == ['other', 'usual']
