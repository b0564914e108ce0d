"""What programs ask on the way to another account or host, and why they fail. Pure functions of what they print."""

import re
from typing import Optional, Sequence, Tuple

#: "Password" as Linux-PAM, sudo and shadow say it in the languages they are translated into, in lower case.
PASSWORD_WORDS = (
    'password', 'passwort', 'passord', 'wachtwoord', 'lösenord', 'adgangskode', 'salasana', 'parool', 'parole',
    'slaptažodis', 'hasło', 'heslo', 'geslo', 'lozinka', 'лозинка', 'парола', 'пароль', 'jelszó', 'jelszava',
    'mot de passe', 'contraseña', 'contrasenya', 'contrasinal', 'contrasigno', 'palavra-passe', 'senha', 'parolă',
    'parola', 'şifrə', 'pasahitza', 'pasvorto', 'focal faire', 'κωδικός', 'sandi', 'mật khẩu', 'iphasiwedi',
    'كلمة السر', 'كلمة المرور', 'גסמה', 'ססמה', 'סיסמה', 'পাসওয়ার্ড', 'গুপ্তশব্দ', 'પાસવર્ડ', 'शब्दकूट', 'गुप्तशब्द',
    'ಗುಪ್ತಪದ', 'അടയാളവാക്ക്', 'ପ୍ରବେଶ ସଙ୍କେତ', 'ਪਾਸਵਰਡ', 'රහස්පදය', 'கடவுச்சொல்', 'సంకేతపదము', 'პაროლი',
    'ពាក្យសម្ងាត់', 'パスワード', '암호', '비밀번호', '密码', '密碼', '口令',
)

# Expressions are compiled when they are first used: most runs are asked nothing, and nothing fails.

#: A question ends like this, and with no newline: it waits for the answer on the same line.
_QUESTION = r'[:：៖?？]\s*\Z'

#: How a translated sudo, and sudo-rs, begin theirs. "[sudo: authenticate] " is the latter.
_SUDO = r'\[(sudo|судо)\b[^\]]*\]'

#: Programs print their name and a colon before a complaint, sometimes in a write of its own.
_ONLY_A_NAME = r'^[\w./-]*(sudo|su|doas|ssh|mitogen)(\[\d+\])?: *\Z'

#: What asks for something else than a password: answering with one would show it to the wrong reader.
_OTHER_SECRETS = r'(?i)verification code|one-time|otp\b|token|passcode|\bpin\b'

_PASSPHRASE = r"Enter (?:PIN or )?passphrase for .*: *\Z"
_HOST_KEY = r'\(yes/no(?:/\[fingerprint\])?\)\? *\Z'


def _last_line(output: bytes) -> bytes:
    return output.replace(b'\r', b'\n').rpartition(b'\n')[2]


def question(output: bytes) -> str:
    """Return the unterminated last line of what a program printed: what it may be asking; else ''."""
    return _last_line(output).decode('utf-8', 'replace')


def asks_password(output: bytes, prompt: Optional[bytes] = None) -> bool:
    """Whether a program waits for a password.

    :param output: what it has printed since the last answer.
    :param prompt: a text that it was told to use as its prompt.
    """
    if prompt is not None and prompt in output:
        return True
    line = question(output)
    if not re.search(_QUESTION, line) or any(
            re.search(other, line) for other in (_ONLY_A_NAME, _OTHER_SECRETS, _PASSPHRASE)):
        return False
    # Where it is not in UTF-8 no word can be told; but there is little else that could be asked.
    return bool(re.match(_SUDO, line)) or '\ufffd' in line or any(word in line.lower() for word in PASSWORD_WORDS)


def asks_passphrase(output: bytes) -> bool:
    """Whether ssh waits for the passphrase of a key."""
    return bool(re.search(_PASSPHRASE, question(output)))


def asks_host_key(output: bytes) -> bool:
    """Whether ssh waits for a word on a host key that it does not know."""
    return bool(re.search(_HOST_KEY, question(output)))


#: What a failed program printed, and what that means.
Failures = Sequence[Tuple[bytes, str]]


def failures(*table: Tuple[str, str]) -> Failures:
    """Return a table of failures.

    :param table: pairs of a regular expression and a sentence, in which ``{0}``
        stands for what the expression matched.
    """
    return [(b'(?m)' + expression.encode(), sentence) for expression, sentence in table]


def explain(output: bytes, table: Failures) -> Optional[str]:
    """Return the sentence of the first failure that `output` shows, or None."""
    for expression, sentence in table:
        found = re.search(expression, output)
        if found is not None:
            return sentence.format(found.group().decode('utf-8', 'replace').strip())
    return None


SSH_FAILURES = failures(
    (r'REMOTE HOST IDENTIFICATION HAS CHANGED', 'the host key is not the one that is known'),
    (r'Host key verification failed', 'the host key is not known'),
    (r'^.*Permission denied.*$', 'it refused the login: {0}'),
    (r'Too many authentication failures', 'it refused the login: too many keys or passwords were tried'),
    (r'^ssh: Could not resolve hostname.*$', '{0}'),
    (r'^.*(?:Connection refused|Connection timed out|No route to host|Network is unreachable).*$', '{0}'),
    (r'^.*(?:Connection closed by|Connection reset by|kex_exchange_identification).*$', '{0}'),
    (r'^.*(?:Bad configuration option|Bad owner or permissions).*$', '{0}'),
)

SUDO_FAILURES = failures(
    (r'must have a tty|no tty present|a terminal is required', 'it wants a terminal'),
    (r'^.*not in the sudoers file.*$', '{0}'),
    (r'^.*(?:is not allowed to (?:execute|run)|may not run sudo).*$', '{0}'),
    (r'^.*(?:unknown user|unknown group|I.m sorry .*\. I.m afraid I can.t do that).*$', '{0}'),
    (r'a password is required|no password was provided|interactive authentication is required',
     'a password is required and none was given'),
    (r'incorrect (?:password|authentication) attempt|Sorry, try again|Authentication failed', 'the password is wrong'),
    (r'^.*(?:effective uid is not 0|no new privileges).*$', '{0}'),
)

SU_FAILURES = failures(
    (r'^.*(?:user .* does not exist|Unknown id|unknown user).*$', '{0}'),
    (r'Authentication failure|Permission denied|incorrect password', 'the password is wrong'),
    (r'must be run from a terminal', 'it wants a terminal'),
)

DOAS_FAILURES = failures(
    (r'Authentication failed|Authorization failed|doas: Operation not permitted',
     'it does not allow that, or the password is wrong'),
    (r'Authentication required', 'a password is required and none was given'),
    (r'a tty is required', 'it wants a terminal'),
    (r'^.*unknown user.*$', '{0}'),
)

CONTAINER_FAILURES = failures(
    (r'^.*(?:[Nn]o such container|No such object|no running container|not found|does not exist|No such instance).*$',
     '{0}'),
    (r'^.*(?:is not running|not running|is paused).*$', '{0}'),
    (r'^.*(?:[Pp]ermission denied|Cannot connect to the .* daemon|Is the docker daemon running).*$', '{0}'),
    (r'^.*(?:executable file not found|no such file or directory).*$', '{0}'),
    (r'^.*(?:unable to find user|no such user).*$', '{0}'),
)
