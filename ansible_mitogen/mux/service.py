"""What the multiplexer does for each kind of request. All of it happens in the broker's thread."""

import logging
import time
from collections.abc import Callable
from typing import Any

from ansible_mitogen.mux import jobs, protocol
from ansible_mitogen.mux.bundles import Bundle, BundleError, BundleStore
from ansible_mitogen.mux.hops import AbandonedError, Entry, HopTable, Request
from ansible_mitogen.mux.interpreters import Interpreters
from ansible_mitogen.mux.protocol import Packet
from ansible_mitogen.mux.session import Exchange
from ansible_mitogen.mux.staging import NOTHING, Before, home_of, perform_unobserved
from ansible_mitogen.mux.transfers import Fetch, Put
from ansible_mitogen.mux.usage import Usages
from mitogen.core import handles
from mitogen.core.errors import Error
from mitogen.core.router import ANYONE

LOG = logging.getLogger('mux.service')


class Opening:
    """An OPEN request of a client: its half of :class:`ansible_mitogen.mux.hops.Requester`."""

    def __init__(self, exchange: Exchange, token: str) -> None:
        self._exchange = exchange
        self._token = token
        self._request: Request | None = None
        exchange.on_packet = self._on_packet
        exchange.on_cancel = self._cancel

    def begin(self, table: HopTable, hops: list[protocol.HopSpec]) -> None:
        """Have the hops opened."""
        self._request = Request(hops, self)
        table.begin(self._request)

    def prompt(self, hop: int, output: bytes) -> None:
        self._exchange.send(protocol.PROMPT, {'hop': hop, 'output': output})

    def opened(self, entry: Entry, fresh: bool) -> None:
        request = self._request
        assert request is not None
        info = entry.context.info
        total = (time.monotonic() - request.started) * 1000
        self._exchange.usage.opening_ms += total
        self._exchange.finish(protocol.OPENED, {
            'context_id': entry.context.context_id, 'python_version': list(info['python']),
            'executable': info['executable'], 'chosen': info['chosen'], 'fresh': fresh, 'mux': self._token,
            'said': info['said'],
            'timings': {'total': round(total, 3), 'queued': round(request.queued_ms, 3),
                        'hops': [round(ms, 3) for ms in request.hop_ms]}})

    def failed(self, hop: int, error: Exception) -> None:
        self._exchange.fail(hop_failure(hop, error))

    def _on_packet(self, packet: Packet) -> None:
        assert self._request is not None
        dial = self._request.dial
        if dial is None:
            return
        if packet.what == protocol.TYPE:
            dial.answer(self._request, packet.body['text'])
        elif packet.what == protocol.ABANDON:
            dial.abandon(self._request)

    def _cancel(self) -> None:
        if self._request is not None:
            self._request.cancel()


def hop_failure(hop: int, error: Exception) -> dict[str, Any]:
    """Return the fields of FAILED for what opening a hop raised."""
    if isinstance(error, AbandonedError):
        return {'error': protocol.ABANDONED, 'message': str(error)}
    kind = getattr(error, 'kind', None)
    if kind is None:
        # The context that it goes through went away, or this process lacks something.
        LOG.info('hop %d failed: %r', hop, error)
        return protocol.hop_failed(hop, 'exited' if isinstance(error, Error) else 'spawn', str(error))
    output, status = getattr(error, 'output', b''), getattr(error, 'status', None)
    return protocol.hop_failed(hop, kind, str(error), bytes(output), exit_code(status))


def exit_code(status: int | None) -> int | None:
    """Turn a raw exit status into an exit code, 128 + number for a signal."""
    if status is None:
        return None
    return 128 + (status & 127) if status & 127 else status >> 8


def _modules(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the modules that a MODULE request names: the one to run, and the one to run instead."""
    return [fields] if fields['other'] is None else [fields, fields['other']]


class Service:
    """Serve requests of clients.

    :param token: names this multiplexer among those that the same clients may have known.
    :param end: called when a client asks for the end of the multiplexer.
    """

    def __init__(self, router: Any, table: HopTable, bundles: BundleStore, token: str, end: Callable[[], None]) -> None:
        self._router = router
        self._table = table
        self._bundles = bundles
        self._token = token
        self._end = end
        self._interpreters = Interpreters(table)
        self._usages = Usages()
        self._serve: dict[int, Callable[[dict[str, Any], Exchange, bytes], None]] = {
            protocol.OPEN: self._open, protocol.MODULE: self._run_module, protocol.COMMAND: self._run_command,
            protocol.PUT: self._put, protocol.FETCH: self._fetch, protocol.CLOSE: self._close,
            protocol.SHUTDOWN: self._shutdown, protocol.STAGE: self._stage, protocol.HOME: self._home,
            protocol.USAGE: self._usage, protocol.CLOSE_IDLE: self._close_idle,
            protocol.CLOSE_ACCOUNTS: self._close_accounts, protocol.KEEP: self._keep,
        }
        router.add_handler(self._on_get_code, handles.GET_CODE, source=ANYONE)

    def serve(self, packet: Packet, exchange: Exchange, attached: bytes) -> None:
        """Serve a request.

        :raises ValueError: it is no request.
        """
        serve = self._serve.get(packet.what)
        if serve is None:
            raise ValueError('message %d is no request' % packet.what)
        exchange.usage = self._usages.of(exchange.label)
        serve(packet.body, exchange, attached)

    def _open(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        Opening(exchange, self._token).begin(self._table, protocol.decode_hops(fields['hops']))

    def _entry(self, fields: dict[str, Any], exchange: Exchange) -> Entry | None:
        """Return the context that a request is for; answer it if there is none."""
        token, context_id = fields['context']
        entry = self._table.by_id(context_id) if token == self._token else None
        if entry is None or entry.closing:
            exchange.fail(protocol.context_lost('the connection is closed', started=False))
            return None
        return entry

    def _run_command(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        began = time.monotonic()
        entry = self._entry(fields, exchange)
        if entry is not None:
            job = jobs.Job(exchange, entry, began, self._table.retire)
            info = entry.context.info
            payload = jobs.command_payload(job.number, fields, info['executable'] or info['chosen'])
            self._start(job, payload, exchange, 1, entry, fields)

    def _run_module(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        began = time.monotonic()
        entry = self._entry(fields, exchange)
        if entry is None:
            return
        if attached and not self._add_lacking(fields, attached, exchange):
            return
        bundle = self._bundle(fields, exchange)
        if bundle is None:
            return

        def chosen(where: Entry, round_trips: int) -> None:
            if not exchange.closed:
                self._start_module(fields, exchange, bundle, entry, where, began, round_trips)

        def failed(hop: int, error: Exception) -> None:
            exchange.fail(hop_failure(hop, error))
        self._interpreters.choose(entry, fields['interpreter'], chosen, failed, exchange.usage)

    def _keep(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        """Take a zip to pieces that later requests will name."""
        try:
            if self._bundles.get(fields['zip_id']) is None:
                self._bundles.compress_first(self._bundles.add(fields['zip_id'], attached))
        except BundleError as exc:
            exchange.fail(protocol.job_failed(str(exc)))
        else:
            exchange.finish(protocol.DONE, {})

    def _add_lacking(self, fields: dict[str, Any], attached: bytes, exchange: Exchange) -> bool:
        """Take the zip to pieces that comes with a request; the first that is lacking is the one."""
        for module in _modules(fields):
            if self._bundles.get(module['zip_id']) is None:
                try:
                    self._bundles.add(module['zip_id'], attached)
                except BundleError as exc:
                    exchange.fail(protocol.hop_failed(0, 'spawn', '%s: %s' % (module['module_fqn'], exc)))
                    return False
                break
        return True

    def _bundle(self, fields: dict[str, Any], exchange: Exchange) -> Bundle | None:
        """Return what a MODULE request needs; ask for what is lacking."""
        found = []
        for module in _modules(fields):
            bundle = self._bundles.get(module['zip_id'])
            if bundle is None:
                exchange.finish(protocol.NEED_ZIP, {'zip_id': module['zip_id']})
                return None
            found.append(bundle)
        both = self._bundles.pair(*found) if len(found) > 1 else found[0]
        if both is None:
            fields['other'] = None
        return both or found[0]

    def _start_module(self, fields: dict[str, Any], exchange: Exchange, bundle: Bundle, asked: Entry, entry: Entry,
                      began: float, round_trips: int) -> None:
        """Run a module.

        :param asked: the context that the request names.
        :param entry: the one in which it runs: the same, or that of another interpreter.
        """
        job = jobs.Job(exchange, entry, began, self._table.retire, lambda result: bundle.learn(result['imported']))
        first_hop = entry.first_hop.context
        pushes = self._bundles.pushes(first_hop.context_id, bundle)
        for push in pushes:
            self._router.send(first_hop.context_id, handles.PUSH_CODE, push)
            exchange.usage.sent += len(push['blob'])
        job.count(pushes)
        payload = jobs.module_payload(job.number, fields, bundle, entry)
        self._start(job, payload, exchange, round_trips + 1, asked, fields)

    def _start(self, job: jobs.Job, payload: dict[str, Any], exchange: Exchange, round_trips: int, asked: Entry,
               fields: dict[str, Any]) -> None:
        before = NOTHING
        if fields['before']:
            stage = asked.above(fields['above'])
            if stage is None:
                exchange.fail(protocol.job_failed('there is no context %d levels above' % fields['above']))
                return
            before = Before(stage, fields['before'])
        try:
            job.start(payload, round_trips, before)
        except Error as exc:
            exchange.fail(protocol.job_failed('the request cannot be sent: %s' % exc))

    def _put(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        entry = self._entry(fields, exchange)
        if entry is not None:
            Put(exchange, entry, fields)

    def _fetch(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        entry = self._entry(fields, exchange)
        if entry is not None:
            Fetch(exchange, entry, fields)

    def _stage(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        """Do steps that no job follows."""
        entry = self._entry(fields, exchange)
        if entry is None:
            return

        def done(failure: dict[str, Any] | None) -> None:
            if failure is None:
                exchange.finish(protocol.DONE, {})
            else:
                exchange.fail(failure)
        try:
            if fields['wait']:
                Before(entry, fields['steps']).perform([], done, exchange.usage)
            else:
                perform_unobserved(entry, fields['steps'])
                exchange.finish(protocol.DONE, {})
        except Error as exc:
            exchange.fail(protocol.job_failed('the request cannot be sent: %s' % exc))

    def _home(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        """Tell where the home folder of an account is; the host is asked again only if its accounts have changed."""
        entry = self._entry(fields, exchange)
        if entry is None:
            return
        name = fields['name']
        if name in entry.homes:
            exchange.finish(protocol.DONE, {'path': entry.homes[name], 'round_trips': 0})
            return

        def told(home: str, mark: int) -> None:
            entry.accounts_are(mark)
            # An account that is not there yet may come from elsewhere than the host's own list.
            if not home.startswith('~'):
                entry.homes[name] = home
            exchange.finish(protocol.DONE, {'path': home, 'round_trips': 1})
        home_of(entry, name, told, exchange.fail, exchange.usage)

    def _usage(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        exchange.finish(protocol.DONE, self._usages.take(exchange.label))

    def _close(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        token, context_id = fields['context']
        entry = self._table.by_id(context_id) if token == self._token else None
        if entry is None:
            exchange.finish(protocol.DONE, {})
            return
        # Answered when it is gone: whoever opens the same host next finds nothing of it.
        entry.when_gone.append(lambda: exchange.finish(protocol.DONE, {}))
        self._table.close(entry)

    def _close_idle(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        self._table.end_batch()
        exchange.finish(protocol.DONE, {})

    def _close_accounts(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        entry = self._entry(fields, exchange)
        if entry is not None:
            self._table.close_accounts(entry, lambda: exchange.finish(protocol.DONE, {}))

    def _shutdown(self, fields: dict[str, Any], exchange: Exchange, attached: bytes) -> None:
        exchange.finish(protocol.DONE, {})
        self._end()

    def _on_get_code(self, message: Any) -> None:
        """A first hop asks again for members that it was sent."""
        for part in self._bundles.answers(message.src_id, message.decode()):
            message.reply(part)
