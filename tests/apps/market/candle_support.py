"""What the tests of candles share: quotes put into a real log, a writer that is stepped by hand, and stores on both servers."""

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from redis import Redis
from rq import Queue

from apps.market.candles.store import CandleStore
from apps.market.candles.writer import CandleWriter
from cryptocfd.worker import ThreadWorker
from engine.messages.codec import WIRE_VERSION, encode
from engine.messages.commands import Quote, UpdateQuotes
from engine.messages.streams import IN_GATEWAY, IN_MESSAGE, IN_VERSION, input_stream
from engine.values import SourceClass

MIGRATION = importlib.import_module("apps.market.migrations.0002_candles")
SIMULATED = importlib.import_module("apps.market.migrations.0009_simulated_history")
# 2026-05-28 20:26:40 UTC; a Thursday.
NOON_MS = 1_780_000_000_000 // 60_000 * 60_000
RELATIONS = ("candles_1m", "candles_5m", "candles_15m", "candles_30m", "candles_1h", "candles_4h")
RELATIONS += ("candles_1d", "candles_1w", "candles_1mo")


class QuoteLog:
    """The input stream, written as the feed writes it."""

    def __init__(self, url: str, prefix: str) -> None:
        self.redis = Redis.from_url(url)
        self.stream = input_stream(prefix)
        self._sequence = 0

    def fields(
        self, quotes: Sequence[Quote], source_class: SourceClass = SourceClass.SIMULATED
    ) -> dict[bytes, bytes]:
        self._sequence += 1
        message = UpdateQuotes(
            source="test",
            source_class=source_class,
            feed_epoch=1,
            sequence=self._sequence,
            quotes=tuple(quotes),
        )
        return {
            IN_VERSION: str(WIRE_VERSION).encode(),
            IN_MESSAGE: encode(message),
            IN_GATEWAY: b"",
        }

    def say(
        self,
        *quotes: tuple[str, int, int, int],
        at_ms: int | None = None,
        source_class: SourceClass = SourceClass.SIMULATED,
    ) -> str:
        """Append one entry of (symbol, bid, ask, ms) quotes; its id has the newest quote's time, unless `at_ms` says another."""
        stated = [Quote(symbol, bid, ask, ms * 1000) for symbol, bid, ask, ms in quotes]
        entry_ms = max(ms for *_, ms in quotes) if at_ms is None else at_ms
        last = (
            self.redis.xinfo_stream(self.stream)["last-generated-id"] if self.exists() else b"0-0"
        )
        entry_ms = max(entry_ms, int(last.partition(b"-")[0]))
        raw = self.redis.xadd(self.stream, self.fields(stated, source_class), id=f"{entry_ms}-*")
        return raw.decode()

    def exists(self) -> bool:
        return bool(self.redis.exists(self.stream))

    def close(self) -> None:
        self.redis.close()


def plain_store() -> CandleStore:
    """Return a store on the tests' PostgreSQL, emptied."""
    store = CandleStore.connect()
    store.connection.execute(
        f"TRUNCATE {', '.join(RELATIONS)}, candles_position, candles_simulated"
    )
    return store


def timescale_store(connection: psycopg.Connection[Any]) -> CandleStore:
    """Return a store on a server with TimescaleDB, with fresh relations: truncating a hypertable leaves its aggregates."""
    if connection.execute("SELECT to_regclass('candles_1m')").fetchone() != (None,):
        for statement in (SIMULATED.DROP, *MIGRATION.drop_statements()):
            connection.execute(statement)
    for statement in (*MIGRATION.timescale_statements(), SIMULATED.MAKE):
        connection.execute(statement)
    return CandleStore(connection)


def worker_of_this_thread() -> type[ThreadWorker]:
    """Return a class of workers that take the arguments of django_rq.get_worker() and run jobs here, without a child process."""

    class BurstWorker(ThreadWorker):
        def __init__(self, queues: Sequence[Queue], *_args: Any, **_options: Any) -> None:
            super().__init__(queues[0], stopping=threading.Event())

    return BurstWorker


def writer_of(
    prefix: str,
    log_url: str,
    redis_url: str,
    store_connect: Callable[[], CandleStore] = CandleStore.connect,
) -> CandleWriter:
    return CandleWriter(
        prefix=prefix, log_redis_url=log_url, redis_url=redis_url, store_connect=store_connect
    )
