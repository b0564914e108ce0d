"""A template that is used for many items or hosts is compiled once."""

import importlib
import re
from collections.abc import Callable
from typing import Any

import jinja2

from ansible_mitogen.hooks.base import Hook, parameters_of
from ansible_mitogen.hooks.bounded import BoundedCache

_MODULE = 'ansible._internal._templating._jinja_bits'

#: Compiled templates that are kept, and the longest source of one.
_MAX_KEPT = 1000
_MAX_LENGTH = 16 * 1024

#: A filter or a test may be, or a statement: what they mean is looked up when they are compiled, and may change.
_LOOKED_UP = re.compile(r'\||\bis\b|\{%|#jinja2:')

#: What the compiler is given besides the source of a template; with any of it, the code is not kept.
_PARAMETERS = ['self', 'source', 'name', 'filename', 'raw', 'defer_init']


class TemplateCode(Hook):
    """Keeps the code of simple templates, without filters, tests and statements.

    Ansible compiles each template anew for each item of a loop and each host.
    """

    name = 'templates'
    replaces = 'ansible._internal._templating._jinja_bits.AnsibleEnvironment.compile'
    loss = 'templates are compiled for each item and host'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        bits = _bits()
        if bits is None:
            return ''
        environment = getattr(bits, 'AnsibleEnvironment', None)
        if environment is None or environment.compile is not jinja2.Environment.compile or \
                parameters_of(environment.compile) != _PARAMETERS:
            return '%s is not what it replaces' % self.replaces
        context = getattr(bits, '_TemplateCompileContext', None)
        if not getattr(bits, '_TEMPLATE_OVERRIDE_FIELD_NAMES', None) or \
                list(getattr(context, '__annotations__', ())) != ['escape_backslashes']:
            return 'what its code depends on is not known'
        return ''

    def install(self, forks: int) -> None:
        """Give the class a method of its own."""
        bits = _bits()
        if bits is not None:
            bits.AnsibleEnvironment.compile = keeping_code(bits)


def _bits() -> Any:
    try:
        return importlib.import_module(_MODULE)
    except ImportError:
        # Before ansible-core 2.19 templates were other ones.
        return None


def keeping_code(bits: Any) -> Callable[..., Any]:
    """Return a method that compiles each simple template once for each way to read it.

    :param bits: the module of the class that it is a method of.
    """
    stock = bits.AnsibleEnvironment.compile
    settings = tuple(bits._TEMPLATE_OVERRIDE_FIELD_NAMES)
    kept = BoundedCache(_MAX_KEPT)

    def compile(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        if args or any(kwargs.values()) or not isinstance(source, str) or len(source) > _MAX_LENGTH or \
                self._debuggable_template_source or _LOOKED_UP.search(source):
            return stock(self, source, *args, **kwargs)
        context = bits._TemplateCompileContext.current(optional=True)
        key = (type(self), context and context.escape_backslashes, *[getattr(self, name) for name in settings], source)
        # What cannot be compiled raises an error, each time.
        return kept.get(key, lambda: stock(self, source))

    return compile
