"""Privilege escalation: what the stock plugins wrap is recognised, and their prompts are answered as by stock ssh."""

import shlex

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.loader import become_loader, shell_loader

from ansible_mitogen.connection.become import BecomeDialogue, BecomeWatch
from ansible_mitogen.connection.local import LocalBecomeDialogue
from ansible_mitogen.connection.outcome import UseStock
from ansible_mitogen.mux.api import HopFailed
from mitogen.parent.bootstrap import bootstrap_command

pytestmark = pytest.mark.every_core

BOOTSTRAP = bootstrap_command(['python3', '/usr/bin/python3'])


@pytest.fixture
def shell():
    plugin = shell_loader.get('sh')
    plugin.set_options()
    plugin.executable = '/bin/sh'
    return plugin


def plugin_of(name, **options):
    plugin = become_loader.get(name)
    plugin.set_options(direct=options)
    return plugin


@pytest.mark.parametrize('method', ['sudo', 'su'])
@pytest.mark.parametrize('around', ['%s', '/bin/sh -c %s', '/bin/bash -c %s', '/bin/bash -l -c %s'])
def test_original_of_a_wrapped_command_is_found(shell, method, around):
    plugin = plugin_of(method)
    watch = BecomeWatch(plugin)
    wrapped = plugin.build_become_command("A='b c' /usr/bin/python3", shell)
    assert 'BECOME-SUCCESS' in wrapped
    given = around % (shlex.quote(wrapped) if ' -c ' in around else wrapped)
    assert watch.original_of(given) == "A='b c' /usr/bin/python3"


def test_original_is_found_behind_the_suffix_of_older_cores(shell):
    plugin = plugin_of('sudo')
    watch = BecomeWatch(plugin)
    wrapped = plugin.build_become_command('id', shell)
    assert watch.original_of('/bin/sh -c ' + shlex.quote(wrapped + ' && sleep 0')) == 'id'


def test_command_that_was_not_wrapped_stays_with_the_login_account(shell):
    plugin = plugin_of('sudo')
    watch = BecomeWatch(plugin)
    assert watch.original_of('/bin/sh -c id') is None
    plugin.build_become_command('id', shell)
    assert watch.original_of('/bin/sh -c id') is None


def test_wrapped_command_within_an_unknown_one_is_left_to_stock(shell):
    plugin = plugin_of('sudo')
    watch = BecomeWatch(plugin)
    wrapped = plugin.build_become_command('id', shell)
    for given in ('cd /tmp && ' + wrapped, 'nice /bin/sh -x -c %s >/tmp/x' % shlex.quote(wrapped)):
        with pytest.raises(UseStock):
            watch.original_of(given)


def test_plugin_that_wraps_nothing_changes_no_account(shell):
    plugin = plugin_of('runas', become_user='x')
    watch = BecomeWatch(plugin)
    assert plugin.build_become_command('id', shell) == 'id'
    assert watch.original_of('id') is None


def test_a_plugin_is_watched_once(shell):
    plugin = plugin_of('sudo')
    watch = BecomeWatch.of(plugin)
    assert BecomeWatch.of(plugin) is watch


@pytest.mark.parametrize('method', ['sudo', 'su'])
def test_account_is_identified_whatever_the_plugins_random_marks(shell, method):
    def identity(bootstrap=BOOTSTRAP, **options):
        command, identity = BecomeWatch(plugin_of(method, **options)).account_command(bootstrap, shell)
        assert bootstrap in command
        return identity

    options = {'become_user': 'app', 'become_pass': 'secret'}
    assert identity(**options) == identity(**options)
    # Another interpreter is found in the same account.
    assert identity(bootstrap_command(['python3.12']), **options) == identity(**options)
    assert identity(**dict(options, become_user='root')) != identity(**options)
    assert identity(**dict(options, become_pass='other')) != identity(**options)
    assert identity(**dict(options, become_flags='-H')) != identity(**options)
    assert 'secret' not in identity(**options)


def test_stock_code_finds_the_plugin_as_it_left_it(shell):
    plugin = plugin_of('sudo', become_pass='x')
    watch = BecomeWatch.of(plugin)
    wrapped = plugin.build_become_command('id', shell)
    before = dict(vars(plugin))
    with watch.saved():
        watch.account_command(BOOTSTRAP, shell)
        assert plugin._id != before['_id']
    assert vars(plugin) == before
    assert watch.original_of(wrapped) == 'id'


def dialogue_of(method, shell, kind=BecomeDialogue, **options):
    plugin = plugin_of(method, **options)
    watch = BecomeWatch.of(plugin)
    watch.account_command(BOOTSTRAP, shell)
    return plugin, kind(watch)


def test_sudo_password_is_typed_once_at_its_prompt(shell):
    plugin, dialogue = dialogue_of('sudo', shell, become_pass='s3cret')
    assert dialogue.answer(b'some banner\n') is None
    assert dialogue.answer(b'some banner\n' + plugin.prompt[:10].encode()) is None
    assert dialogue.answer(b'some banner\n' + plugin.prompt.encode()) == b's3cret\n'
    with pytest.raises(AnsibleError, match='^Incorrect sudo password$'):
        dialogue.answer(plugin.prompt.encode())


def test_refusal_by_sudo_is_understood(shell):
    _, dialogue = dialogue_of('sudo', shell, become_pass='s3cret')
    with pytest.raises(AnsibleError, match='^Incorrect sudo password$'):
        dialogue.answer(b'Sorry, try again.\n')


def test_missing_sudo_password_is_understood_also_after_the_end(shell):
    _, dialogue = dialogue_of('sudo', shell)
    with pytest.raises(AnsibleError, match='^Missing sudo password$'):
        dialogue.answer(b'sudo: a password is required\n')
    with pytest.raises(AnsibleError, match='^Missing sudo password$'):
        dialogue.explain(HopFailed(1, 'exited', 'sudo ended', b'sudo: a password is required\n', 1))


def test_unknown_end_of_sudo_is_not_explained(shell):
    _, dialogue = dialogue_of('sudo', shell)
    assert dialogue.explain(HopFailed(1, 'exited', 'sudo ended', b'sudo: unknown user x\n', 1)) is None


def test_debug_output_of_ssh_is_no_prompt(shell):
    _, dialogue = dialogue_of('su', shell, become_pass='s3cret')
    assert dialogue.answer(b'debug1: Password: \n') is None


@pytest.mark.parametrize('prompt', ['Password: ', 'Passwort: ', 'パスワード: '])
def test_su_prompts_in_any_language_are_answered(shell, prompt):
    _, dialogue = dialogue_of('su', shell, become_pass='s3cret')
    assert dialogue.answer(prompt.encode()) == b's3cret\n'
    with pytest.raises(AnsibleError, match='^Incorrect su password$'):
        dialogue.answer(b'\nsu: Authentication failure\n')


def test_prompt_without_a_password_is_not_answered(shell):
    _, dialogue = dialogue_of('su', shell)
    assert dialogue.answer(b'Password: ') is None


def test_local_refusals_are_in_the_words_of_the_local_plugin(shell):
    plugin, dialogue = dialogue_of('sudo', shell, LocalBecomeDialogue, become_pass='s3cret')
    assert dialogue.answer(plugin.prompt.encode()) == b's3cret\n'
    assert dialogue.answer(b'\nSorry, try again.\n') is None
    with pytest.raises(AnsibleError, match='^Duplicate become password prompt encountered waiting for become success'):
        dialogue.answer(b'\nSorry, try again.\n' + plugin.prompt.encode())
    with pytest.raises(AnsibleError, match='^Premature end of stream waiting for become success[.]\n>>> Standard E'):
        dialogue.explain(HopFailed(0, 'exited', 'sudo ended', b'sudo: a password is required\n', 1))


def test_only_sudo_is_started_without_a_terminal_unless_it_asks_for_one(shell):
    assert not BecomeWatch(plugin_of('sudo')).wants_tty()
    assert BecomeWatch(plugin_of('su')).wants_tty()
    complaint = b'sudo: sorry, you must have a tty to run sudo\n'
    assert BecomeDialogue.asks_for_tty(HopFailed(1, 'exited', 'sudo ended', complaint, 1))
    assert not BecomeDialogue.asks_for_tty(HopFailed(1, 'exited', 'sudo ended', b'sudo: unknown user x\n', 1))


@pytest.mark.parametrize('line', [
    '[sudo: %s] Password: ', '%s', 'noise %s', '[sudo] Passwort für mich: ', 'パスワード：', 'Mot de passe de moi : ',
])
def test_prompt_of_sudo_is_known_in_the_words_of_others(shell, line):
    plugin = plugin_of('sudo', become_pass='secret')
    watch = BecomeWatch(plugin)
    plugin.build_become_command('id', shell)
    assert BecomeDialogue(watch).answer((line % plugin.prompt if '%' in line else line).encode()) == b'secret\n'


@pytest.mark.parametrize('line', ['Password changed: yesterday\n', 'Passwort:\n', 'Sorry.', 'Password change: monday'])
def test_what_is_no_question_gets_no_password(shell, line):
    plugin = plugin_of('sudo', become_pass='secret')
    watch = BecomeWatch(plugin)
    plugin.build_become_command('id', shell)
    assert BecomeDialogue(watch).answer(line.encode()) is None


def test_other_plugins_know_their_prompts_best(shell):
    plugin = plugin_of('su', become_pass='secret', prompt_l10n=['Open up'])
    watch = BecomeWatch(plugin)
    plugin.build_become_command('id', shell)
    assert BecomeDialogue(watch).answer(b'Passwort: ') is None
