"""Which hooks the user has switched off."""

import os

#: Names of hooks to leave out, separated by commas, or ``all``.
SWITCH_OFF = 'MITOGEN_DISABLE_HOOKS'


def is_switched_off(name: str) -> bool:
    """Whether a hook is to be left out."""
    return not {name, 'all'}.isdisjoint(part.strip() for part in os.environ.get(SWITCH_OFF, '').split(','))
