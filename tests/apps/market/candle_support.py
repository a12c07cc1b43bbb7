"""What the tests of candles share: quotes put into a real log, a writer that is stepped by hand, and stores on both servers."""

from collections.abc import Callable, Iterable, Sequence

from redis import Redis

from apps.market.candles.store import CandleStore
from apps.market.candles.writer import CandleWriter
from engine.messages.codec import WIRE_VERSION, encode
from engine.messages.commands import Quote, UpdateQuotes
from engine.messages.streams import IN_GATEWAY, IN_MESSAGE, IN_VERSION, input_stream
from engine.values import SourceClass

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

    def say_many(self, quotes: Iterable[tuple[int, Quote]]) -> int:
        """Append one entry per (ms, quote) under exactly that time, many in one round trip."""
        count = 0
        with self.redis.pipeline(transaction=False) as pipeline:
            for ms, quote in quotes:
                pipeline.xadd(self.stream, self.fields((quote,)), id=f"{ms}-*")
                count += 1
                if count % 2_000 == 0:
                    pipeline.execute()
            pipeline.execute()
        return count

    def exists(self) -> bool:
        return bool(self.redis.exists(self.stream))

    def close(self) -> None:
        self.redis.close()


def plain_store() -> CandleStore:
    """Return a store on the tests' PostgreSQL, emptied."""
    store = CandleStore.connect()
    store.connection.execute(f"TRUNCATE {', '.join(RELATIONS)}, candles_position")
    return store


def writer_of(
    prefix: str,
    log_url: str,
    redis_url: str,
    store_connect: Callable[[], CandleStore] = CandleStore.connect,
) -> CandleWriter:
    return CandleWriter(
        prefix=prefix, log_redis_url=log_url, redis_url=redis_url, store_connect=store_connect
    )
