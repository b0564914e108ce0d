"""The process that plays hosts for the benchmarks speaks the wire as a true context does."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import simulated
from mitogen.core import Receiver, handles
from mitogen.master import ChildSpec, Router
from tests.harness.processes import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / 's'
    with subprocess.Popen([sys.executable, '-m', 'benchmarks.simulated', str(path)], cwd=ROOT) as process:
        wait_until(path.exists, 30, 'the socket of the simulated hosts')
        yield path
        process.kill()


def test_a_simulated_host_is_opened_answers_and_ends(server: Path) -> None:
    router = Router()
    try:
        argv = [sys.executable, '-I', '-S', simulated.__file__, '--ssh', str(server)]
        context = router.open(ChildSpec(argv, 'simulated', deadline=60.0, zygote=True))  # type: ignore[call-arg]
        zygote_id = context.info['zygote_id']
        answers = Receiver(router, source=zygote_id)
        router.send(zygote_id, handles.RUN, {'job': 1}, answers.handle)
        result = answers.get(60)
        assert (result['job'], result['rc'], result['stdout']) == (1, 0, simulated.OUTPUT)
        context.shutdown(wait=True, timeout=60)
    finally:
        router.broker.shutdown()
        router.broker.join(10)


