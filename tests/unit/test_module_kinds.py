"""Modules are of the kind that stock Ansible takes them for, looked up once."""

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

import ansible.modules
from ansible.executor import module_common

from ansible_mitogen.hooks.module_kinds import ModuleKinds, RememberingPattern

pytestmark = pytest.mark.every_core

SOURCES = [path.read_bytes() for path in sorted(Path(ansible.modules.__path__[0]).glob('*.py'))[:10]] + [
    b'', b'#!/bin/sh\necho from ansible\n', b'from ansible.module_utils.basic import AnsibleModule\n']


def test_each_source_is_found_to_be_what_it_is() -> None:
    stock = module_common.NEW_STYLE_PYTHON_MODULE_RE
    ours = RememberingPattern(stock)
    for _ in range(2):
        for source in SOURCES:
            found, expected = ours.search(source), stock.search(source)
            assert (found and found.span()) == (expected and expected.span())
    assert ours.pattern == stock.pattern


def test_a_source_is_searched_once() -> None:
    searched: list[bytes] = []

    class Pattern:
        def search(self, text: bytes) -> Any:
            searched.append(text)
            return re.search(b'x', text)
    ours = RememberingPattern(Pattern())
    assert [bool(ours.search(bytes(text))) for text in (b'ax', b'b', b'ax', b'b')] == [True, False, True, False]
    assert searched == [b'ax', b'b']


def test_hook_fits_and_notices_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ModuleKinds().unfit_reason() == ''
    monkeypatch.setattr(module_common, 'NEW_STYLE_PYTHON_MODULE_RE', re.compile('text'))
    assert ModuleKinds().unfit_reason().endswith('is not a pattern of bytes')
