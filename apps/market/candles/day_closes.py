"""Where each day closed: bid and ask of each instrument at the end of each day (UTC), from the stored candles of a day."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from django.db import connection

from apps.market.candles.intervals import DAYS
from apps.market.candles.store import closes_sql

# A price that is older says nothing about a day.
_CARRIED: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DayClose:
    """The last quote of an instrument's day; ticks."""

    symbol: str
    day: date
    bid_ticks: int
    ask_ticks: int


def day_closes(symbols: Collection[str], first: date, last: date) -> list[DayClose]:
    """Return the closes of some instruments from a week before `first` until `last`, oldest first.

    A day without a candle has none; the week before is for whoever carries the last one on.
    """
    if not symbols:
        return []
    bounds = (_begin(first - _CARRIED), _begin(last + timedelta(days=1)))
    with connection.cursor() as cursor:
        cursor.execute(closes_sql(DAYS), (sorted(symbols), *bounds))
        return [
            # The mid is kept as the sum of both.
            DayClose(symbol, at.astimezone(UTC).date(), bid_ticks, mid_ticks - bid_ticks)
            for symbol, at, bid_ticks, mid_ticks in cursor.fetchall()
        ]


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
