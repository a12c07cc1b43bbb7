"""The lengths of candles and where each one begins. All times are UTC, milliseconds since 1970, on the API's grid.

The relations of the database carry the same buckets (migrations/0002_candles.py); a test holds the two against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

MINUTE_MS: Final = 60_000
# How long minutes are kept, on either kind of server; longer candles stay.
MINUTES_KEPT_DAYS: Final = 730
DAY_MS: Final = 24 * 3600 * 1000
_WEEK_MS: Final = 7 * DAY_MS
# 1970 began on a Thursday; weeks begin on Mondays.
_FIRST_MONDAY_MS: Final = 4 * DAY_MS


@dataclass(frozen=True, slots=True)
class Interval:
    """One length of candles."""

    # As in the API, such as 1h.
    name: str
    # Where the database keeps them.
    relation: str
    # Length, ms; of a month the longest.
    length_ms: int
    # Name of the next lower interval, of which these are aggregates; empty for minutes.
    lower: str = ""

    def bucket(self, at_ms: int) -> int:
        """Return when the candle of this moment begins."""
        if self.name == "1M":
            day = datetime.fromtimestamp(at_ms // 1000, UTC)
            month = day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return int(month.timestamp()) * 1000
        if self.name == "1w":
            return at_ms - (at_ms - _FIRST_MONDAY_MS) % _WEEK_MS
        return at_ms - at_ms % self.length_ms

    def bucket_after(self, bucket_ms: int) -> int:
        """Return when the candle after the one that begins at `bucket_ms` begins."""
        if self.name == "1M":
            return self.bucket(bucket_ms + 31 * DAY_MS)
        return bucket_ms + self.length_ms


_ALL: Final = (
    Interval("1m", "candles_1m", MINUTE_MS),
    Interval("5m", "candles_5m", 5 * MINUTE_MS, "1m"),
    Interval("15m", "candles_15m", 15 * MINUTE_MS, "5m"),
    Interval("30m", "candles_30m", 30 * MINUTE_MS, "15m"),
    Interval("1h", "candles_1h", 60 * MINUTE_MS, "30m"),
    Interval("4h", "candles_4h", 240 * MINUTE_MS, "1h"),
    Interval("1d", "candles_1d", DAY_MS, "4h"),
    Interval("1w", "candles_1w", _WEEK_MS, "1d"),
    Interval("1M", "candles_1mo", 31 * DAY_MS, "1d"),
)

INTERVALS: Final[Mapping[str, Interval]] = MappingProxyType({one.name: one for one in _ALL})
MINUTES: Final = INTERVALS["1m"]
DAYS: Final = INTERVALS["1d"]
