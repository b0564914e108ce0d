"""Virtual environments of a user, with the tests' own ansible-core in them."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.engines import ROOT

_IGNORED = shutil.ignore_patterns('.git', '.venv', 'build', '*.egg-info', '__pycache__', '.*_cache', 'tests')

_COMMAND = '''\
#!{python}
import sys
from {module} import main
sys.argv[0] = sys.argv[0].rpartition('/')[2]
sys.exit(main())
'''

#: Commands of Ansible, by the module that has the function of each.
_COMMANDS = {'ansible': 'ansible.cli.adhoc', 'ansible-playbook': 'ansible.cli.playbook',
             'ansible-doc': 'ansible.cli.doc', 'ansible-galaxy': 'ansible.cli.galaxy',
             'ansible-inventory': 'ansible.cli.inventory', 'ansible-config': 'ansible.cli.config',
             'ansible-runner': 'ansible_runner.__main__'}


def build_wheel(folder: Path) -> Path:
    """Build the project's wheel in an empty folder.

    From a copy, as setuptools leaves its own folders behind.
    """
    source = folder / 'source'
    shutil.copytree(ROOT, source, ignore=_IGNORED)
    subprocess.run([sys.executable, '-m', 'pip', '--disable-pip-version-check', 'wheel', '--quiet', '--no-deps',
                    '--wheel-dir', str(folder), str(source)], check=True, timeout=300)
    return next(folder.glob('mitogen-*.whl'))


def make_environment(folder: Path, *packages: object) -> Path:
    """Make a virtual environment that has Ansible, and of this project nothing but what pip puts there.

    Ansible and its libraries are those of the environment that runs the tests: to install them again takes long.

    :param packages: what pip installs there, as it is named on its command line; by default nothing.
    :returns: its bin folder.
    """
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(folder)], check=True, timeout=120)
    if packages:
        subprocess.run([sys.executable, '-m', 'pip', '--disable-pip-version-check', '--python', str(folder), 'install',
                        '--quiet', '--no-deps', '--no-index', *map(str, packages)], check=True, timeout=300)
    site = next(folder.glob('lib/python3*/site-packages'))
    shared = ansible_folder()
    # A folder that a .pth file names is searched. Its own .pth files, as that of this checkout, are not read.
    (site / 'ansible.pth').write_text(f'{shared}\n')
    for name, module in _COMMANDS.items():
        command = folder / 'bin' / name
        command.write_text(_COMMAND.format(python=folder / 'bin' / 'python', module=module))
        command.chmod(0o755)
    return folder / 'bin'


def ansible_folder() -> Path:
    """The folder that the tests' own Ansible is imported from."""
    return next(Path(entry) for entry in sys.path if (Path(entry) / 'ansible' / '__init__.py').exists())
