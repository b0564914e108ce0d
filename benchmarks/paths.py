"""Where the benchmark finds its own files and puts what it builds."""

from pathlib import Path

#: The checkout that is measured as "us".
CHECKOUT = Path(__file__).resolve().parent.parent

#: Playbooks and the role which the scenarios run.
PLAYBOOKS = CHECKOUT / 'benchmarks' / 'playbooks'

#: Virtual environments: one for stock and us, one for the peer, for each ansible-core.
VENVS = CHECKOUT / '.venv'

#: The strategy plugins of this checkout.
OUR_STRATEGIES = CHECKOUT / 'ansible_mitogen' / 'plugins' / 'strategy'


class BenchError(Exception):
    """The benchmark cannot go on; the message is one sentence for the user."""
