"""What the parts of the platform say of themselves, read for the health page: engines, projectors, feed, jobs."""

from dataclasses import dataclass

import django_rq
import msgspec
from django.conf import settings
from redis.exceptions import RedisError
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.worker import Worker

from apps.common.clock import now_us
from apps.market.facade import (
    FeedStatus,
    InstrumentInfo,
    LatestQuote,
    feed_status,
    instruments,
    quotes_latest,
)
from apps.trade.facade import projected_number, projected_until
from cryptocfd.health import engine_report, oldest_job_us, standby_report
from engine.messages.health import EngineHealth
from engine.values import entry_time_us


@dataclass(frozen=True, slots=True)
class EngineReading:
    """What is known of one shard's engines."""

    shard: int
    # None while no such engine reports.
    active: EngineHealth | None
    standby: EngineHealth | None
    # Number of the last output that the read models have, and its time (microseconds); 0 before the first.
    projected: int
    projected_at_us: int

    @property
    def lag_outputs(self) -> int | None:
        """Return how many outputs the read models are behind, None if no engine says."""
        # The report is up to a second old, and the projector may have passed it by now.
        return None if self.active is None else max(0, self.active.number - self.projected)


@dataclass(frozen=True, slots=True)
class QuoteReading:
    """What is known of one instrument's price."""

    instrument: InstrumentInfo
    # None when this process has heard none.
    quote: LatestQuote | None
    age_us: int | None
    # Whether it is too old to fill on, and whether no source serves it.
    is_stale: bool
    is_unserved: bool


@dataclass(frozen=True, slots=True)
class QueueReading:
    """One queue of jobs."""

    name: str
    waiting: int
    running: int
    scheduled: int
    failed: int
    # Of the job that has waited longest.
    oldest_us: int
    workers: int


def engines_read() -> list[EngineReading] | None:
    """Return what is known of each shard's engines and projector, None when the server of their reports is away."""
    try:
        return [_engine(shard) for shard in range(settings.ENGINE_SHARDS)]
    except (RedisError, msgspec.DecodeError):
        return None


def _engine(shard: int) -> EngineReading:
    until = projected_until(shard=shard)
    return EngineReading(
        shard=shard,
        active=engine_report(shard),
        standby=standby_report(shard),
        projected=projected_number(shard=shard),
        projected_at_us=entry_time_us(until) if until else 0,
    )


def feed_read() -> tuple[FeedStatus | None, int | None]:
    """Return the feed's word on itself, and how old it is (microseconds)."""
    status = feed_status()
    return status, None if status is None else max(0, now_us() - status.at_us)


def quotes_read(status: FeedStatus | None) -> list[QuoteReading]:
    """Return what is known of each instrument's price, the oldest first."""
    now = now_us()
    known = {quote.symbol: quote for quote in quotes_latest()}
    unserved = frozenset(status.unserved if status else ())
    found = []
    for info in instruments():
        quote = known.get(info.symbol)
        age_us = None if quote is None else max(0, now - quote.ts_us)
        found.append(
            QuoteReading(
                instrument=info,
                quote=quote,
                age_us=age_us,
                is_stale=age_us is None or age_us > info.quote_age_us_max,
                is_unserved=info.symbol in unserved,
            )
        )
    return sorted(found, key=_by_age)


def _by_age(reading: QuoteReading) -> tuple[bool, int, str]:
    # Those without any price before all others.
    return reading.age_us is not None, -(reading.age_us or 0), reading.instrument.symbol


def queues_read() -> list[QueueReading] | None:
    """Return what is known of each queue of jobs, None when its server is away."""
    try:
        return [_queue(name) for name in settings.RQ_QUEUES]
    except RedisError:
        return None


def _queue(name: str) -> QueueReading:
    queue = django_rq.get_queue(name)
    return QueueReading(
        name=name,
        waiting=queue.count,
        running=StartedJobRegistry(queue=queue).count,
        scheduled=ScheduledJobRegistry(queue=queue).count,
        failed=FailedJobRegistry(queue=queue).count,
        oldest_us=oldest_job_us(queue),
        workers=Worker.count(queue=queue),
    )
