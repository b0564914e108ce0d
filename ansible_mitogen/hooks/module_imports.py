"""Files that many modules share are parsed once, not for each of these modules."""

from collections.abc import Callable
from typing import Any

from ansible.executor import module_common

from ansible_mitogen.hooks.base import Hook, parameters_of

#: Source files whose trees are kept: all of ansible-core's `module_utils`, and those of a few collections.
_MAX_KEPT = 500


class ModuleImports(Hook):
    """Keeps the syntax trees in which Ansible looks for what a module imports.

    For each kind of module that a run uses, Ansible parses it and some fifty files that nearly all modules import.
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
            module_common._compile_module_ast = keeping_trees(module_common._compile_module_ast)


def _is_wanted() -> bool:
    # Before ansible-core 2.19 there is no such function.
    return hasattr(module_common, '_compile_module_ast')


def keeping_trees(stock_compile: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a function that parses each source once. Those who walk a tree leave nothing of theirs in it."""
    kept: dict[str | bytes, Any] = {}

    def compile_module_ast(module_name: str, source_code: Any) -> Any:
        tree = kept.get(source_code)
        if tree is None:
            if len(kept) >= _MAX_KEPT:
                kept.clear()
            # What cannot be parsed raises an error, each time.
            tree = kept[source_code] = stock_compile(module_name, source_code)
        return tree

    return compile_module_ast
