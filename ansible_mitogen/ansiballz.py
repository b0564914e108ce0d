"""Recognise the programs that Ansible makes of its Python modules, without running them.

With pipelining, `ActionBase` hands a connection two things for a module: a
program (*AnsiballZ*: a wrapper, a base64 zip of the module with its
``module_utils``, and the arguments) which a Python is to read from stdin, and
the command that starts this Python. Both have very few shapes. What has
exactly such a shape is taken apart here; anything else is not recognised and
runs in a shell like any other command, so that a shape too many costs speed
and nothing else.
"""

import ast
import hashlib
import re
from typing import Any, NamedTuple

from ansible_mitogen.mux.api import ModuleCall


class Payload(NamedTuple):
    """What an AnsiballZ program carries."""

    #: SHA-256, in hex, of `zip_base64`.
    zip_id: str
    zip_base64: str
    module_fqn: str
    #: The arguments, as JSON text.
    params: str
    #: Serialization profile of the arguments; '' before ansible-core 2.19.
    profile: str
    rlimit_nofile: int
    #: Year to second, in UTC: the time stamp of the members of the zip.
    date_time: tuple[int, ...]
    #: `loader` for ansible-core 2.19 and later, `runpy` for earlier ones.
    style: str


class Invocation(NamedTuple):
    """A command which does nothing but start an interpreter."""

    env: dict[str, str]
    interpreter: str


#: Both generations of the wrapper say this of themselves, within the licence text at their top.
_MARK = b'_ANSIBALLZ_WRAPPER = True'
_MARK_WITHIN = 4096

_CALL = b'\n\n\nif __name__ == "__main__":\n    _ansiballz_main(\n'
_CALL_ZIP = b"\nzip_data='"
_CALL_END = b"',\n)\n"
_CALL_ARGUMENT = re.compile(r'([a-z_]+)=(.*),')
_CALL_NAMES = frozenset([
    'ansible_module', 'module_fqn', 'profile', 'date_time', 'rlimit_nofile', 'params', 'extensions'])

_DATE_TIME = re.compile(r'datetime\.datetime\(([0-9, ]+)(?:, tzinfo=datetime\.timezone\.utc)?\)')

_OLD_ZIP = b"\n    ZIPDATA = '"
_OLD_PARAMS = b'\n    ANSIBALLZ_PARAMS = '
_OLD_END = b"\nif __name__ == '__main__':\n    _ansiballz_main()"
_OLD_DATE_TIME = re.compile(rb'\n        zinfo\.date_time = (\([0-9, ]+\))\n')
_OLD_RLIMIT = re.compile(rb'\n    requested_soft = min\(existing_hard, ([0-9]+)\)\n')
# Between the arguments and the start of the module there is nothing but comments: coverage would go there.
_OLD_RUN = re.compile(
    rb'\n        basic\._ANSIBLE_ARGS = json_params\n(?:\s*#.*\n|\s*\n)*'
    rb"        runpy\.run_module\(mod_name='([A-Za-z0-9_.]+)', init_globals=dict\(_module_fqn='\1', "
    rb'_modlib_path=modlib_path\),\n')

#: A word as `shlex.quote` leaves it, or makes it.
_WORD = r"""[\w@%+=:,./-]+|'[^']*'(?:"'"'[^']*')*"""
_INVOCATION = re.compile(
    rf"""((?:[A-Za-z_]\w*=(?:{_WORD})[ ])*)({_WORD})(?:[ ]&&[ ]sleep[ ]0)?\s*""", re.ASCII)
_ASSIGNMENT = re.compile(rf'([A-Za-z_]\w*)=({_WORD})[ ]', re.ASCII)
_ASSIGNS = re.compile(r'[A-Za-z_]\w*=', re.ASCII)
_IN_SHELL = re.compile(rf'(\S+) -c ({_WORD})', re.ASCII)

#: Shells which, started with ``-c``, do nothing before the command. (zsh reads ~/.zshenv.)
_PLAIN_SHELLS = frozenset(['sh', 'bash', 'dash', 'ash', 'ksh', 'mksh'])

# These act when a process starts, or once: setting them in one that runs already is not the same.
_ENV_FOR_START = re.compile(
    r'(?:PYTHON|LD_|DYLD_|LC_|MALLOC_|OPENSSL_)|(?:LANG|LANGUAGE|TZ|TZDIR|GLIBC_TUNABLES|LOCPATH)\Z')


def recognise(in_data: bytes | None, command: str, cwd: str | None = None,
              mends: tuple[str, ...] = ()) -> ModuleCall | None:
    """Return the call of a module that a connection was asked to make, or None if it is something else.

    :param command: what starts the interpreter, without a shell around it.
    :param cwd: where the module runs.
    :param mends: what of ansible-core is to be mended in its process.
    """
    if not in_data or _MARK not in in_data[:_MARK_WITHIN]:
        return None
    invocation = parse_command(command)
    payload = parse_payload(in_data) if invocation else None
    if payload is None or invocation is None:
        return None
    return ModuleCall(env=invocation.env, interpreter=invocation.interpreter, cwd=cwd, mends=mends,
                      **payload._asdict())


def parse_command(command: str) -> Invocation | None:
    """Take ``[NAME=value ...] interpreter`` apart; None for any other command.

    Also None if the environment would act on the start of the interpreter.
    """
    match = _INVOCATION.fullmatch(command)
    if match is None:
        return None
    assignments, interpreter = match.groups()
    # Without this the last word may be an assignment too: a command that starts nothing.
    if _ASSIGNS.match(interpreter):
        return None
    env = {name: _unquote(value) for name, value in _ASSIGNMENT.findall(assignments)}
    if any(_ENV_FOR_START.match(name) for name in env):
        return None
    return Invocation(env, _unquote(interpreter))


def unwrap_shell(command: str) -> str | None:
    """Return what the shell runs in ``shell -c 'quoted'``, or None for any other command.

    Only for shells that do nothing else then.
    """
    match = _IN_SHELL.fullmatch(command)
    if match is None or match[1].rpartition('/')[2] not in _PLAIN_SHELLS:
        return None
    return _unquote(match[2])


def parse_payload(in_data: bytes) -> Payload | None:
    """Take an AnsiballZ program apart; None if it is none, or one that is in any way unusual."""
    try:
        if in_data.endswith((_OLD_END, _OLD_END + b'\n')):
            return _parse_old_template(in_data)
        return _parse_call(in_data)
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return None


def _parse_call(in_data: bytes) -> Payload | None:
    """ansible-core 2.19 and later: the last statement is a call, with one argument on each line."""
    call = in_data.find(_CALL)
    if call < 0 or not in_data.endswith(_CALL_END):
        return None
    # All are literals, so that no line break or quote inside of one can be taken for the end of it.
    begin = call + len(_CALL)
    zip_begin = in_data.index(_CALL_ZIP, begin) + len(_CALL_ZIP)
    arguments = {}
    for line in in_data[begin:zip_begin - len(_CALL_ZIP)].decode().split('\n'):
        match = _CALL_ARGUMENT.fullmatch(line)
        if match is None:
            return None
        arguments[match[1]] = match[2]
    if arguments.keys() != _CALL_NAMES or arguments['extensions'] != '{}':
        return None
    return _payload(
        in_data[zip_begin:-len(_CALL_END)],
        module_fqn=_string(arguments['module_fqn']),
        params=_string(arguments['params']),
        profile=_string(arguments['profile']),
        rlimit_nofile=int(arguments['rlimit_nofile']),
        date_time=_parse_date_time(arguments['date_time']),
        style='loader',
    )


def _parse_old_template(in_data: bytes) -> Payload | None:
    """ansible-core 2.16 to 2.18: a template in which values are filled in."""
    zip_begin = in_data.find(_OLD_ZIP) + len(_OLD_ZIP)
    if zip_begin < len(_OLD_ZIP):
        return None
    zip_end = in_data.index(b"'\n", zip_begin)
    params_begin = in_data.index(_OLD_PARAMS, zip_end) + len(_OLD_PARAMS)
    params_end = in_data.index(b'\n', params_begin)
    head, middle = in_data[:zip_begin], in_data[zip_end:params_begin]
    run, date_time, rlimit = _OLD_RUN.search(middle), _OLD_DATE_TIME.search(middle), _OLD_RLIMIT.search(head)
    if run is None or date_time is None:
        return None
    return _payload(
        in_data[zip_begin:zip_end],
        module_fqn=run[1].decode(),
        params=_string(in_data[params_begin:params_end].decode()),
        profile='',
        rlimit_nofile=int(rlimit[1]) if rlimit else 0,
        date_time=ast.literal_eval(date_time[1].decode()),
        style='runpy',
    )


def _payload(zip_base64: bytes, **fields: Any) -> Payload | None:
    if b'\\' in zip_base64 or b"'" in zip_base64:
        return None
    return Payload(hashlib.sha256(zip_base64).hexdigest(), str(zip_base64, 'ascii'), **fields)


def _string(literal: str) -> str:
    """Return the value of a string literal that `repr` made."""
    value = literal[1:-1]
    if literal[:1] == literal[-1:] == "'" and '\\' not in value and "'" not in value:
        return value
    value = ast.literal_eval(literal)
    if not isinstance(value, str):
        raise ValueError('%.20s... is no string' % literal)
    return value


def _parse_date_time(text: str) -> tuple[int, ...]:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    numbers = tuple(int(number) for number in match[1].split(','))
    return (numbers + (0, 0, 0))[:6]


def _unquote(word: str) -> str:
    if not word.startswith("'"):
        return word
    return word[1:-1].replace("""'"'"'""", "'")
