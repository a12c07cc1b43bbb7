"""One candle, in whole numbers: made of quotes, joined with others, and written as the API states it.

Prices of bid and ask are ticks, of the mid half ticks (bid + ask), so that nothing is ever rounded inside.
"""

from collections.abc import Iterable
from enum import IntFlag
from functools import cache
from typing import Final, Literal

import msgspec

from engine.values import SourceClass

PriceSide = Literal["bid", "mid"]


class Sources(IntFlag):
    """Where the quotes of a candle came from; a longer candle has them all."""

    LIVE = 1
    REPLAY = 2
    SIMULATED = 4
    BACKFILLED = 8


SOURCE_OF_CLASS: Final = {
    SourceClass.LIVE: Sources.LIVE,
    SourceClass.REPLAY: Sources.REPLAY,
    SourceClass.SIMULATED: Sources.SIMULATED,
}


class Candle(msgspec.Struct, array_like=True):
    """One candle; the columns of candles_1m in their order."""

    # When it begins, ms.
    open_ms: int
    bid_open: int
    bid_high: int
    bid_low: int
    bid_close: int
    mid_open: int
    mid_high: int
    mid_low: int
    mid_close: int
    ask_high: int
    ask_low: int
    # How many quotes it is made of: the tick volume.
    quotes: int
    # Sum of Sources.
    sources: int
    # Times of its first and last quote, microseconds from its beginning.
    first_us: int = 0
    last_us: int = 0

    @classmethod
    def of_quote(
        cls, open_ms: int, bid_ticks: int, ask_ticks: int, offset_us: int, sources: int
    ) -> "Candle":
        """Return the candle of a single quote."""
        mid = bid_ticks + ask_ticks
        return cls(
            open_ms,
            *(bid_ticks,) * 4,
            *(mid,) * 4,
            ask_ticks,
            ask_ticks,
            1,
            sources,
            offset_us,
            offset_us,
        )

    def take(self, bid_ticks: int, ask_ticks: int, offset_us: int, sources: int) -> None:
        """Take in one more quote of this minute; late ones find their place by their time.

        Of two quotes of the same microsecond, the later one in the log is the later one.
        """
        mid = bid_ticks + ask_ticks
        if bid_ticks > self.bid_high:
            self.bid_high = bid_ticks
        if bid_ticks < self.bid_low:
            self.bid_low = bid_ticks
        if mid > self.mid_high:
            self.mid_high = mid
        if mid < self.mid_low:
            self.mid_low = mid
        if ask_ticks > self.ask_high:
            self.ask_high = ask_ticks
        if ask_ticks < self.ask_low:
            self.ask_low = ask_ticks
        if offset_us >= self.last_us:
            self.last_us = offset_us
            self.bid_close, self.mid_close = bid_ticks, mid
        if offset_us < self.first_us:
            self.first_us = offset_us
            self.bid_open, self.mid_open = bid_ticks, mid
        self.quotes += 1
        self.sources |= sources

    def row(self, side: PriceSide, decimals: int) -> str:
        """Return the API's row as JSON text: time, open, high, low, close, tick volume.

        Rounding: none; a mid has one decimal more than the instrument's prices.
        """
        if side == "mid":
            # Half ticks times five are tenths of a tick.
            prices = [self.mid_open * 5, self.mid_high * 5, self.mid_low * 5, self.mid_close * 5]
            decimals += 1
        else:
            prices = [self.bid_open, self.bid_high, self.bid_low, self.bid_close]
        if not decimals:
            opened, high, low, close = prices
            return f'[{self.open_ms},"{opened}","{high}","{low}","{close}","{self.quotes}"]'
        # Prices are above zero, so that one template writes all four: answers have up to a thousand rows.
        scale = 10**decimals
        parts = [part for price in prices for part in divmod(price, scale)]
        return _row_template(decimals) % (self.open_ms, *parts, self.quotes)


@cache
def _row_template(decimals: int) -> str:
    price = f'"%d.%0{decimals}d"'
    return f'[%d,{price},{price},{price},{price},"%d"]'


def joined(open_ms: int, candles: Iterable[Candle]) -> Candle | None:
    """Return the candle that begins at `open_ms` and is made of these, in the order of time; None of none."""
    whole: Candle | None = None
    for one in candles:
        if whole is None:
            whole = msgspec.structs.replace(one, open_ms=open_ms)
            continue
        whole.bid_high = max(whole.bid_high, one.bid_high)
        whole.bid_low = min(whole.bid_low, one.bid_low)
        whole.bid_close = one.bid_close
        whole.mid_high = max(whole.mid_high, one.mid_high)
        whole.mid_low = min(whole.mid_low, one.mid_low)
        whole.mid_close = one.mid_close
        whole.ask_high = max(whole.ask_high, one.ask_high)
        whole.ask_low = min(whole.ask_low, one.ask_low)
        whole.quotes += one.quotes
        whole.sources |= one.sources
    return whole
