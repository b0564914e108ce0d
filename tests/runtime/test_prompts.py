"""What is a prompt, and what is not: tables."""

import pytest

from mitogen import prompts

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
