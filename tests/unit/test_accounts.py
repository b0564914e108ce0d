"""Which tasks the idle processes of other accounts are ended before."""

import json
from pathlib import Path

import pytest

from ansible_mitogen.connection import accounts
from ansible_mitogen.mux.api import ModuleCall


@pytest.mark.parametrize(('text', 'concerned'), [
    ('userdel web', True),
    ('/usr/sbin/usermod -u 1000 web', True),
    ('pkill -u web', True),
    ('pkill -9 -U web; true', True),
    ('pgrep --euid web', True),
    ('killall --user web', True),
    ('killall -wu web', True),
    ('ps -o pid= -u web', True),
    ('/usr/bin/python3 /root/.ansible/tmp/x/AnsiballZ_user.py', True),
    ('userdelete web', False),
    ('pgrep nginx', False),
    ('pkill nginx; sudo -u web true', False),
    ('ps -ef', False),
    ('grep -u steps', False),
    ('/usr/bin/python3 /root/.ansible/tmp/x/AnsiballZ_users.py', False),
])
def test_commands_and_arguments_of_modules_are_known_by_their_words(text: str, concerned: bool, tmp_path: Path) -> None:
    assert accounts.are_concerned(None, ['', '-c', text]) is concerned
    arguments = ({'_raw_params': text}, {'argv': text.split()})
    for params in arguments:
        call = ModuleCall('', '', 'ansible.modules.command', json.dumps({'ANSIBLE_MODULE_ARGS': params}))
        assert accounts.are_concerned(call, []) is concerned
    script = tmp_path / 'script'
    script.write_text(f'#!/bin/sh\n{text}\n')
    assert accounts.script_is_concerned(str(script)) is concerned


def test_the_module_for_accounts_is_known_whatever_it_is_to_do() -> None:
    assert accounts.are_concerned(ModuleCall('', '', 'ansible.modules.user', '{}'), [])


def test_a_file_that_is_not_there_is_no_script(tmp_path: Path) -> None:
    assert not accounts.script_is_concerned(str(tmp_path / 'nothing'))
