"""Our own share of the spread: added to each side of what the venue quotes."""

from typing import Final

from apps.market.feed.base import RawQuote
from apps.market.selectors import InstrumentInfo

_PPM: Final = 1_000_000


def with_markup(quote: RawQuote, info: InstrumentInfo) -> tuple[int, int]:
    """Return bid and ask with the instrument's markup, ticks.

    Rounding: each side moves by whole ticks, up, away from the mid. The bid stays at least one tick.
    """
    if not info.markup_ppm:
        return quote.bid_ticks, quote.ask_ticks
    double_mid = quote.bid_ticks + quote.ask_ticks
    step = -(-double_mid * info.markup_ppm // (2 * _PPM))
    return max(1, quote.bid_ticks - step), quote.ask_ticks + step
