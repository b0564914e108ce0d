# Ansible loads this file by its path: the project need not be installed.
from __future__ import annotations

import importlib.util
import os
import sys

_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_FOUND = importlib.util.find_spec('ansible_mitogen')
if _FOUND is None or os.path.dirname(os.path.dirname(os.path.abspath(_FOUND.origin or ''))) != _ROOT:
    sys.path.insert(0, _ROOT)

from ansible.plugins.callback import CallbackBase  # noqa: E402

from ansible_mitogen.switch import switch_on_if_enabled  # noqa: E402

DOCUMENTATION = """
    name: mitogen
    type: aggregate
    short_description: Switches persistent connections on under the stock strategies
    description:
        - With this name in C(callbacks_enabled), plays under the stock strategies V(linear), V(free) and
          V(host_pinned) have persistent connections, which run modules in a warm Python on the host.
        - It has the effect of the strategies V(mitogen.ansible.linear), V(mitogen.ansible.free) and
          V(mitogen.ansible.host_pinned), without a strategy plugin and the deprecation warning for it.
    author: the authors of this project
    requirements:
        - Its name in C(callbacks_enabled) of ansible.cfg.
"""

# At its import and not in the constructor: ad hoc commands import the callbacks that are enabled, and make no object.
switch_on_if_enabled()


class CallbackModule(CallbackBase):
    """Does nothing by itself: to be imported is all."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = 'mitogen'
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        # No event has to be brought here.
        self.disabled = True
