"""`ansible-mitogen completion`: scripts that complete the command's words in a shell."""

import argparse

SHELLS = ('bash', 'fish', 'zsh')

_BASH = '''\
_ansible_mitogen() {{
    local word command= words cur=${{COMP_WORDS[COMP_CWORD]}}
    for word in "${{COMP_WORDS[@]:1:$((COMP_CWORD - 1))}}"; do
        case $word in {commands}) command=$word; break ;; esac
    done
    case $command in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _ansible_mitogen ansible-mitogen
'''

#: zsh takes the script for bash, once its completion is on.
_ZSH = '''\
(( $+functions[compdef] )) || { autoload -U +X compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
'''


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the script for a shell.

    :param shell: one of :data:`SHELLS`.
    """
    words = _words(parser)
    if shell == 'fish':
        return _fish(words)
    cases = '\n'.join(f"        '{command}') words='{' '.join(found)}' ;;" for command, found in words.items())
    text = _BASH.format(commands='|'.join(filter(None, words)), cases=cases)
    return _ZSH + text if shell == 'zsh' else text


def _fish(words: dict[str, list[str]]) -> str:
    lines = []
    for command, found in words.items():
        # The first word is no file; what follows a command may be one.
        condition = f"'__fish_seen_subcommand_from {command}'" if command else '__fish_use_subcommand -f'
        lines.append(f"complete -c ansible-mitogen -n {condition} -a '{' '.join(found)}'")
    return '\n'.join(lines) + '\n'


def _words(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Return the words that may follow each command; those of '' come first."""
    words: dict[str, list[str]] = {'': []}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                words[''].append(name)
                words[name] = _of_one(command)
        else:
            words[''] += action.option_strings
    return words


def _of_one(parser: argparse.ArgumentParser) -> list[str]:
    found: list[str] = []
    for action in parser._actions:
        found += action.option_strings or list(action.choices or ())
    return found
