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


def _is_boolean(value: Any) -> bool:
    return type(value) is bool


def _is_integer(value: Any) -> bool:
    return type(value) is int


def _is_plain_text(value: Any) -> bool:
    # A text that ansible-core has tagged says where it is from.
    return (type(value) is str or type(value).__name__ == '_AnsibleTaggedStr') and not _OF_TEMPLATE.search(value)


def _is_empty_list(value: Any) -> bool:
    return type(value) is list and not value


#: Which values stay what they are, by the name that the type of a keyword has.
_PLAIN: dict[str, Callable[[Any], bool]] = {
    'bool': _is_boolean, 'int': _is_integer, 'string': _is_plain_text, 'list': _is_empty_list}


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
    plain_of: dict[type, dict[str, Callable[[Any], bool] | None]] = {}

    @functools.wraps(stock_validate)
    def post_validate_attribute(self: Any, name: str, *, templar: Any) -> Any:
        kind = type(self)
        plain = plain_of.get(kind)
        if plain is None:
            plain = plain_of[kind] = _plain_keywords(kind)
        if name in plain:
            value = getattr(self, name)
            if value is None:
                return base.Sentinel
            is_plain = plain[name]
            if is_plain is not None and is_plain(value):
                # A list of its own, as the template engine would give.
                return [] if is_plain is _is_empty_list else value
        return stock_validate(self, name, templar=templar)

    return post_validate_attribute


def _plain_keywords(kind: Any) -> dict[str, Callable[[Any], bool] | None]:
    """Return the keywords of a class that may be unset, each with what tells if its value stays as it is."""
    validates = kind._post_validate_object and not issubclass(kind, IncludeRole)
    return {name: _PLAIN.get(attribute.isa) if validates and not hasattr(kind, '_post_validate_' + name) else None
            for name, attribute in kind.fattributes.items() if not attribute.static and not attribute.required}
