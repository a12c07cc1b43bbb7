"""Holds every longer candle against the aggregate of the next lower ones; for the tests and for the nightly check."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from apps.market.candles.candle import Candle, Sources, joined
from apps.market.candles.intervals import INTERVALS, MINUTES, Interval
from apps.market.candles.store import CandleStore

_INVENTED: Final = Sources.SIMULATED | Sources.BACKFILLED
_FAR_MS: Final = 253_370_764_800_000


@dataclass(frozen=True, slots=True)
class Difference:
    """One longer candle that is not what its lower ones say."""

    symbol: str
    interval: str
    open_ms: int
    # None: there is none.
    stored: Candle | None
    expected: Candle | None


def higher_differ(
    store: CandleStore, since_ms: int, until_ms: int, *, symbol: str | None = None
) -> Iterator[Difference]:
    """Yield every difference among the candles whose beginnings lie in the span, which is widened to whole candles.

    Of one symbol, or of all that have candles.
    """
    for one in [symbol] if symbol else store.symbols():
        for interval in INTERVALS.values():
            if interval is not MINUTES:
                yield from _differ(store, one, interval, since_ms, until_ms)


def differences(
    store: CandleStore, since_ms: int, until_ms: int, *, symbol: str | None = None
) -> list[Difference]:
    """Return every difference as of one instant, so that a candle in the making does not move between two reads."""
    with store.connection.transaction():
        store.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return list(higher_differ(store, since_ms, until_ms, symbol=symbol))


def _differ(
    store: CandleStore, symbol: str, interval: Interval, since_ms: int, until_ms: int
) -> Iterator[Difference]:
    begin_ms = interval.bucket(since_ms)
    end_ms = interval.bucket_after(interval.bucket(until_ms))
    lower: dict[int, list[Candle]] = {}
    first = store.read(symbol, INTERVALS[interval.lower], 0, _FAR_MS, 1)
    first_ms = first[0].open_ms if first else 0
    for candle in store.read(symbol, INTERVALS[interval.lower], begin_ms, end_ms):
        lower.setdefault(interval.bucket(candle.open_ms), []).append(candle)
    stored = {one.open_ms: one for one in store.read(symbol, interval, begin_ms, end_ms)}
    for open_ms in sorted(stored.keys() | lower.keys()):
        expected = joined(open_ms, lower.get(open_ms, ()))
        found = stored.get(open_ms)
        # An invented past has longer candles that were never made of shorter ones, before all of those.
        is_first = found is not None and found.sources == _INVENTED and open_ms < first_ms
        if found != expected and not (expected is None and is_first):
            yield Difference(symbol, interval.name, open_ms, found, expected)
