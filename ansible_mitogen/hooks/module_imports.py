"""Files that many modules share are read for imports once, not for each of these modules, and not as a whole."""

import os
import re
from collections.abc import Callable
from typing import Any

import ansible
from ansible.executor import module_common
from ansible.release import __version__ as ansible_release

from ansible_mitogen.hooks.base import Hook, parameters_of
from ansible_mitogen.hooks.bounded import BoundedCache
from ansible_mitogen.import_scan import tree_of_imports
from ansible_mitogen.versions import untested_reason

#: Source files whose trees are kept: all of ansible-core's `module_utils`, and those of a few collections.
_MAX_KEPT = 500

#: What Ansible looks for in imports.
_OF_INTEREST = re.compile(r'ansible|_six|\Afrom[ \t]*\.')

#: What Ansible looks for besides imports, in some of its versions: the whole tree is needed then.
_OTHERS = re.compile(r'METADATA|[eE]mbed')


class ModuleImports(Hook):
    """Keeps the syntax trees in which Ansible looks for what a module imports.

    For each kind of module that a run uses, Ansible parses it and some fifty files that nearly all modules import. Of
    ansible-core's own files only the imports are parsed.
    """

    name = 'imports'
    replaces = 'ansible.executor.module_common._compile_module_ast'
    loss = 'the first use of each module takes some 60 ms longer'

    def unfit_reason(self) -> str:
        """Return why it cannot be installed here, '' if it can."""
        if not _is_wanted():
            return ''
        found = parameters_of(module_common._compile_module_ast)
        return '' if found == ['module_name', 'source_code'] else '%s takes the parameters %s' % (
            self.replaces, ', '.join(found))

    def install(self, forks: int) -> None:
        """Replace the function."""
        if _is_wanted():
            stock = module_common._compile_module_ast
            # An ansible-core that is not known may look for something else.
            module_common._compile_module_ast = keeping_trees(
                stock if untested_reason(ansible_release) else scanning_own_files(stock))


def _is_wanted() -> bool:
    # Before ansible-core 2.19 there is no such function.
    return hasattr(module_common, '_compile_module_ast')


def keeping_trees(stock_compile: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a function that parses each source once. Those who walk a tree leave nothing of theirs in it."""
    kept = BoundedCache(_MAX_KEPT)

    def compile_module_ast(module_name: str, source_code: Any) -> Any:
        # What cannot be parsed raises an error, each time.
        return kept.get(source_code, lambda: stock_compile(module_name, source_code))

    return compile_module_ast


def scanning_own_files(stock_compile: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a function that parses of ansible-core's own files nothing but the imports, and of others all."""
    home = os.path.dirname(os.path.abspath(ansible.__file__)) + os.sep

    def compile_module_ast(module_name: str, source_code: Any) -> Any:
        tree = None
        if isinstance(source_code, bytes) and _path_of(source_code).startswith(home):
            tree = tree_of_imports(source_code, _OF_INTEREST, _OTHERS)
        return stock_compile(module_name, source_code) if tree is None else tree

    return compile_module_ast


def _path_of(source_code: bytes) -> str:
    origin = module_common.Origin.get_tag(source_code)
    return getattr(origin, 'path', None) or ''
