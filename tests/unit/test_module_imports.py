"""Modules are built of the same files, whether their syntax trees were kept or not."""

import base64
import io
import zipfile
from pathlib import Path

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.executor import module_common
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import module_loader
from ansible.release import __version__ as core_version
from ansible.template import Templar

from ansible_mitogen.ansiballz import parse_payload
from ansible_mitogen.hooks.module_imports import ModuleImports, keeping_trees, scanning_own_files

pytestmark = pytest.mark.every_core

CORE = tuple(int(part) for part in core_version.split('.')[:2])


def built(name: str) -> dict[str, bytes]:
    """The files of a module, by path."""
    module = module_common.modify_module(
        module_name=name, module_path=module_loader.find_plugin(name), module_args={}, templar=Templar(DataLoader()),
        task_vars={'ansible_python_interpreter': '/usr/bin/python3'})
    payload = parse_payload(module.b_module_data)
    assert payload is not None
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(payload.zip_base64))) as archive:
        return {path: archive.read(path) for path in archive.namelist()}


def test_modules_are_built_of_the_same_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ['ansible.builtin.ping', 'ansible.builtin.dnf', 'ansible.builtin.ping', 'ansible.builtin.uri']
    stock = module_common._compile_module_ast
    parsed: list[str] = []

    def noting(name: str, source: bytes) -> object:
        parsed.append(name)
        return stock(name, source)

    outcomes = []
    for kind, compile_ast in (('stock', stock), ('kept', keeping_trees(noting))):
        monkeypatch.setattr(module_common, '_compile_module_ast', compile_ast)
        files = []
        for number, name in enumerate(names):
            # A cache of its own for each, so that it is really built.
            monkeypatch.setattr(C, 'DEFAULT_LOCAL_TMP', str(tmp_path / kind / str(number)))
            files.append(built(name))
        outcomes.append(files)
    assert outcomes[0] == outcomes[1]
    assert parsed and len(parsed) == len(set(parsed))


def test_all_modules_import_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = module_common._compile_module_ast
    whole: list[str] = []

    def noting(name: str, source: bytes) -> object:
        whole.append(name)
        return stock(name, source)

    scanning = scanning_own_files(noting)
    home = Path(module_common.__file__).parents[1]
    paths = [*home.glob('modules/*.py'), *home.glob('module_utils/**/*.py')]
    for path in paths:
        name = '.'.join(('ansible', *path.relative_to(home).with_suffix('').parts))
        source = module_common.Origin(path=str(path)).tag(path.read_bytes())
        found = []
        for compile_ast in (stock, scanning):
            monkeypatch.setattr(module_common, '_compile_module_ast', compile_ast)
            # From ansible-core 2.21 on it has the source parsed itself.
            finder = module_common.ModuleDepFinder(name, source if CORE >= (2, 21) else compile_ast(name, source))
            found.append((finder.submodules, finder.optional_imports))
        assert found[0] == found[1], path
    assert len(whole) < len(paths) / 10


def test_files_of_others_are_parsed_as_a_whole(tmp_path: Path) -> None:
    ours = scanning_own_files(lambda name, source: name)
    for origin in (str(tmp_path / 'mine.py'), None):
        source = b'import a'
        tagged = module_common.Origin(path=origin).tag(source) if origin else source
        assert ours('mine', tagged) == 'mine'


def test_source_that_cannot_be_parsed_is_an_error_each_time() -> None:
    ours = keeping_trees(module_common._compile_module_ast)
    for _ in range(2):
        with pytest.raises(AnsibleError):
            ours('broken', b'if:')


def test_hook_fits_and_notices_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = ModuleImports()
    assert hook.unfit_reason() == ''
    monkeypatch.setattr(module_common, '_compile_module_ast', lambda source: None)
    assert hook.unfit_reason().endswith('takes the parameters source')
    monkeypatch.delattr(module_common, '_compile_module_ast')
    assert hook.unfit_reason() == ''
    hook.install(5)
    assert not hasattr(module_common, '_compile_module_ast')
