"""Modules are sent as the same text, whether their zips were kept or not."""

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('ansible', reason='needs ansible-core, which the environments of the test command have')

from ansible import constants as C
from ansible.executor import module_common
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import module_loader
from ansible.template import Templar

from ansible_mitogen.hooks import module_zips
from ansible_mitogen.hooks.module_zips import ModuleZips, WrittenText, keeping_zips

needs_zips = pytest.mark.skipif(
    not hasattr(module_common, '_CachedModule'), reason='before ansible-core 2.19 modules are built in another way')


@dataclasses.dataclass(frozen=True)
class Built:
    """What the loader returns, as far as that matters here."""

    zip_data: bytes
    metadata: str
    source_mapping: dict[str, str]


def sent(name: str, text: str) -> bytes:
    """The text of a module, but for its time."""
    module = module_common.modify_module(
        module_name=name, module_path=module_loader.find_plugin(name), module_args={'data': text},
        templar=Templar(DataLoader()), task_vars={'ansible_python_interpreter': '/usr/bin/python3'})
    return re.sub(rb'\ndate_time=[^\n]*', b'', module.b_module_data)


@needs_zips
def test_modules_are_sent_as_the_same_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stock = module_common._CachedModule.load
    read: list[str] = []

    def noting(path: str) -> object:
        read.append(path)
        return stock(path)

    texts = []
    monkeypatch.setattr(C, 'DEFAULT_LOCAL_TMP', str(tmp_path))
    for load in (stock, keeping_zips(noting)):
        monkeypatch.setattr(module_common._CachedModule, 'load', load)
        texts.append([sent(name, text) for text in ("it's", '"ü"') for name in ('ansible.builtin.ping',) * 2])
    assert texts[0] == texts[1]
    assert len(read) == 1


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / 'module'
    load = keeping_zips(lambda path: Built(Path(path).read_bytes(), 'legacy', {}))
    for content in ('one', 'another'):
        path.write_text(content)
        assert [load(str(path)).zip_data for _ in range(2)] == [content] * 2
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load(str(path))


def test_what_one_task_writes_to_is_not_anothers(tmp_path: Path) -> None:
    path = tmp_path / 'module'
    path.touch()
    load = keeping_zips(lambda path: Built(b'', 'legacy', {'here': 'there'}))
    load(str(path)).source_mapping['more'] = 'elsewhere'
    assert load(str(path)).source_mapping == {'here': 'there'}


def test_the_text_is_written_as_any_other() -> None:
    for text in ('', "it's", '"', '\\', '\n', 'ü', '\ud800'):
        assert repr(WrittenText(text)) == repr(text)
        assert WrittenText(text) == text
        assert f'{WrittenText(text)!r}' == repr(text)


@needs_zips
def test_it_fits_this_ansible_core() -> None:
    assert ModuleZips().unfit_reason() == ''


@pytest.mark.parametrize('change', ['another field', 'another parameter', 'no class'])
def test_what_is_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    kind = type('Kind', (Built,), {'load': lambda path: None})
    if change == 'another field':
        kind = dataclasses.make_dataclass('Kind', ['more'], bases=(kind,), frozen=True)  # type: ignore[assignment]
    elif change == 'another parameter':
        kind.load = lambda path, more: None  # type: ignore[attr-defined]
    stand_in = SimpleNamespace() if change == 'no class' else SimpleNamespace(_CachedModule=kind)
    monkeypatch.setattr(module_zips, 'module_common', stand_in)
    assert bool(ModuleZips().unfit_reason()) == (change != 'no class')
    if change == 'no class':
        ModuleZips().install(5)
