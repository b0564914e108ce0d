"""The engines under comparison: how each is installed and switched on."""

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.paths import CHECKOUT, OUR_STRATEGIES, BenchError
from benchmarks.venvs import CORES, ensure_venv, installed_version

#: Lines of ansible.cfg, by section.
Settings = dict[str, dict[str, str]]

#: Settings that every engine gets.
COMMON_SETTINGS: Settings = {
    'defaults': {
        'deprecation_warnings': 'False',
        'localhost_warning': 'False',
        'retry_files_enabled': 'False',
        'interpreter_python': 'auto_silent',
        'timeout': '30',
    },
}


@dataclass(frozen=True)
class Engine:
    """One way to run a playbook.

    :ivar name: column in the tables, value of ``--engines``.
    :ivar venv: the virtual environment whose ``ansible-playbook`` is run.
    :ivar version: for the report.
    :ivar defaults: what it adds to ``[defaults]`` of ansible.cfg.
    :ivar prefix: what it puts before the name of a connection plugin.
    """

    name: str
    venv: Path
    version: str
    defaults: dict[str, str] = field(default_factory=dict)
    prefix: str = ''

    def write_config(self, path: Path, settings: Settings, forks: int) -> None:
        """Write the ansible.cfg that this engine runs with.

        :param settings: what the target adds, by section.
        """
        sections = {name: dict(values) for name, values in COMMON_SETTINGS.items()}
        sections['defaults'].update(self.defaults, forks=str(forks))
        for section, values in settings.items():
            sections.setdefault(section, {}).update(values)
        lines = []
        for section, values in sections.items():
            lines.append(f'[{section}]')
            lines += [f'{key} = {value}' for key, value in values.items()]
        path.write_text('\n'.join(lines) + '\n')


def _stock(series: str) -> Engine:
    core = CORES[series]
    venv = ensure_venv(f'bench-{series}', core.pythons, (f'ansible-core=={series}.*',))
    return Engine('stock', venv, f'ansible-core {installed_version(venv, "ansible-core")}')


def _peer(series: str) -> Engine:
    stock = _stock(series)
    core_version = installed_version(stock.venv, 'ansible-core')
    requirements = (f'ansible-core=={core_version}', 'mitogen')
    venv = ensure_venv(f'bench-{series}-peer', CORES[series].pythons, requirements)
    found = sorted(venv.glob('lib/python3*/site-packages/*/plugins/strategy/mitogen_linear.py'))
    if not found:
        raise BenchError(f"the peer's strategy plugin was not found in {venv}")
    version = f'mitogen {installed_version(venv, "mitogen")} of the package index'
    return Engine('peer', venv, version, {'strategy_plugins': str(found[0].parent), 'strategy': 'mitogen_linear'})


def _us(series: str) -> Engine:
    if not (OUR_STRATEGIES / 'mitogen_linear.py').exists():
        raise BenchError(f'this checkout has no {OUR_STRATEGIES.relative_to(CHECKOUT)}/mitogen_linear.py')
    settings = {'strategy_plugins': str(OUR_STRATEGIES), 'strategy': 'mitogen_linear'}
    return Engine('us', _stock(series).venv, 'this checkout', settings)


def _connection_only(series: str) -> Engine:
    plugins = OUR_STRATEGIES.parent / 'connection'
    if not (plugins / 'mitogen_ssh.py').exists():
        raise BenchError(f'this checkout has no {plugins.relative_to(CHECKOUT)}/mitogen_ssh.py')
    settings = {'connection_plugins': str(plugins)}
    return Engine('us-linear', _stock(series).venv, 'this checkout, stock strategy', settings, 'mitogen_')


#: How to make each engine, in the order of the tables.
ENGINES = {'stock': _stock, 'peer': _peer, 'us': _us, 'us-linear': _connection_only}

#: What is measured when ``--engines`` is not given.
DEFAULT_ENGINES = ('stock', 'peer', 'us')
