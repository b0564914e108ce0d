"""What is a prompt, what is answered, and what a failure means: tables."""

from types import SimpleNamespace
from typing import Any

import pytest

from mitogen import prompts, ssh, sudo
from mitogen.master import HopError

PASSWORDS = [
    b"deploy@web1's password: ", b'(deploy@web1) Password: ', b'[sudo] password for deploy:', b'Password:',
    b'[sudo: authenticate] Password: ', 'Mot de passe : '.encode(), 'Passwort für deploy:'.encode(),
    '[sudo] пароль для deploy: '.encode(), 'パスワード:'.encode(), '密码：'.encode(), b'motd\nPassword: ',
]

NO_PASSWORDS = [
    b'', b'Password: \nLast login', b'your password will expire in 3 days', b'Password changed.',
    b"Enter passphrase for key '/home/deploy/.ssh/id_ed25519': ",
]


@pytest.mark.parametrize('output', PASSWORDS)
def test_prompts_for_a_password_are_recognised(output: bytes) -> None:
    assert prompts.asks_password(output)


@pytest.mark.parametrize('output', NO_PASSWORDS)
def test_other_output_is_no_prompt_for_a_password(output: bytes) -> None:
    assert not prompts.asks_password(output)


def test_a_passphrase_is_told_from_a_password() -> None:
    assert prompts.asks_passphrase(b"Enter passphrase for key '/home/deploy/.ssh/id_ed25519': ")
    assert not prompts.asks_passphrase(b'Password: ')


@pytest.mark.parametrize('output', [
    b'Are you sure you want to continue connecting (yes/no/[fingerprint])? ',
    b'Are you sure you want to continue connecting (yes/no)? ',
])
def test_the_question_about_an_unknown_host_key_is_recognised(output: bytes) -> None:
    assert prompts.asks_host_key(output)
    assert not prompts.asks_password(output)


def test_bytes_that_are_no_text_are_no_prompt() -> None:
    assert not prompts.asks_password(b'\xff\xfe\x00' * 1000)


SSH_SAID = [
    (b'@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\r\nHost key verification failed.\r\n',
     'the host key is not the one that is known'),
    (b'No ED25519 host key is known for web1 and you have requested strict checking.\r\n'
     b'Host key verification failed.\r\n', 'the host key is not known'),
    (b'motd\r\ndeploy@web1: Permission denied (publickey,password).\r\n',
     'it refused the login: deploy@web1: Permission denied (publickey,password).'),
    (b'Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures\r\n',
     'it refused the login: too many keys or passwords were tried'),
    (b'ssh: Could not resolve hostname web1: Name or service not known\r\n',
     'ssh: Could not resolve hostname web1: Name or service not known'),
    (b'ssh: connect to host web1 port 22: Connection refused\r\n',
     'ssh: connect to host web1 port 22: Connection refused'),
    (b'ssh: connect to host web1 port 22: No route to host\r\n',
     'ssh: connect to host web1 port 22: No route to host'),
    (b'kex_exchange_identification: read: Connection reset by peer\r\n',
     'kex_exchange_identification: read: Connection reset by peer'),
    (b'command-line: line 0: Bad configuration option: nosuch\r\n',
     'command-line: line 0: Bad configuration option: nosuch'),
    (b'Segmentation fault\n', None),
]

SUDO_SAID = [
    (b'sudo: sorry, you must have a tty to run sudo\n', 'it wants a terminal'),
    (b'sudo: a terminal is required to read the password; either use the -S option\n', 'it wants a terminal'),
    (b'deploy is not in the sudoers file.\n', 'deploy is not in the sudoers file.'),
    (b"Sorry, user deploy is not allowed to execute '/bin/sh' as root on web1.\n",
     "Sorry, user deploy is not allowed to execute '/bin/sh' as root on web1."),
    (b'sudo: unknown user nobody1\n', 'sudo: unknown user nobody1'),
    (b'sudo: a password is required\n', 'a password is required and none was given'),
    (b'Sorry, try again.\nsudo: 1 incorrect password attempt\n', 'the password is wrong'),
    (b'sudo: effective uid is not 0, is sudo installed setuid root?\n',
     'sudo: effective uid is not 0, is sudo installed setuid root?'),
    (b'Segmentation fault\n', None),
]

#: What a stream asks of its router before it is started.
ROUTER: Any = SimpleNamespace(routes=SimpleNamespace(allocate_id=lambda count: 1))
ASKS_PASSPHRASE = b"Enter passphrase for key '/home/deploy/.ssh/id_ed25519': "
ASKS_PASSWORD = b"deploy@web1's password: "
ASKS_HOST_KEY = b'Are you sure you want to continue connecting (yes/no/[fingerprint])? '


@pytest.mark.parametrize(('output', 'why'), SSH_SAID)
def test_what_ssh_says_when_it_fails_is_understood(output: bytes, why: str | None) -> None:
    assert ssh.Stream(ROUTER, 'web1').why(output) == why


@pytest.mark.parametrize(('output', 'why'), SUDO_SAID)
def test_what_sudo_says_when_it_fails_is_understood(output: bytes, why: str | None) -> None:
    assert sudo.Stream(ROUTER, 'web1').why(output) == why


def test_ssh_is_told_password_and_passphrase_each_once() -> None:
    stream = ssh.Stream(ROUTER, 'web1', 'deploy', password='sesame', passphrase='open')
    assert stream.answer(b'Last login: yesterday\r\n') is None
    assert stream.answer(ASKS_PASSPHRASE) == b'open\n'
    with pytest.raises(HopError, match='ssh deploy@web1: the passphrase is wrong'):
        stream.answer(ASKS_PASSPHRASE)
    assert stream.answer(ASKS_PASSWORD) == b'sesame\n'
    with pytest.raises(HopError, match='ssh deploy@web1: the password is wrong'):
        stream.answer(ASKS_PASSWORD)
    assert stream.why(b'deploy@web1: Permission denied (password).') == 'the password is wrong'


@pytest.mark.parametrize(('given', 'asked', 'why'), [
    ({'passphrase': 'open'}, ASKS_PASSWORD, 'it asked for a password and none was given'),
    ({'password': 'sesame'}, ASKS_PASSPHRASE, 'it asked for a passphrase and none was given'),
    ({'password': 'sesame'}, ASKS_HOST_KEY, 'the host key is not known')])
def test_what_ssh_asks_and_nobody_can_answer_is_named(given: dict[str, str], asked: bytes, why: str) -> None:
    with pytest.raises(HopError, match='ssh web1: ' + why):
        ssh.Stream(ROUTER, 'web1', **given).answer(asked)


def test_ssh_that_knows_no_secret_is_told_not_to_ask() -> None:
    assert 'BatchMode=yes' in ssh.Stream(ROUTER, 'web1').wrap(['true'])
    assert 'BatchMode=yes' not in ssh.Stream(ROUTER, 'web1', password='sesame').wrap(['true'])


def test_sudo_asks_with_a_prompt_of_its_own_and_is_answered_once() -> None:
    stream = sudo.Stream(ROUTER, password='sesame')
    assert stream.prompt is not None
    assert stream.prompt != sudo.Stream(ROUTER, password='sesame').prompt
    argv = stream.wrap(['true'])
    assert argv[argv.index('-p') + 1].encode() == stream.prompt
    assert stream.answer(b'We trust you have received the usual lecture.\n') is None
    assert stream.answer(stream.prompt) == b'sesame\n'
    with pytest.raises(HopError, match='sudo root: the password is wrong'):
        stream.answer(stream.prompt)


def test_sudo_without_a_password_fails_where_it_would_ask() -> None:
    stream = sudo.Stream(ROUTER)
    assert '-n' in stream.wrap(['true'])
    with pytest.raises(HopError, match='sudo root: it asked for a password and none was given'):
        stream.answer(b'[sudo] password for deploy: ')
