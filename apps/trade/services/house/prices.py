"""The prices that all accounts together are valued at: the newest that this process has heard, or that the journal has kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.market.facade import quotes_latest
from apps.trade.models import SymbolMark

# A relation of prices for statements that are given price_columns() as parameters.
PRICES_SQL: Final = """unnest(%(symbols)s::text[], %(bids)s::bigint[], %(asks)s::bigint[], %(scales)s::bigint[])
    AS price (symbol, bid, ask, k)"""


@dataclass(frozen=True, slots=True)
class HousePrice:
    """What an instrument is worth now."""

    symbol: str
    # Ticks: longs are closed at the bid, shorts at the ask.
    bid_ticks: int
    ask_ticks: int
    # Micro-USD per tick and unit.
    k: int
    # Time of the quote, microseconds.
    ts_us: int


def house_prices() -> Mapping[str, HousePrice]:
    """Return the newest price of every instrument that was ever traded, by symbol.

    A price in the journal is that of an instrument's last event; it counts where this process has heard no newer one.
    """
    found: dict[str, HousePrice] = {}
    # Of several shards the newest mark stays.
    for mark in SymbolMark.objects.filter(k__gt=0).order_by("ts_us", "shard", "symbol"):
        if mark.bid_ticks is not None and mark.ask_ticks is not None:
            found[mark.symbol] = HousePrice(
                mark.symbol, mark.bid_ticks, mark.ask_ticks, mark.k, mark.ts_us
            )
    for quote in quotes_latest():
        known = found.get(quote.symbol)
        if known is not None and quote.ts_us > known.ts_us:
            found[quote.symbol] = HousePrice(
                quote.symbol, quote.bid_ticks, quote.ask_ticks, known.k, quote.ts_us
            )
    return found


def price_columns(prices: Mapping[str, HousePrice]) -> dict[str, Any]:
    """Return the parameters of PRICES_SQL."""
    rows = [prices[symbol] for symbol in sorted(prices)]
    return {
        "symbols": [row.symbol for row in rows],
        "bids": [row.bid_ticks for row in rows],
        "asks": [row.ask_ticks for row in rows],
        "scales": [row.k for row in rows],
    }
