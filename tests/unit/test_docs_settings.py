"""Whatever can be set is in the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_environment_variable_of_the_project_is_documented() -> None:
    read = {name for package in ('mitogen', 'ansible_mitogen') for source in (ROOT / package).rglob('*.py')
            for name in re.findall(r"""['"](MITOGEN_[A-Z_]+)['"]""", source.read_text())}
    documented = set(re.findall(r'``(MITOGEN_[A-Z_]+)``', (ROOT / 'docs/ansible.rst').read_text()))
    assert read == documented
