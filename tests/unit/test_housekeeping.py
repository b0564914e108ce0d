"""What Ansible sends to look after temporary files: what is recognised of it, and how it waits for the next job."""

import shlex

import pytest
from ansible.plugins.loader import get_shell_plugin

from ansible_mitogen.connection import housekeeping
from ansible_mitogen.connection.housekeeping import Chore
from ansible_mitogen.connection.staging import MAX_CONTENT, Staging

pytestmark = pytest.mark.every_core

FOLDER = '/home/x/.ansible/tmp/ansible-tmp-1.5-2-3'
MAKE = Chore(('make_folder', '/home/x/.ansible/tmp', FOLDER), (FOLDER,), b'')
REMOVE = Chore(('remove_folder', FOLDER), (FOLDER,))
USABLE = Chore(('make_usable', [FOLDER + '/', FOLDER + '/f'], 'rwx'), (FOLDER + '/', FOLDER + '/f'))


@pytest.fixture
def shell():
    return get_shell_plugin(shell_type='sh')


def sent(command):
    return '/bin/sh -c ' + shlex.quote(command + ' && sleep 0')


def test_commands_of_this_ansible_core_are_recognised(shell):
    name = shell._generate_temp_dir_name()
    folder = '/home/x/.ansible/tmp/' + name
    assert housekeeping.recognise(sent(shell.mkdtemp(name, False, 0o700, '/home/x/.ansible/tmp'))) == Chore(
        ('make_folder', '/home/x/.ansible/tmp', folder), (folder,), ('%s=%s\n' % (name, folder)).encode())
    assert housekeeping.recognise(sent(shell.remove(folder + '/', recurse=True))) == Chore(
        ('remove_folder', folder), (folder,))
    for added in ('rwx', 'x'):
        assert housekeeping.recognise(sent(shell.chmod(['/a b', '/c'], 'u+' + added))) == Chore(
            ('make_usable', ['/a b', '/c'], added), ('/a b', '/c'))
    paths = ['/a', "/it's"]
    assert housekeeping.recognise(sent(shell.set_user_facl(paths, 'app', 'r-x'))) == Chore(
        ('share', 'app', 'r-x', paths), tuple(paths))
    assert housekeeping.home_wanted(sent(shell.expand_user('~deploy.me-1'))) == 'deploy.me-1'
    assert housekeeping.home_wanted(sent(shell.expand_user('~'))) == ''


@pytest.mark.parametrize('command', [
    "/bin/sh -c 'echo ~$USER && sleep 0'", "/bin/sh -c 'echo ~x; id && sleep 0'", "/usr/bin/fish -c 'echo ~x'",
    'echo ~x'])
def test_only_a_plain_name_is_a_home_wanted(command):
    assert housekeeping.home_wanted(command) is None


@pytest.mark.parametrize('command', [
    'rm -f -r /a /b > /dev/null 2>&1', "rm -f -r '/a b' > /dev/null 2>&1", 'rm -f -r $HOME > /dev/null 2>&1',
    'rm -f /a > /dev/null 2>&1', 'chmod 0755 /a', 'chmod', 'chmod u+rw /a', 'chmod u+rwx $HOME', "chmod u+rwx '",
    'setfacl -x u:app /a', 'id',
    'setfacl -m g:app:r-x /a', 'setfacl -m u:app:r-x',
    '( umask 77 && mkdir -p "` echo $TMPDIR `"&& mkdir "` echo $TMPDIR/x `" && echo x="` echo $TMPDIR/x `" )',
    '( umask 77 && mkdir -p "` echo /t `"&& mkdir "` echo /t/x `" && echo x="` echo /t/y `" )'])
def test_anything_else_runs_as_a_command(command):
    assert housekeeping.recognise(sent(command)) is None


def test_chores_wait_only_where_they_are_allowed_to():
    staging = Staging()
    assert not staging.accepts(MAKE)
    assert not staging.holds(FOLDER)
    with staging.deferring(lambda: None):
        assert staging.accepts(MAKE) and not staging.accepts(MAKE)
        assert staging.accepts(USABLE) and not staging.accepts(Chore(('make_usable', ['/etc'], 'rwx'), ('/etc',)))
        assert not staging.removes(Chore(('remove_folder', '/etc'), ('/etc',))) and staging.removes(REMOVE)
    assert not staging.removes(REMOVE)
    assert staging.steps == [(*MAKE.step, False), USABLE.step]
    assert staging.holds(FOLDER + '/file') and not staging.holds(FOLDER + 'x')
    assert not staging.forget_folder()
    assert staging.steps == []


def test_folder_that_was_made_has_to_be_removed():
    staging = Staging()
    with staging.deferring(lambda: None, hand_over=True):
        assert staging.accepts(MAKE)
        assert not staging.accepts(MAKE)
    assert staging.steps == [(*MAKE.step, True)]
    staging.done()
    with staging.deferring(lambda: None):
        assert staging.accepts(MAKE)
    staging.done()
    assert staging.forget_folder()
    assert not staging.holds(FOLDER)


def test_what_failed_and_what_came_after_it_is_done_one_by_one_and_once():
    done = []
    staging = Staging()
    for name, chores in (('make', [MAKE]), ('permissions', [USABLE, USABLE])):
        with staging.deferring(lambda name=name: done.append(name)):
            assert all(map(staging.accepts, chores))
    staging.add_file(FOLDER + '/f', 0o600, b'content', lambda: done.append('file'))
    staging.replay(1)
    assert done == ['permissions', 'file']
    assert staging.steps == [] and staging.holds(FOLDER)
    staging.replay()
    assert done == ['permissions', 'file']


def test_files_wait_as_far_as_they_fit_into_a_message():
    staging = Staging()
    staging.add_file('/a', 0o600, bytes(MAX_CONTENT - 10), lambda: None)
    assert staging.has_room(10) and not staging.has_room(11)
