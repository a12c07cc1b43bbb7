"""How long orders take, as clients of this installation met it: counted by every process, kept for an hour.

Measured is the way from a client's command entering the gateway to the engine's answer leaving it: log, engine and back. Counts
stand in Valkey, one hash per minute, so that all web processes are one installation.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from typing_extensions import override

from apps.common.cancellation import cancel_all
from apps.common.clock import now_us
from apps.common.engine_gateway import EngineGateway
from apps.common.outputs import Output
from engine.messages.commands import AnyCommand
from engine.values import Actor

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 2.0
_MINUTE_US: Final = 60_000_000
_KEPT_MINUTES: Final = 60
_KEPT_SECONDS: Final = (_KEPT_MINUTES + 2) * 60
_CLIENT: Final = Actor.CLIENT
# Buckets of a histogram: sixteen per power of two, so a bucket is at most 1/16 wide.
_STEPS: Final = 16
_STEP_BITS: Final = 4


def bucket_of(duration_us: int) -> int:
    """Return the bucket of a duration; longer durations never have a lower one."""
    if duration_us < _STEPS:
        return max(0, duration_us)
    shift = duration_us.bit_length() - 1 - _STEP_BITS
    return (shift + 1) * _STEPS + (duration_us >> shift) - _STEPS


def bucket_end_us(bucket: int) -> int:
    """Return the longest duration of a bucket, microseconds."""
    if bucket < _STEPS:
        return bucket
    shift, step = divmod(bucket, _STEPS)
    return ((step + _STEPS + 1) << (shift - 1)) - 1


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """The orders of the last hour."""

    count: int
    # Half of the orders, and 99 of 100, took at most this long, microseconds; None without any.
    median_us: int | None
    p99_us: int | None


def latency_figures(histograms: Iterable[Mapping[int, int]]) -> LatencyFigures:
    """Return the figures of histograms taken together."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    count = total.total()
    return LatencyFigures(count, _quantile_us(total, count, 50), _quantile_us(total, count, 99))


def _quantile_us(histogram: Counter[int], count: int, per_cent: int) -> int | None:
    # The smallest duration that so many of a hundred do not exceed.
    missing = -(-count * per_cent // 100)
    for bucket in sorted(histogram):
        missing -= histogram[bucket]
        if missing <= 0:
            return bucket_end_us(bucket)
    return None


def minute_keys(prefix: str, at_us: int) -> list[str]:
    """Return the keys of the last hour's minutes, the running one included."""
    minute = at_us // _MINUTE_US
    return [_key(prefix, minute - age) for age in range(_KEPT_MINUTES)]


def _key(prefix: str, minute: int) -> str:
    return f"{prefix}orders:latency:{minute}"


class MeasuredGateway(EngineGateway):
    """The gateway, with a stopwatch on what clients send."""

    def __init__(self, *, redis_url: str, prefix: str = "", **options: Any) -> None:
        """Take what the gateway takes."""
        super().__init__(redis_url=redis_url, prefix=prefix, **options)
        self._stats_url = redis_url
        self._stats_prefix = prefix
        # (minute, bucket) -> answers since the last flush.
        self._counts: Counter[tuple[int, int]] = Counter()
        self._flusher: asyncio.Task[None] | None = None

    @override
    async def start(self) -> None:
        await super().start()
        self._flusher = asyncio.create_task(self._flush_often(), name="order-latency")

    @override
    async def stop(self) -> None:
        if self._flusher is not None:
            await cancel_all((self._flusher,))
            self._flusher = None
        await super().stop()

    @override
    async def send(self, command: AnyCommand) -> Output:
        if command.actor is not _CLIENT:
            return await super().send(command)
        began = time.perf_counter_ns()
        output = await super().send(command)
        took_us = (time.perf_counter_ns() - began) // 1000
        self._counts[now_us() // _MINUTE_US, bucket_of(took_us)] += 1
        return output

    async def _flush_often(self) -> None:
        client = AsyncRedis.from_url(
            self._stats_url, retry=Retry(NoBackoff(), 0), socket_timeout=FLUSH_SECONDS
        )
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                if self._counts:
                    # Statistics: while Valkey is away the counts wait for the next round.
                    with contextlib.suppress(RedisError):
                        await self._flush(client)
        finally:
            await client.aclose()

    async def _flush(self, client: AsyncRedis) -> None:
        counts = self._counts.copy()
        async with client.pipeline(transaction=True) as pipeline:
            for (minute, bucket), count in counts.items():
                pipeline.hincrby(_key(self._stats_prefix, minute), str(bucket), count)
                pipeline.expire(_key(self._stats_prefix, minute), _KEPT_SECONDS)
            await pipeline.execute()
        self._counts -= counts
