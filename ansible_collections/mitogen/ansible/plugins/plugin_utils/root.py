"""Makes `mitogen` and `ansible_mitogen` importable: those that this collection came with."""

from __future__ import annotations

import importlib.util
import os
import sys

_COLLECTION = os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))

# An archive of the collection has them inside. Where pip has installed all three they are neighbours, as in a checkout.
for _ROOT in (os.path.join(_COLLECTION, 'lib'), os.path.abspath(os.path.join(_COLLECTION, *[os.pardir] * 3))):
    _INIT = os.path.join(_ROOT, 'ansible_mitogen', '__init__.py')
    if os.path.exists(_INIT):
        _FOUND = importlib.util.find_spec('ansible_mitogen')
        if _FOUND is None or os.path.abspath(_FOUND.origin or '') != _INIT:
            sys.path.insert(0, _ROOT)
        break
