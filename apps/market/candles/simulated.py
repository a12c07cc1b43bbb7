"""The invented past of simulated instruments in the database: which have one, where it ends, how it comes and how it goes.

It is written once, before the first minute of quotes, and only where every stored candle is the simulator's. It goes as a whole before
real candles come, and does not come back: both are remembered in `candles_simulated`, under the lock that all writers of minutes take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apps.market.candles.candle import Candle, Sources
from apps.market.candles.intervals import DAY_MS, INTERVALS, MINUTES, MINUTES_KEPT_DAYS, Interval
from apps.market.candles.store import CandleStore, milliseconds, moment

ORIGIN: Final = "simulator"
# What writers of minutes wait for on a plain server (migrations/0002_candles.py); with TimescaleDB only we do.
_LOCK: Final = "SELECT pg_advisory_xact_lock(7306002)"


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first minute of an instrument's quotes, and how it opened."""

    open_ms: int
    # Ticks, and half ticks.
    bid_ticks: int
    mid_half_ticks: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Candles of one length that follow one another, in the order of time."""

    interval: Interval
    candles: list[Candle]


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of one instrument."""

    symbol: str
    # From the first invented candle to the first minute of quotes, ms; None where there is none and none is to be made.
    span_ms: tuple[int, int] | None


def histories(store: CandleStore, symbols: Sequence[str] | None = None) -> list[History]:
    """Return what is remembered, of these symbols or of all."""
    rows = store.connection.execute(
        "SELECT symbol, since, until FROM candles_simulated WHERE %s::text[] IS NULL OR symbol = ANY(%s)"
        " ORDER BY symbol",
        [None if symbols is None else list(symbols)] * 2,
        binary=True,
    )
    return [
        History(symbol, None if since is None else (milliseconds(since), milliseconds(until)))
        for symbol, since, until in rows
    ]


def beginnings(store: CandleStore, symbols: Sequence[str]) -> dict[str, Beginning]:
    """Return where the stored minutes of these instruments begin; one that has none is left out."""
    rows = store.connection.execute(
        "SELECT asked.symbol, open_time, bid_open, mid_open FROM unnest(%s::text[]) AS asked(symbol)"
        " CROSS JOIN LATERAL (SELECT open_time, bid_open, mid_open FROM candles_1m"
        " WHERE candles_1m.symbol = asked.symbol ORDER BY open_time LIMIT 1) AS first",
        [list(symbols)],
        binary=True,
    )
    return {symbol: Beginning(milliseconds(at), bid, mid) for symbol, at, bid, mid in rows}


def history_write(
    store: CandleStore, symbol: str, first: Beginning, stretches: Sequence[Stretch]
) -> int:
    """Write an invented past that ends where the minutes begin, all or nothing; return how many candles it has.

    None is written where somebody else has been since, nor where a candle is not the simulator's alone, now and later.
    """
    with store.connection.transaction():
        store.connection.execute(_LOCK)
        # What a power cut takes is all or nothing, and made again as it was.
        store.connection.execute("SET LOCAL synchronous_commit = off")
        if histories(store, [symbol]):
            return 0
        if _is_mixed(store, symbol):
            _remember(store, symbol, None)
            return 0
        count = 0
        # The oldest first, so that weeks and months are made of all their days at last.
        for stretch in reversed(stretches):
            candles = _kept(store, stretch, first)
            store.copy(symbol, stretch.interval, candles, ORIGIN)
            count += len(candles)
        since_ms = min(stretch.candles[0].open_ms for stretch in stretches if stretch.candles)
        _remember(store, symbol, (since_ms, first.open_ms))
    return count


def histories_aggregate(store: CandleStore) -> None:
    """Let continuous aggregates take in what has been written; a plain server has done that at once."""
    row = store.connection.execute(
        "SELECT min(since), max(until) FROM candles_simulated WHERE NOT is_aggregated", binary=True
    ).fetchone()
    if row is None or row[0] is None:
        return
    store.refresh(milliseconds(row[0]), milliseconds(row[1]))
    store.connection.execute(
        "UPDATE candles_simulated SET is_aggregated = true WHERE NOT is_aggregated"
    )


def history_decline(store: CandleStore, symbol: str) -> bool:
    """Take an instrument's invented past away, if it has one, and let none be made any more; return whether it had one.

    Minutes that the simulator's quotes have made stay, and longer candles that have both are made of those alone.
    """
    with store.connection.transaction():
        store.connection.execute(_LOCK)
        known = histories(store, [symbol])
        span_ms = known[0].span_ms if known else None
        if not known:
            _remember(store, symbol, None)
        if span_ms is None:
            return False
        _take_away(store, symbol, *span_ms)
    store.refresh(*span_ms)
    # Forgotten last: whoever is stopped before that begins again.
    store.connection.execute(
        "UPDATE candles_simulated SET since = NULL, until = NULL, is_aggregated = true WHERE symbol = %s",
        [symbol],
    )
    return True


def _is_mixed(store: CandleStore, symbol: str) -> bool:
    row = store.connection.execute(
        "SELECT EXISTS (SELECT FROM candles_1d WHERE symbol = %s AND sources <> %s)",
        [symbol, int(Sources.SIMULATED)],
    ).fetchone()
    return row is not None and bool(row[0])


def _remember(store: CandleStore, symbol: str, span_ms: tuple[int, int] | None) -> None:
    since, until = (None, None) if span_ms is None else map(moment, span_ms)
    store.connection.execute(
        "INSERT INTO candles_simulated VALUES (%s, %s, %s, %s)",
        [symbol, since, until, span_ms is None or not store.is_timescale],
    )


def _take_away(store: CandleStore, symbol: str, since_ms: int, until_ms: int) -> None:
    for interval in [MINUTES] if store.is_timescale else INTERVALS.values():
        store.connection.execute(
            f"DELETE FROM {interval.relation}"  # noqa: S608 - our own names.
            " WHERE symbol = %s AND open_time >= %s AND open_time < %s",
            [symbol, moment(interval.bucket(since_ms)), moment(until_ms)],
        )
    if store.is_timescale:
        return
    for interval in INTERVALS.values():
        bucket_ms = interval.bucket(until_ms)
        if bucket_ms < until_ms:
            # It had both, so that it is made anew of what has stayed.
            store.aggregate_again(symbol, interval.name, bucket_ms)


def _kept(store: CandleStore, stretch: Stretch, first: Beginning) -> Sequence[Candle]:
    """Return the candles that the server keeps: with TimescaleDB all are minutes, and go with the old ones."""
    if not store.is_timescale:
        return stretch.candles
    since_ms = first.open_ms - MINUTES_KEPT_DAYS * DAY_MS
    return [candle for candle in stretch.candles if candle.open_ms >= since_ms]
