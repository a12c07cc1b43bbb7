"""What an account's open positions had gained at the end of each day, so that quiet days are valued like busy ones.

1. A day is valued at its close: the last bid and ask of its candle, which for a day that is not over is the newest quote.
2. An instrument without a candle on a day keeps its last close, for a week at most.
3. Where a price is missing altogether, the account has what it had after its last event (AccountDay), as the journal alone knows it.

So the figures follow from the read models and the candles, and a rebuild of the read models changes none.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from apps.common.clock import datetime_from_us, us_from_datetime
from apps.market import facade as market
from apps.market.facade import DayClose
from apps.trade import selectors
from apps.trade.models import ClosedTrade, Position
from engine.values import Direction

_DAY: Final = timedelta(days=1)


class DayValues:
    """The open positions of one account on each day of a span, and what they were worth."""

    def __init__(
        self, *, account_id: int, first: date, last: date, seq_max: int, today: date
    ) -> None:
        """Read what the days need; `seq_max` is the account's last event that counts."""
        start_us, end_us = _begin_us(first), _begin_us(last + _DAY)
        positions = selectors.positions_held(
            account_id=account_id, start_us=start_us, end_us=end_us, seq_max=seq_max
        )
        closings: dict[str, list[ClosedTrade]] = {}
        for row in selectors.closings_of(
            position_ids=[row.position_id for row in positions], seq_max=seq_max
        ):
            closings.setdefault(row.position_id, []).append(row)
        # By day: what was open at its end, and how much of it. Most positions live for less than a day and are in none.
        self._open: dict[date, list[tuple[Position, int]]] = {}
        for position in positions:
            for day, units in _held(position, closings.get(position.position_id, ()), first, last):
                self._open.setdefault(day, []).append((position, units))
        symbols = {row.symbol for row in positions}
        self._scales = selectors.symbol_scales(symbols=symbols)
        self._closes = {
            (close.symbol, close.day): close for close in market.day_closes(symbols, first, last)
        }
        if last >= today:
            self._closes |= {
                (quote.symbol, today): DayClose(
                    quote.symbol, today, quote.bid_ticks, quote.ask_ticks
                )
                for quote in map(market.quote_latest, symbols)
                if quote is not None
            }
        # The journal's own word, by day, with the last one before the span.
        self._stated = selectors.unrealised_by_day(account_id=account_id, last=last)

    def unrealised_micros(self, day: date) -> int:
        """Return what was open at the end of a day, valued at its close; micro-USD."""
        total = 0
        for position, units in self._open.get(day, ()):
            gained_ticks = self._gained_ticks(position, day)
            if gained_ticks is None:
                return self._stated_until(day)
            total += gained_ticks * units * self._scales[position.symbol]
        return total

    def _gained_ticks(self, position: Position, day: date) -> int | None:
        """Return the gain of one unit; None without a price or its scale."""
        if not self._scales.get(position.symbol):
            return None
        carried = (self._closes.get((position.symbol, day - _DAY * back)) for back in range(8))
        close = next((close for close in carried if close is not None), None)
        if close is None:
            return None
        if position.direction == Direction.LONG:
            return close.bid_ticks - position.entry_price_ticks
        return position.entry_price_ticks - close.ask_ticks

    def _stated_until(self, day: date) -> int:
        return next((micros for at, micros in reversed(self._stated) if at <= day), 0)


def _held(
    position: Position, closings: Sequence[ClosedTrade], first: date, last: date
) -> Iterator[tuple[date, int]]:
    """Yield the days of a span at whose end a position was open, with its units then; closings are oldest first."""
    units, waiting = position.quantity_units, list(closings)
    day = datetime_from_us(position.opened_at_us).date()
    while day <= last:
        while waiting and waiting[0].closed_at_us < _begin_us(day + _DAY):
            units -= waiting.pop(0).quantity_units
        if not units:
            return
        if day >= first:
            yield day, units
        day += _DAY


def _begin_us(day: date) -> int:
    return us_from_datetime(datetime.combine(day, time(), UTC))
