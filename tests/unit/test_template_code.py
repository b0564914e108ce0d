"""Templates that are compiled once give what they give when they are compiled each time."""

from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible import template
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_mitogen.hooks.template_code import TemplateCode, keeping_code

bits: Any = pytest.importorskip('ansible._internal._templating._jinja_bits', reason='ansible-core 2.19 and later')
trust_as_template: Any = getattr(template, 'trust_as_template', None)

pytestmark = pytest.mark.every_core

TEMPLATES = ['{{ a }}', '{{ a }} and {{ b.c }}', '{{ [a, b] }}', '{{ b["c"] ~ "x" }}', 'plain', '{{ missing }}', '{{ a',
             '{{ "{{ a }}" }}', '{{ a | upper }}', '{{ a is defined }}', '{% if a %}yes{% endif %}',
             '{{ lookup("vars", "a") }}', '{{ "a\\tb" }}',
             "#jinja2: variable_start_string:'[%', variable_end_string:'%]'\n[% a %] {{ a }}"]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hook's method is in place; what the stock one is asked to compile is noted here."""
    noted: list[str] = []
    stock = bits.AnsibleEnvironment.compile

    def noting(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        noted.append(source)
        return stock(self, source, *args, **kwargs)
    monkeypatch.setattr(bits.AnsibleEnvironment, 'compile', noting)
    monkeypatch.setattr(bits.AnsibleEnvironment, 'compile', keeping_code(bits))
    return noted


def outcome(text: str, variables: dict[str, Any], **options: Any) -> object:
    """What a text gives, or the error."""
    try:
        return Templar(DataLoader(), variables=variables).template(trust_as_template(text), **options)
    except AnsibleError as exc:
        return type(exc).__name__, str(exc)


@pytest.mark.parametrize('escape', [True, False])
@pytest.mark.parametrize('text', TEMPLATES)
def test_results_and_errors_are_the_same(
    text: str, escape: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [{'a': 1, 'b': {'c': 'x'}}, {'a': [1, 2], 'b': {'c': trust_as_template('{{ a }}')}},
              {'a': 'text', 'b': {}}]
    expected = [outcome(text, world, escape_backslashes=escape) for world in worlds]
    monkeypatch.setattr(bits.AnsibleEnvironment, 'compile', keeping_code(bits))
    assert [outcome(text, world, escape_backslashes=escape) for world in worlds + worlds] == expected + expected


def test_a_simple_template_is_compiled_once(compiled: list[str]) -> None:
    assert [outcome('{{ a }}!', {'a': number}) for number in range(3)] == ['0!', '1!', '2!']
    assert compiled == ['{{ a }}!']


def test_what_it_is_read_by_makes_another_one(compiled: list[str]) -> None:
    for escape in (True, False, True):
        outcome(r'{{ "a\tb" }}', {}, escape_backslashes=escape)
    assert len(compiled) == 2
    brackets = {'variable_start_string': '[[', 'variable_end_string': ']]'}
    text = '[[ a ]] {{ a }}'
    assert [outcome(text, {'a': 1}, overrides=overrides) for overrides in (None, brackets, None, brackets)] == [
        '[[ a ]] 1', '1 {{ a }}'] * 2
    assert len(compiled) == 4


@pytest.mark.parametrize('text', [
    '{{ a | upper }}', '{{ a is defined }}', '{% if a %}x{% endif %}', '{{ a', 'x' * 20000 + '{{ a }}'])
def test_others_are_compiled_each_time(text: str, compiled: list[str]) -> None:
    for _ in range(2):
        outcome(text, {'a': 'b'})
    assert len(compiled) == 2


def test_hook_fits_and_notices_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = TemplateCode()
    assert hook.unfit_reason() == ''
    with monkeypatch.context() as patch:
        patch.setattr(bits._TemplateCompileContext, '__annotations__', {'escape_backslashes': bool, 'more': bool})
        assert hook.unfit_reason() == 'what its code depends on is not known'
    monkeypatch.setattr(bits.AnsibleEnvironment, 'compile', lambda self, source: None)
    assert hook.unfit_reason().endswith('is not what it replaces')
