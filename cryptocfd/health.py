"""Whether this process lives, and whether the platform can trade; for load balancers, operators and scripts.

/healthz asks nobody: a process that answers is alive. /readyz looks at what trading needs. Prices and queued jobs are
reported too, but a platform without them still serves: positions can be seen, and only fresh prices fill orders.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import django_rq
import msgspec
import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job

from apps.market.facade import candles_lag_ms, feed_status
from apps.trade.facade import projected_number
from cryptocfd.parts import parts_down
from cryptocfd.reconciliation import differences_reported
from engine.messages.health import EngineHealth, EngineState
from engine.messages.streams import health_key, standby_health_key

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 1.0
# libpq takes whole seconds, and one for two.
_DATABASE_SECONDS = 2
# Reports come each second.
_REPORT_AGE_US_MAX = 5_000_000
_FEED_AGE_US_MAX = 5_000_000
_JOB_AGE_SECONDS_MAX = 60
# Where nothing is traded the writer stores its position once a minute.
_CANDLES_LAG_MS_MAX = 180_000
# From here on what people read of their history lags behind what they see live.
_PROJECTOR_LAG_MAX = 5_000

_decode_health = msgspec.json.Decoder(EngineHealth).decode


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one look."""

    is_good: bool
    # Figures and reasons, for people.
    detail: dict[str, object]


@require_safe
@never_cache
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer, which is all that it is for."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> JsonResponse:
    """Report every check; 503 when one of those fails that trading cannot do without."""
    needed = {"database": _database, "log": _log, "valkey": _valkey}
    needed |= {f"engine{shard}": _engine(shard) for shard in range(settings.ENGINE_SHARDS)}
    wanted = {
        "feed": _feed,
        "candles": _candles,
        "jobs": _jobs,
        "reconciliation": _reconciliation,
        "parts": _parts,
    }
    checks = {name: _look(name, check) for name, check in (needed | wanted).items()}
    projectors = {f"projector{shard}": _projector(shard) for shard in range(settings.ENGINE_SHARDS)}
    for name, check in projectors.items():
        # The database is asked once whether it is there: who waits for this answer has a second or two.
        checks[name] = _look(name, check) if checks["database"].is_good else checks["database"]
    is_ready = all(checks[name].is_good for name in needed)
    is_whole = all(check.is_good for check in checks.values())
    body = {
        "status": "ready" if is_whole else "degraded" if is_ready else "unavailable",
        "checks": {name: {"ok": check.is_good, **check.detail} for name, check in checks.items()},
    }
    return JsonResponse(body, status=200 if is_ready else 503)


def _look(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (DatabaseError, RedisError, msgspec.DecodeError) as error:
        # The reason may name hosts and users, so it goes to the log and not to the world.
        logger.warning("a health check fails", extra={"check": name, "error": repr(error)})
        return Check(is_good=False, detail={"reason": "cannot be reached"})


def _client(url: str) -> Redis:
    return Redis.from_url(
        url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
    )


def _database() -> Check:
    # A line of its own, since the pool would wait seconds for one.
    parameters = connection.get_connection_params() | {"connect_timeout": _DATABASE_SECONDS}
    with connection.wrap_database_errors:
        psycopg.connect(**parameters).close()
    return Check(is_good=True, detail={})


def _log() -> Check:
    with _client(settings.LOG_REDIS_URL) as client:
        client.ping()
        memory = client.info("memory")
    return Check(is_good=True, detail={"usedBytes": memory["used_memory"]})


def _valkey() -> Check:
    with _client(settings.REDIS_URL) as client:
        client.ping()
    return Check(is_good=True, detail={})


def engine_report(shard: int) -> EngineHealth | None:
    """Return what the active engine of a shard last said of itself, None when it has been silent.

    Errors: RedisError.
    """
    return _health_at(health_key(settings.STREAM_PREFIX, shard))


def standby_report(shard: int) -> EngineHealth | None:
    """Return what the standby of a shard last said of itself, None without one; errors as engine_report."""
    return _health_at(standby_health_key(settings.STREAM_PREFIX, shard))


def _health_at(key: str) -> EngineHealth | None:
    with _client(settings.REDIS_URL) as client:
        raw = client.get(key)
    return None if raw is None else _decode_health(raw)


def _projector(shard: int) -> Callable[[], Check]:
    def check() -> Check:
        health = engine_report(shard)
        if health is None:
            return Check(is_good=False, detail={"reason": "no engine reports"})
        # The report is up to a second old, and the projector may have passed it by now.
        lag = max(0, health.number - projected_number(shard=shard))
        return Check(is_good=lag <= _PROJECTOR_LAG_MAX, detail={"lagOutputs": lag})

    return check


def _engine(shard: int) -> Callable[[], Check]:
    def check() -> Check:
        health = engine_report(shard)
        if health is None:
            return Check(is_good=False, detail={"reason": "no engine reports"})
        age_us = time.time_ns() // 1000 - health.reported_at_us
        is_fresh = age_us < _REPORT_AGE_US_MAX
        return Check(
            is_good=is_fresh and health.state is EngineState.LIVE,
            detail={
                "state": health.state.value,
                "lagEntries": health.lag_entries,
                "lagMs": health.lag_ms,
                "epoch": health.epoch,
                "build": health.build,
                "snapshotId": health.snapshot_id,
                "snapshotPauseUs": health.snapshot_pause_us,
                "logMemoryPercent": health.log_memory_percent,
                # The codes alone: sentences may name folders and hosts, and go to the log.
                "alarms": [alarm.partition(":")[0] for alarm in health.alarms],
            },
        )

    return check


def _feed() -> Check:
    status = feed_status()
    if status is None:
        return Check(is_good=False, detail={"reason": "no feed reports"})
    age_us = time.time_ns() // 1000 - status.at_us
    return Check(
        is_good=age_us < _FEED_AGE_US_MAX and status.is_log_reachable and not status.unserved,
        detail={
            "ageMs": age_us // 1000,
            "sources": {source.name: source.state for source in status.sources},
            "staleInstruments": len(status.stale),
            "unservedInstruments": len(status.unserved),
            # Beyond two seconds no price goes out (docs/MARKET.md, F9).
            "clockSkewMs": status.clock_skew_us // 1000,
        },
    )


def _candles() -> Check:
    # A writer that lives may still write nothing, for instance beside one whose lock nobody has taken away.
    lag_ms = candles_lag_ms()
    return Check(is_good=lag_ms is None or lag_ms <= _CANDLES_LAG_MS_MAX, detail={"lagMs": lag_ms})


def _jobs() -> Check:
    age_s = oldest_job_us(django_rq.get_queue()) // 1_000_000
    return Check(is_good=age_s < _JOB_AGE_SECONDS_MAX, detail={"oldestSeconds": age_s})


def oldest_job_us(queue: Queue) -> int:
    """Return how long the job waits that is next in a queue, microseconds; 0 without one."""
    waiting = queue.get_job_ids(0, 1)
    # None for a job that a worker has finished in between.
    found = Job.fetch_many(waiting, connection=queue.connection, serializer=queue.serializer)
    oldest = next(iter(found), None)
    if oldest is None or oldest.enqueued_at is None:
        return 0
    return int((timezone.now() - oldest.enqueued_at) // timedelta(microseconds=1))


def _reconciliation() -> Check:
    with _client(settings.REDIS_URL) as client:
        count = len(differences_reported(client))
    # A platform that has just started, or whose worker is away, has no report; `jobs` tells of the worker.
    return Check(is_good=count == 0, detail={"differences": count})


def _parts() -> Check:
    # Those of this process: one that runs a part alone ends with it, and its supervisor starts it again.
    down = parts_down()
    return Check(
        is_good=not down,
        detail={
            "down": {
                name: {"failures": one.failures, "isRetried": one.is_retried}
                for name, one in down.items()
            }
        },
    )


urlpatterns = [path("healthz", healthz), path("readyz", readyz)]
