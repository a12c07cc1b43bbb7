"""How much clients hold in each instrument and book, at what it is worth now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apps.trade.services.house.prices import HousePrice, house_prices
from apps.trade.services.house.sums import sums_read
from engine.values import AccountKind

# First by account, so that accounts are counted without sorting. Sums of quantity x price are wider than BIGINT; PostgreSQL gives NUMERIC
# for them, without a fraction.
_SQL: Final = """
WITH held AS (
    SELECT account, symbol, count(*) AS positions, sum(margin_micros) AS margin,
        sum(open_units) FILTER (WHERE direction = 'long') AS longs,
        sum(open_units) FILTER (WHERE direction = 'short') AS shorts,
        sum(open_units::numeric * entry_price_ticks) FILTER (WHERE direction = 'long') AS long_cost,
        sum(open_units::numeric * entry_price_ticks) FILTER (WHERE direction = 'short') AS short_cost
    FROM trade_position WHERE closed_at_us IS NULL GROUP BY account, symbol
)
SELECT h.symbol, a.kind, sum(h.positions), count(*), coalesce(sum(h.longs), 0), coalesce(sum(h.shorts), 0),
    coalesce(sum(h.long_cost), 0), coalesce(sum(h.short_cost), 0), sum(h.margin)
FROM held h JOIN trade_account a USING (account) GROUP BY h.symbol, a.kind ORDER BY h.symbol, a.kind"""


@dataclass(frozen=True, slots=True)
class BookExposure:
    """What the clients of one book hold in one instrument; money is None while the instrument has no price."""

    symbol: str
    book: AccountKind
    positions: int
    accounts: int
    # Units of the instrument.
    long_units: int
    short_units: int
    # Value at the closing prices, longs at the bid and shorts at the ask, micro-USD.
    long_micros: int | None
    short_micros: int | None
    # Unrealised P&L of the clients, before what closing costs; micro-USD. The house's is its opposite.
    unrealised_micros: int | None
    # Margin that the positions lock, micro-USD.
    margin_micros: int
    # The price that it is valued at.
    price: HousePrice | None

    @property
    def net_units(self) -> int:
        """Return longs less shorts, units."""
        return self.long_units - self.short_units

    @property
    def net_micros(self) -> int | None:
        """Return what the net quantity is worth at its closing price, micro-USD, negative for shorts."""
        return None if self.price is None else net_micros(self.price, self.net_units)

    @property
    def gross_micros(self) -> int | None:
        """Return the value of longs and shorts together, micro-USD."""
        if self.long_micros is None or self.short_micros is None:
            return None
        return self.long_micros + self.short_micros


def net_micros(price: HousePrice, units: int) -> int:
    """Return what a net quantity is worth at its closing price, micro-USD, with the sign of the quantity."""
    return units * (price.bid_ticks if units > 0 else price.ask_ticks) * price.k


def house_exposure(prices: Mapping[str, HousePrice] | None = None) -> tuple[BookExposure, ...]:
    """Return the exposure of every instrument and book with open positions, by symbol and book."""
    known = house_prices() if prices is None else prices
    return tuple(_row(known.get(row[0]), *row) for row in sums_read(_SQL))


def _row(
    price: HousePrice | None,
    symbol: str,
    kind: str,
    positions: int,
    accounts: int,
    long_units: int,
    short_units: int,
    long_cost: int,
    short_cost: int,
    margin_micros: int,
) -> BookExposure:
    longs, shorts = int(long_units), int(short_units)
    long_micros = short_micros = unrealised = None
    if price is not None:
        long_micros = longs * price.bid_ticks * price.k
        short_micros = shorts * price.ask_ticks * price.k
        cost_micros = (int(long_cost) - int(short_cost)) * price.k
        unrealised = long_micros - short_micros - cost_micros
    return BookExposure(
        symbol=symbol,
        book=AccountKind(kind),
        positions=int(positions),
        accounts=accounts,
        long_units=longs,
        short_units=shorts,
        long_micros=long_micros,
        short_micros=short_micros,
        unrealised_micros=unrealised,
        margin_micros=int(margin_micros),
        price=price,
    )
