"""Settings of Sphinx."""

import builtins
import configparser
import sys
from pathlib import Path

_DOCS = Path(__file__).resolve().parent
_ROOT = _DOCS.parent

# The checkout is what is documented, whatever is installed.
sys.path[:0] = [str(_ROOT), str(_DOCS / '_ext')]

_metadata = configparser.ConfigParser()
_metadata.read(_ROOT / 'setup.cfg')

project = _metadata['metadata']['name']
release = version = _metadata['metadata']['version']
project_copyright = 'the authors of %s' % project

extensions = ['sphinx.ext.autodoc', 'short_names', 'tables']
exclude_patterns = ['requirements.txt']

# In docstrings a single backtick marks code, as a parameter's name.
default_role = 'code'

autodoc_default_options = {'members': True, 'member-order': 'bysource'}
autodoc_typehints_format = 'short'
python_use_unqualified_type_names = True

# No network is used, so there is nothing to link the standard library's names to. All others must resolve.
_FOREIGN = '|'.join(sorted(sys.stdlib_module_names | set(dir(builtins)) | {'ansible'}))
nitpick_ignore_regex = [('py:.*', r'(%s)(\..*)?' % _FOREIGN), ('py:exc', 'Ansible.*Error')]

html_theme = 'furo'
html_title = '%s %s' % (project, release)
html_show_sourcelink = False
html_copy_source = False
