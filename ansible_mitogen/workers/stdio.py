"""Standard output and standard error of tasks in threads."""

from typing import Any

from ansible_mitogen.workers.current import current_worker


class ThreadStdio:
    """Keeps what tasks in threads print, and passes on what others do.

    A forked worker collects what plugins print, and reports it with a warning. So does a task in a thread.

    :param stream: the real one.
    :param name: `stdout` or `stderr`.
    """

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, text: str) -> int:
        """Write, or keep."""
        worker = current_worker()
        if worker is None:
            return int(self._stream.write(text))
        worker.printed[self._name].append(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write, or keep, each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the real stream."""
        if current_worker() is None:
            self._stream.flush()

    def getvalue(self) -> str:
        """Return what this thread's task has printed."""
        worker = current_worker()
        return '' if worker is None else ''.join(worker.printed[self._name])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
