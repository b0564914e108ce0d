"""Keywords of tasks are worth what they are worth by stock Ansible, whether the template engine was asked or not."""

from typing import Any
from unittest import mock

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible.parsing.dataloader import DataLoader
from ansible.playbook import base
from ansible.playbook.block import Block
from ansible.playbook.handler import Handler
from ansible.playbook.loop_control import LoopControl
from ansible.playbook.play import Play
from ansible.playbook.play_context import PlayContext
from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task import Task
from ansible.playbook.task_include import TaskInclude
from ansible.template import Templar

from ansible_mitogen.hooks.plain_keywords import PlainKeywords, taking_plain_ones

datatag: Any = pytest.importorskip('ansible.module_utils._internal._datatag', reason='ansible-core 2.19 and later')
tags: Any = pytest.importorskip('ansible._internal._datatag._tags', reason='ansible-core 2.19 and later')

pytestmark = pytest.mark.every_core

KINDS = [Task, Handler, TaskInclude, IncludeRole, PlayContext, LoopControl, Play, Block]

#: For each keyword, as if a playbook had it, whatever its type is.
VALUES = [
    None, True, False, 0, 1, 7, 1.5, '', 'text', 'no', '12', '{{ number }}', '{{ missing }}', '{{ omit }}',
    '{% if x %}', "#jinja2: variable_start_string:'[%'\n[% number %]", '# a comment', [], [''], ['text'],
    ['{{ number }}'], {}, {'key': '{{ number }}'}]


def tagged(value: Any) -> Any:
    """As it comes from a file that may hold templates."""
    origin = tags.Origin(path='/play.yml', line_num=3)
    if isinstance(value, list):
        value = [tagged(item) for item in value]
    elif isinstance(value, dict):
        value = {key: tagged(item) for key, item in value.items()}
    value = tags.TrustedAsTemplate().tag(value) if isinstance(value, str) else value
    return origin.tag(value)


def outcome(kind: Any, name: str, value: Any, validate: Any) -> object:
    """What a keyword is worth, with its tags, or the error; if a list is the one that was there; and the warnings."""
    warnings: list[str] = []
    with mock.patch.object(base.display, 'warning', warnings.append):
        return worth(kind, name, value, validate), warnings


def worth(kind: Any, name: str, value: Any, validate: Any) -> object:
    thing = kind()
    setattr(thing, '_' + name, value)
    thing._squashed = True
    templar = Templar(DataLoader(), variables={'number': 3, 'x': True})
    try:
        found = validate(thing, name, templar=getattr(templar, '_engine', templar))
    except Exception as exc:
        return type(exc).__name__, str(exc), str(exc.__cause__)
    shown = 'Sentinel' if found is base.Sentinel else type(found).__name__ if name == 'loop_control' else found
    return (shown, type(found), datatag.AnsibleTagHelper.tags(found) if not isinstance(found, type) else None,
            found is value)


@pytest.mark.parametrize('kind', KINDS)
def test_each_keyword_is_worth_what_it_is_by_ansible(kind: Any) -> None:
    stock: Any = base.FieldAttributeBase.post_validate_attribute
    ours = taking_plain_ones(stock)
    for name in kind.fattributes:
        for value in [*VALUES, *map(tagged, VALUES)]:
            assert outcome(kind, name, value, ours) == outcome(kind, name, value, stock), (name, value)


def test_ansible_is_asked_about_what_may_be_a_template_only() -> None:
    asked: list[str] = []

    def stock(self: Any, name: str, *, templar: Any) -> None:
        asked.append(name)
    validate = taking_plain_ones(stock)
    task: Any = Task()
    task._squashed = True
    task._ignore_errors, task._become_user, task._tags, task._throttle = '{{ number }}', '{{ name }}', ['x'], True
    for name in ('ignore_errors', 'become_user', 'tags', 'throttle', 'become', 'async_val', 'any_errors_fatal', 'when',
                 'action', 'args', 'vars'):
        validate(task, name, templar=None)
    assert asked == ['ignore_errors', 'become_user', 'tags', 'throttle', 'args']
    task._action = 'command'
    assert validate(task, 'action', templar=None) == 'command'


def test_hook_fits_and_notices_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PlainKeywords().unfit_reason() == ''

    def post_validate_attribute(self: Any, name: str, *, templar: Any) -> Any:
        return open(name)
    monkeypatch.setattr(base.FieldAttributeBase, 'post_validate_attribute', post_validate_attribute)
    assert PlainKeywords().unfit_reason().endswith('uses open')
    monkeypatch.setattr(base.FieldAttributeBase, 'post_validate_attribute', lambda self, name: None)
    assert PlainKeywords().unfit_reason().endswith('takes the parameters self, name')
