"""The files of the collection say what the plugins and setup.cfg say."""

import configparser
import runpy
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / 'ansible_collections' / 'mitogen' / 'ansible'


def test_each_plugin_has_its_thin_file_in_the_collection():
    script = runpy.run_path(str(ROOT / 'scripts' / 'collection'))
    wanted = script['thin_files']()
    found = {path.relative_to(COLLECTION): path.read_text() for kind in script['CLASSES']
             for path in (COLLECTION / 'plugins' / kind).glob('*.py')}
    assert found == wanted, 'run scripts/collection files'
    kinds = {path.name for path in (ROOT / 'ansible_mitogen' / 'plugins').iterdir()}
    assert kinds <= {*script['CLASSES'], '__pycache__'}


def test_collection_has_the_version_of_the_package():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg')
    assert yaml.safe_load((COLLECTION / 'galaxy.yml').read_text())['version'] == metadata['metadata']['version']
