"""Keywords of a task that hold nothing to work out are taken as they are."""

import functools
import re
from collections.abc import Callable
from typing import Any

from ansible.playbook import base
from ansible.playbook.role_include import IncludeRole

from ansible_mitogen.hooks.base import Hook, parameters_of, reason_in_names

#: All that the stock method uses: its answer depends on nothing else.
_NAMES = frozenset([
    'AnsibleFieldAttributeError', 'AnsibleValueOmittedError', 'Exception', 'IncludeRole', 'Sentinel',
    '_post_validate_object', 'always_post_validate', 'display', 'fattributes', 'get_ds', 'get_validated_value',
    'getattr', 'isa', 'isinstance', 'is_template', 'required', 'role_include', 'set_to_context', 'static',
    'statically_loaded', 'template', 'warning'])

#: What a text has that may be a template: a brace, or the line with which templates change that.
_OF_TEMPLATE = re.compile(r'\{|\A#')


#: There is something to work out: the stock method is asked.
_ASK = object()

#: Returns what a value is worth, or :data:`_ASK`.
_Worth = Callable[[Any], Any]


def _boolean(value: Any) -> Any:
    return value if type(value) is bool else _ASK


def _integer(value: Any) -> Any:
    return value if type(value) is int else _ASK


def _number(value: Any) -> Any:
    return float(value) if type(value) in (int, float) else _ASK


def _plain_text(value: Any) -> Any:
    # A text that ansible-core has tagged says where it is from.
    is_text = type(value) is str or type(value).__name__ == '_AnsibleTaggedStr'
    return value if is_text and not _OF_TEMPLATE.search(value) else _ASK


def _empty_list(value: Any) -> Any:
    # A list of its own, as the template engine would give.
    return [] if type(value) is list and not value else _ASK


def _static(value: Any) -> Any:
    """A keyword that is never a template stays what it is; one that looks like a template has a warning."""
    items = value if type(value) is list else [value]
    return _ASK if any(_plain_text(item) is _ASK for item in items) else base.Sentinel


def _ask(value: Any) -> Any:
    return _ASK


#: What tells the worth of a value, by the name that the type of a keyword has.
_WORTH: dict[str, _Worth] = {
    'bool': _boolean, 'int': _integer, 'float': _number, 'string': _plain_text, 'list': _empty_list}


class PlainKeywords(Hook):
    """Does not ask the template engine about keywords that are not set or cannot be templates.

    For each task of each host, Ansible has it look at some eighty keywords, of which a task sets three or four.
    """

    name = 'keywords'
    replaces = 'ansible.playbook.base.FieldAttributeBase.post_validate_attribute'
    loss = 'each task takes a millisecond longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        if not _is_wanted():
            return ''
        stock: Any = vars(base.FieldAttributeBase).get('post_validate_attribute')
        found = parameters_of(stock)
        if found != ['self', 'name', 'templar']:
            return '%s takes the parameters %s' % (self.replaces, ', '.join(found))
        return reason_in_names(self.replaces, stock, _NAMES)

    def install(self, forks: int) -> None:
        """Give the class a method of its own."""
        if _is_wanted():
            method = taking_plain_ones(base.FieldAttributeBase.post_validate_attribute)
            base.FieldAttributeBase.post_validate_attribute = method


def _is_wanted() -> bool:
    # Before ansible-core 2.19 there is no such method.
    return hasattr(base.FieldAttributeBase, 'post_validate_attribute')


def taking_plain_ones(stock_validate: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that asks `stock_validate` only about keywords that hold something to work out."""
    known: dict[type, dict[str, _Worth | None]] = {}

    @functools.wraps(stock_validate)
    def post_validate_attribute(self: Any, name: str, *, templar: Any) -> Any:
        kind = type(self)
        keywords = known.get(kind)
        if keywords is None:
            keywords = known[kind] = _plain_keywords(kind)
        if name in keywords:
            worth = keywords[name]
            if worth is None:
                return base.Sentinel
            value = getattr(self, name)
            if value is None:
                return base.Sentinel
            answer = worth(value)
            if answer is not _ASK:
                return answer
        return stock_validate(self, name, templar=templar)

    return post_validate_attribute


def _plain_keywords(kind: Any) -> dict[str, _Worth | None]:
    """Return the keywords of a class that may be unset, each with what tells its worth.

    None for those that are not looked at, whatever they hold: their values are inherited by others, which look at them.
    """
    keywords: dict[str, _Worth | None] = {}
    for name, attribute in kind.fattributes.items():
        if attribute.required:
            continue
        if attribute.static:
            # That variables hold templates is no matter.
            keywords[name] = _static if name != 'vars' else None
        elif not kind._post_validate_object and not attribute.always_post_validate:
            keywords[name] = None
        elif hasattr(kind, '_post_validate_' + name) or issubclass(kind, IncludeRole):
            keywords[name] = _ask
        else:
            keywords[name] = _WORTH.get(attribute.isa, _ask)
    return keywords
