"""What a person sees: findings in colour and progress on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

_COLOURS = {'green': '32', 'yellow': '33', 'red': '31', 'bold': '1'}


class Console:
    """Where results and progress go.

    :param results: results are written there.
    :param progress: progress is written there.
    """

    def __init__(self, results: TextIO | None = None, progress: TextIO | None = None) -> None:
        self._results = results or sys.stdout
        self._progress = progress or sys.stderr

    def line(self, text: str = '') -> None:
        """Write a line of a result."""
        print(text, file=self._results, flush=True)

    def painted(self, text: str, colour: str) -> str:
        """Return `text` in a colour, if results go to a terminal that has colours."""
        if not self._results.isatty() or 'NO_COLOR' in os.environ or os.environ.get('TERM') == 'dumb':
            return text
        return f'\033[{_COLOURS[colour]}m{text}\033[0m'

    @contextlib.contextmanager
    def working(self, text: str, quiet: bool = False) -> Iterator[None]:
        """Show that something is under way: on a terminal with the seconds so far, in a line that goes away.

        :param quiet: the terminal is needed for something else meanwhile, as for a question.
        """
        if quiet or not self._progress.isatty():
            print(text + ' ...', file=self._progress, flush=True)
            yield
            return
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(text, ended), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()

    def _tick(self, text: str, ended: threading.Event) -> None:
        began = time.monotonic()
        while True:
            print(f'\r{text} ... {time.monotonic() - began:.0f} s', end='', file=self._progress, flush=True)
            if ended.wait(1.0):
                # Clears the line.
                print('\r\033[K', end='', file=self._progress, flush=True)
                return
