"""The truth about the stored candles: what there is, what is missing, how far behind, and where it came from."""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from redis import Redis
from redis.exceptions import RedisError

from apps.market.candles.candle import Sources
from apps.market.candles.intervals import INTERVALS, MINUTE_MS, Interval
from apps.market.candles.store import CandleStore, milliseconds
from engine.messages.streams import input_stream

# Counting millions of rows takes a second, so many who ask share one answer.
_KEPT_SECONDS: Final = 30.0
_GAPS_SHOWN: Final = 20
_GAP_DAYS: Final = 7

_CHECK_KEY: Final = "candles-check"

_lock = threading.Lock()
_kept: dict[tuple[str, ...], tuple[float, dict[str, object]]] = {}


def diagnostics(
    symbols: Sequence[str], intervals: Sequence[Interval], now_ms: int
) -> dict[str, object]:
    """Return coverage, gaps, lag, sources and storage; half a minute old at most.

    Errors: psycopg.Error.
    """
    key = (*symbols, "|", *(interval.name for interval in intervals))
    with _lock:
        at, answer = _kept.get(key, (0.0, {}))
        if not answer or time.monotonic() - at > _KEPT_SECONDS:
            answer = _diagnose(symbols, intervals, now_ms)
            if len(_kept) > len(INTERVALS) * 200:
                _kept.clear()
            _kept[key] = time.monotonic(), answer
        return answer


def check_record(checked_ms: int, differences: int) -> None:
    """Keep what the nightly check has found, for whoever asks."""
    cache.set(_CHECK_KEY, {"checkedMs": checked_ms, "differences": differences}, None)


def candles_lag_ms() -> int | None:
    """Return how far the stored candles are behind the log, at most a minute while all is well; None before the first, or without a log.

    Errors: django DatabaseError.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT entry_id FROM candles_position")
        row = cursor.fetchone()
    return None if row is None else _log_lag(row[0])


def diagnostics_forget() -> None:
    """Let the next question look anew."""
    with _lock:
        _kept.clear()


def _diagnose(
    symbols: Sequence[str], intervals: Sequence[Interval], now_ms: int
) -> dict[str, object]:
    store = CandleStore.connect()
    try:
        return {
            "storage": "timescaledb" if store.is_timescale else "postgresql",
            "writer": _writer(store, now_ms),
            # Of the nightly check; null before the first one.
            "check": cache.get(_CHECK_KEY),
            "aggregates": {
                interval.name: _freshness(store, interval)
                for interval in intervals
                if interval.lower
            },
            "series": [
                line for interval in intervals for line in _series(store, symbols, interval, now_ms)
            ],
            "gaps": _gaps(store, symbols, now_ms) if len(symbols) == 1 else [],
        }
    finally:
        store.close()


def _writer(store: CandleStore, now_ms: int) -> dict[str, object]:
    row = store.connection.execute(
        "SELECT entry_id, lost_spans, ahead_quotes, written_at FROM candles_position", binary=True
    ).fetchone()
    if row is None:
        return {"entryId": None, "lagMs": None, "lostSpans": 0, "aheadQuotes": 0, "writtenAt": None}
    return {
        "entryId": row[0],
        # From the newest entry of the log to the newest that is in a stored candle.
        "lagMs": _log_lag(row[0]),
        "lostSpans": row[1],
        "aheadQuotes": row[2],
        "writtenAt": milliseconds(row[3]),
        "ageMs": max(0, now_ms - milliseconds(row[3])),
    }


def _log_lag(entry_id: str) -> int | None:
    try:
        with Redis.from_url(settings.LOG_REDIS_URL, socket_timeout=1.0) as client:
            stream = input_stream(settings.STREAM_PREFIX, 0, settings.ENGINE_SHARDS)
            if not client.exists(stream):
                return None
            info: Any = client.xinfo_stream(stream)
    except (RedisError, OSError):
        return None
    newest = int(info["last-generated-id"].partition(b"-")[0])
    return max(0, newest - int(entry_id.partition("-")[0]))


def _freshness(store: CandleStore, interval: Interval) -> dict[str, object]:
    """Return up to where the interval is stored; what comes after is computed as it is asked for, or by trigger at once."""
    if not store.is_timescale:
        return {"kind": "trigger", "materialisedTo": None}
    row = store.connection.execute(
        "SELECT _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(id))"
        " FROM _timescaledb_catalog.hypertable JOIN timescaledb_information.continuous_aggregates"
        " ON table_name = materialization_hypertable_name WHERE view_name = %s",
        [interval.relation],
        binary=True,
    ).fetchone()
    at = row[0] if row else None
    return {
        "kind": "continuous aggregate",
        "materialisedTo": milliseconds(at) if at is not None and at > 0 else None,
    }


def _series(
    store: CandleStore, symbols: Sequence[str], interval: Interval, now_ms: int
) -> list[dict[str, object]]:
    shares = ", ".join(f"count(*) FILTER (WHERE sources & {one.value} > 0)" for one in Sources)
    rows = store.connection.execute(
        f"SELECT symbol, min(open_time), max(open_time), count(*), {shares} FROM {interval.relation}"  # noqa: S608 - our own names
        " WHERE symbol = ANY(%s) GROUP BY symbol ORDER BY symbol",
        [list(symbols)],
        binary=True,
    )
    return [_line(interval, row, now_ms) for row in rows]


def _line(interval: Interval, row: Sequence[Any], now_ms: int) -> dict[str, object]:
    symbol, first_us, last_us, count, *shares = row
    first_ms, last_ms = milliseconds(first_us), milliseconds(last_us)
    expected = 1 + _steps(interval, first_ms, last_ms)
    return {
        "symbol": symbol,
        "interval": interval.name,
        "first": first_ms,
        "last": last_ms,
        "count": count,
        # Candles that are not there between the first and the last.
        "missing": expected - count,
        # From the end of the newest candle; 0 while it is in the making.
        "lagMs": max(0, now_ms - interval.bucket_after(last_ms)),
        "sources": {
            one.name.lower(): number
            for one, number in zip(Sources, shares, strict=True)
            if one.name and number
        },
    }


def _steps(interval: Interval, first_ms: int, last_ms: int) -> int:
    if interval.name != "1M":
        return (last_ms - first_ms) // interval.length_ms
    steps, at = 0, first_ms
    while at < last_ms:
        at, steps = interval.bucket_after(at), steps + 1
    return steps


def _gaps(store: CandleStore, symbols: Sequence[str], now_ms: int) -> list[dict[str, int]]:
    """Return the newest gaps of one symbol's minutes, of the last week."""
    until_ms = now_ms // MINUTE_MS * MINUTE_MS
    gaps = store.gaps(symbols[0], until_ms - _GAP_DAYS * 24 * 60 * MINUTE_MS, until_ms)
    return [
        {"from": begin, "to": end - MINUTE_MS, "minutes": (end - begin) // MINUTE_MS}
        for begin, end in gaps[-_GAPS_SHOWN:]
    ]
