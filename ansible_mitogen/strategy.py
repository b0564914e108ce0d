"""What turns a stock strategy into one of ours."""

from typing import Any

from ansible.utils.display import Display

from ansible_mitogen import link
from ansible_mitogen.mux.api import MuxError
from ansible_mitogen.stock_name import use_stock_name
from ansible_mitogen.switch import switch_on

display = Display()


class MitogenStrategy:
    """Mixin over a stock strategy: installs the hooks when the first play begins."""

    def __init__(self, tqm: Any) -> None:
        switch_on(_forks(tqm))
        super().__init__(tqm)  # type: ignore[call-arg]
        self._begin(tqm)

    def _begin(self, tqm: Any) -> None:
        """What follows the stock constructor, whichever of the two switches led here."""
        # Imported late, as all hooks are, see :func:`switch_on`.
        from ansible_mitogen.hooks.modules_ahead import outlook
        from ansible_mitogen.hooks.warm_up import prepare_task
        self._outlook, self._prepare_task = outlook, prepare_task
        add_slots(getattr(tqm, '_workers', None), _forks(tqm))

    def run(self, iterator: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a play, or a batch of it, whose connections are then closed."""
        tqm = getattr(self, '_tqm', None)
        # Before ansible-core 2.19 the one that prints is not among the others.
        callbacks = (getattr(tqm, '_stdout_callback', None), *(getattr(tqm, '_callback_plugins', None) or ()))
        use_stock_name(type(self), MitogenStrategy, getattr(iterator, '_play', None), callbacks)
        self._outlook.begin_play(getattr(iterator, '_blocks', ()))
        try:
            return super().run(iterator, *args, **kwargs)  # type: ignore[misc]
        finally:
            self._outlook.end_play()
            if getattr(getattr(iterator, '_play', None), 'serial', None):
                _close_connections(_forks(self._tqm))  # type: ignore[attr-defined]

    def _queue_task(self, host: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        self._prepare_task(task)
        self._outlook.note_task(task)
        return super()._queue_task(host, task, *args, **kwargs)  # type: ignore[misc]


def adopt(strategy: Any) -> None:
    """Make a stock strategy's object one of ours. The hooks are installed already.

    :param strategy: an object whose class is a stock strategy.
    """
    stock = type(strategy)
    # Ansible derives the type of a plugin from the name of its class.
    strategy.__class__ = type('StrategyModule', (MitogenStrategy, stock), {'__doc__': stock.__doc__})
    strategy._begin(strategy._tqm)


def _close_connections(forks: int) -> None:
    try:
        link.client(forks).close_idle()
    except (MuxError, OSError) as exc:
        display.vvv('MITOGEN: the connections of the batch stay open: %s' % exc)


def _forks(tqm: Any) -> int:
    return getattr(tqm, '_forks', 0) or 5


def add_slots(workers: object, forks: int) -> None:
    """Let a worker start while the one before it, which has sent its result already, still exits.

    A play has a slot for each host, or `forks` of them if that is less. With few hosts, each task would wait until the
    process of the task before it is gone.

    :param workers: the list of slots, which is extended.
    :param forks: how many workers the user allows.
    """
    if isinstance(workers, list):
        workers.extend([None] * min(len(workers), forks - len(workers)))
