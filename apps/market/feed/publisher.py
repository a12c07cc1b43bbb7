"""The feed's way out: quotes into the log under a lease, prices and state to the web.

Two feeds must never interleave in the log. The lease keeps a second one waiting; should one still write after losing it, the
engine sees by (feed epoch, sequence) that its entries are old. A batch is never sent twice: when the answer is lost, the next
one carries newer quotes under a new number.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from apps.market.prices import FeedStatus
from engine.messages.codec import WIRE_VERSION, encode
from engine.messages.commands import Quote, UpdateQuotes
from engine.messages.streams import (
    IN_GATEWAY,
    IN_MESSAGE,
    IN_VERSION,
    PriceBatch,
    feed_epoch_key,
    feed_lease_key,
    feed_status_key,
    input_stream,
    prices_channel,
)
from engine.values import SourceClass

LEASE_MS: Final = 2_000
_STATUS_KEPT_SECONDS: Final = 60
_SOCKET_SECONDS: Final = 2.0

# Renew or release only what is ours: between reading and writing another feed may have taken the lease.
_RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class Publisher:
    """Both connections of one feed."""

    def __init__(
        self,
        *,
        log_redis_url: str,
        redis_url: str,
        prefix: str,
        shards: int,
        monotonic: Callable[[], float],
    ) -> None:
        """Take the addresses; `monotonic` gives seconds that never go back, for the lease."""
        self._log = _client(log_redis_url)
        self._rest = _client(redis_url)
        self._input_streams = [input_stream(prefix, shard, shards) for shard in range(shards)]
        self._lease_key = feed_lease_key(prefix)
        self._epoch_key = feed_epoch_key(prefix)
        self._status_key = feed_status_key(prefix)
        self._prices_channel = prices_channel(prefix)
        self._monotonic = monotonic
        self._token = secrets.token_hex(8)
        self._lease_until = 0.0
        self.epoch = 0
        self.sequence = 0
        # Time of the last entry by the log's own clock, ms.
        self.entry_ms = 0

    @property
    def holds_lease(self) -> bool:
        """Return whether this feed may write, by its own watch."""
        return self._monotonic() < self._lease_until

    async def keep_lease(self) -> bool:
        """Renew the lease or try to take it; return whether this feed holds it now.

        Taking it begins a new epoch, whose sequence counts from 1.
        """
        # Counted from before the question: the answer may take its time.
        asked = self._monotonic()
        if self.epoch and await self._log.eval(_RENEW, 1, self._lease_key, self._token, LEASE_MS):
            self._lease_until = asked + LEASE_MS / 1000
            return True
        self._lease_until = 0.0
        if not await self._log.set(self._lease_key, self._token, nx=True, px=LEASE_MS):
            return False
        # Another feed may have written since ours: without an answer about the next epoch this lease must lapse, not be renewed.
        self.epoch = 0
        self.epoch = int(await self._log.incr(self._epoch_key))
        self.sequence = 0
        self._lease_until = asked + LEASE_MS / 1000
        return True

    async def log_time_us(self) -> int:
        """Return what time it is by the log's own clock, microseconds."""
        seconds, us = await self._log.time()
        return int(seconds) * 1_000_000 + int(us)

    async def write_log(
        self, source: str, source_class: SourceClass, entries: Sequence[Sequence[Quote]]
    ) -> None:
        """Append one entry for each of these groups of quotes to every shard's input stream, in one round trip.

        Errors: RedisError when the outcome is unknown; the numbers are used up.
        """
        async with self._log.pipeline(transaction=False) as pipeline:
            for quotes in entries:
                fields = self._fields(source, source_class, quotes)
                for stream in self._input_streams:
                    pipeline.xadd(stream, fields, id=self._entry_id(quotes))  # type: ignore[arg-type]  # the stubs' dict is invariant
            ids = await pipeline.execute()
        self.entry_ms = int(ids[-1].partition(b"-")[0])

    def _fields(
        self, source: str, source_class: SourceClass, quotes: Sequence[Quote]
    ) -> dict[bytes | str, bytes | str]:
        self.sequence += 1
        message = UpdateQuotes(
            source=source,
            source_class=source_class,
            feed_epoch=self.epoch,
            sequence=self.sequence,
            quotes=tuple(quotes),
        )
        return {
            IN_VERSION: str(WIRE_VERSION),
            IN_MESSAGE: encode(message),
            IN_GATEWAY: b"",
        }

    def _entry_id(self, _quotes: Sequence[Quote]) -> str:
        """Return the id to ask for: that of the log's own clock."""
        return "*"

    async def publish_prices(
        self, source: str, source_class: SourceClass, quotes: Sequence[Quote], now_us: int
    ) -> None:
        """Tell every web process these prices; nobody stores them."""
        batch = PriceBatch(
            source=source, source_class=source_class, sent_us=now_us, quotes=tuple(quotes)
        )
        await self._rest.publish(self._prices_channel, encode(batch))

    async def publish_status(self, status: FeedStatus) -> None:
        """Tell the feed's state, and keep it for whoever asks later."""
        raw = msgspec.json.encode(status)
        async with self._rest.pipeline(transaction=False) as pipeline:
            pipeline.set(self._status_key, raw, ex=_STATUS_KEPT_SECONDS)
            pipeline.publish(self._status_key, raw)
            await pipeline.execute()

    async def close(self) -> None:
        """Give the lease back and disconnect."""
        try:
            if self.epoch:
                await self._log.eval(_RELEASE, 1, self._lease_key, self._token)
        finally:
            self._lease_until = 0.0
            await self._log.aclose()
            await self._rest.aclose()


def _client(url: str) -> Redis:
    """Return a client that never sends anything twice (redis-py's own default is ten retries)."""
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=_SOCKET_SECONDS,
        socket_connect_timeout=_SOCKET_SECONDS,
    )
