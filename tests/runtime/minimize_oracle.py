"""Compare minimized modules of the standard library with what a syntax tree without docstrings compiles to.

    python minimize_oracle.py STEP FIRST

checks every STEP-th module, from number FIRST on, of the library of the Python
that runs it, and prints how many there were and what was wrong with each.
"""

import ast
import glob
import sys
import sysconfig
import tokenize
import types
import warnings

from mitogen.parent.minimize import minimize_source

SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def is_string(statement):
    return (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str))


def without_docstrings(source):
    """Return the syntax tree of `source` as it should be after minimizing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, SCOPES) or not node.body or not is_string(node.body[0]):
            continue
        docstring = node.body[0]
        if len(node.body) > 1 and is_string(node.body[1]):
            docstring.value.value = ''
        elif len(node.body) > 1 or isinstance(node, ast.Module):
            del node.body[0]
        else:
            node.body = [ast.copy_location(ast.Pass(), docstring)]
    return tree


def describe(code):
    """Return all of a code object that running it depends on, with its line numbers."""
    constants = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            constants.append(describe(constant))
        elif isinstance(constant, frozenset):
            # Equal sets may have their elements in different orders.
            constants.append(sorted(map(repr, constant)))
        else:
            constants.append(repr(constant))
    lines = list(code.co_lines()) if hasattr(code, 'co_lines') else code.co_lnotab
    return [code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
            code.co_flags, constants, lines]


def statement_lines(tree):
    return [(type(node).__name__, node.lineno) for node in ast.walk(tree) if isinstance(node, ast.stmt)]


def fault_of(source):
    """Return what is wrong with the minimized form of `source`, or None."""
    try:
        minimized = ast.parse(minimize_source(source))
    except SyntaxError as exc:
        return 'does not compile: %s' % exc
    wanted = without_docstrings(source)
    if statement_lines(minimized) != statement_lines(wanted):
        return 'has other statements, or on other lines'
    if describe(compile(minimized, 'm', 'exec')) != describe(compile(wanted, 'm', 'exec')):
        return 'has other bytecode'
    for node in ast.walk(minimized):
        if isinstance(node, SCOPES) and ast.get_docstring(node, clean=False):
            return 'still has a docstring on line %d' % node.body[0].lineno
    return None


def library_modules(step, first):
    """Yield path and source of every `step`-th module of the standard library that compiles, from `first` on."""
    for path in sorted(glob.glob(sysconfig.get_paths()['stdlib'] + '/**/*.py', recursive=True))[first::step]:
        if 'site-packages' in path:
            continue
        try:
            with tokenize.open(path) as stream:
                source = stream.read()
            compile(source, path, 'exec', dont_inherit=True)
        except (SyntaxError, ValueError):  # tests of the compiler have such files
            continue
        yield path, source


def main(step, first):
    warnings.simplefilter('ignore')
    count = 0
    for path, source in library_modules(step, first):
        count += 1
        fault = fault_of(source)
        if fault:
            print('%s: %s' % (path, fault))
    print('%d modules' % count)


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
