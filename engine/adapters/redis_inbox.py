"""Where the engine waits: for entries of the log and for queries, on two servers, in one poll.

Queries live on the other server and are no part of the promise: whatever goes wrong there is dropped, tried again
later, and never delays the log.
"""

import logging
import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import msgspec

from engine.adapters.redis_streams import RedisLog
from engine.adapters.resp import Argument, Connection, ConnectionLostError, ServerError
from engine.config import EngineConfig
from engine.messages import codec, streams
from engine.messages.views import AnyView
from engine.runtime.errors import LogUnavailableError
from engine.runtime.ports import Arrivals, Clock, Query
from engine.values import entry_id_from_text

_logger = logging.getLogger(__name__)

# Connecting happens in the engine's own thread: a server that hangs may cost the trading a few percent, not more.
_TIMEOUT_MS: Final = 200
_RETRY_US: Final = 5_000_000
# Queries taken in one round; the rest waits for the next, after the entries that came meanwhile.
_QUERIES_MAX: Final = 256


class _Sender(msgspec.Struct, frozen=True, gc=False):
    """What of a query tells where its answer goes."""

    gateway: str
    query_id: int


class _Queries:
    """The two connections for queries: one hears them, one sends the answers and hears nothing."""

    def __init__(self, config: EngineConfig, clock: Clock) -> None:
        self._prefix = config.prefix
        self._channel = streams.query_channel(config.prefix, config.shard)
        self._hearing = Connection(config.redis_url, timeout_ms=_TIMEOUT_MS)
        self._answering = Connection(config.redis_url, timeout_ms=_TIMEOUT_MS)
        self._clock = clock
        self._retry_us = 0
        self._outbox: list[tuple[Argument, ...]] = []
        self._decoder = msgspec.json.Decoder(streams.QueryEnvelope)
        self._sender_decoder = msgspec.json.Decoder(_Sender)

    def fileno(self) -> int | None:
        """Return the descriptor to wait for; None while the server is away."""
        now_us = self._clock.monotonic_us()
        if not self._hearing.is_connected and now_us >= self._retry_us:
            self._retry_us = now_us + _RETRY_US
            self._connect()
        return self._hearing.fileno() if self._hearing.is_connected else None

    def _connect(self) -> None:
        try:
            self._hearing.connect()
            self._hearing.call("SUBSCRIBE", self._channel)
            self._answering.connect()
            # Nobody reads the replies of PUBLISH; unread ones would pile up in the server.
            self._answering.send(("CLIENT", "REPLY", "OFF"))
        except (ConnectionLostError, ServerError) as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        _logger.warning("Queries cannot be heard.", extra={"reason": str(error)})
        self.close()

    def has_reply(self) -> bool:
        return self._hearing.is_connected and self._hearing.has_reply()

    def take(self) -> list[Query]:
        """Return the queries that are there without waiting; refuse at once those that cannot be read."""
        queries: list[Query] = []
        try:
            while len(queries) < _QUERIES_MAX:
                is_there, reply = self._hearing.receive_now()
                if not is_there:
                    break
                kind, _, raw = cast("tuple[bytes, bytes, bytes]", reply)
                query = self._decoded(raw) if kind == b"message" else None
                if query is not None:
                    queries.append(query)
        except (ConnectionLostError, ServerError) as error:
            self._lost(error)
        self.flush()
        return queries

    def _decoded(self, raw: bytes) -> Query | None:
        try:
            envelope = self._decoder.decode(raw)
            return Query(
                envelope.gateway,
                envelope.query_id,
                entry_id_from_text(envelope.after) if envelope.after else 0,
                codec.decode_query(bytes(envelope.query)),
                self._clock.monotonic_us(),
            )
        except (msgspec.DecodeError, ValueError) as error:
            self._refuse_unread(raw, str(error))
            return None

    def _refuse_unread(self, raw: bytes, reason: str) -> None:
        _logger.warning("A query cannot be read.", extra={"reason": reason})
        # Whom to tell may be legible where the question is not, and who is told need not wait for nothing.
        with suppress(msgspec.DecodeError):
            sender = self._sender_decoder.decode(raw)
            refusal = streams.QueryRefusal.MALFORMED
            self.refuse(sender.gateway, sender.query_id, refusal, reason)

    def answer(self, query: Query, view: AnyView) -> None:
        envelope = streams.AnswerEnvelope(
            query_id=query.query_id, view=msgspec.Raw(codec.encode(view))
        )
        self._post(query.gateway, envelope)

    def refuse(
        self, gateway: str, query_id: int, refusal: streams.QueryRefusal, reason: str
    ) -> None:
        self._post(
            gateway, streams.AnswerEnvelope(query_id=query_id, refusal=refusal, reason=reason)
        )

    def _post(self, gateway: str, envelope: streams.AnswerEnvelope) -> None:
        channel = streams.answer_channel(self._prefix, gateway)
        self._outbox.append(("PUBLISH", channel, codec.encode(envelope)))

    def flush(self) -> None:
        if not self._outbox:
            return
        outbox, self._outbox = self._outbox, []
        try:
            self._answering.send(*outbox)
        except ConnectionLostError as error:
            self._lost(error)

    def close(self) -> None:
        self._hearing.close()
        self._answering.close()


class RedisInbox:
    """Entries and queries of one shard."""

    def __init__(self, config: EngineConfig, log: RedisLog, clock: Clock) -> None:
        self._log = log
        self._queries = _Queries(config, clock)
        # Sockets and not a pipe: a closed one knows that it is, where a number may be another file's by then.
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._wake_write.settimeout(0)

    def wait(self, after: int, limit: int, timeout_us: int) -> Arrivals:
        """Return as soon as entries with id > after, queries, or the answer to a batch are there, or wake() was called."""
        del limit  # Every read asks for one batch; RedisLog knows its size.
        log = self._log
        log.read_on(after)
        queries_fd = self._queries.fileno()
        has_queries = queries_fd is not None and self._queries.has_reply()
        poller = select.poll()
        wake_fd = self._wake_read.fileno()
        log_fds = log.filenos()
        for descriptor in (*log_fds, wake_fd):
            poller.register(descriptor, select.POLLIN)
        if queries_fd is not None:
            poller.register(queries_fd, select.POLLIN)
        is_waiting = not (has_queries or log.has_news())
        ready = {fd for fd, _ in poller.poll(timeout_us // 1_000 if is_waiting else 0)}
        if wake_fd in ready:
            self._wake_read.recv(4096)
        queries: Sequence[Query] = (
            self._queries.take() if has_queries or queries_fd in ready else ()
        )
        log.look()
        entries = log.take()
        # Whatever else has come: neither a question nor half a reply from before is a sign of life of the log.
        if not entries and ready.isdisjoint(log_fds):
            log.require_life()
        return Arrivals(entries, queries)

    def look_ahead(self) -> None:
        """Take in entries that have arrived meanwhile, so that the server can look for the next ones."""
        # Whatever is wrong with the log shows in the next wait().
        with suppress(LogUnavailableError):
            self._log.look()

    def answer(self, query: Query, view: AnyView) -> None:
        """Gather an answer; flush() sends it."""
        self._queries.answer(query, view)

    def refuse(self, query: Query, refusal: streams.QueryRefusal, reason: str) -> None:
        """Gather a refusal; flush() sends it."""
        self._queries.refuse(query.gateway, query.query_id, refusal, reason)

    def flush(self) -> None:
        """Send the gathered answers."""
        self._queries.flush()

    def wake(self) -> None:
        """End a wait() in another thread; safe in a signal handler."""
        # Full means that a wake-up is waiting already, closed that there is nobody to wake.
        with suppress(OSError):
            self._wake_write.send(b"!")

    def close(self) -> None:
        """Give up the connections, those of the log too."""
        self._queries.close()
        self._log.close()
        self._wake_read.close()
        self._wake_write.close()
