"""What a price source is: the interface, and the exact way from a venue's text to ticks.

No source knows the log, Redis or the database; service.py puts them together.
"""

from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from apps.market.selectors import InstrumentInfo
from engine.values import SourceClass, scaled_from_text

# Enough for every venue; a longer text is not a price.
VENUE_DECIMALS_MAX: Final = 18


@dataclass(frozen=True, slots=True)
class RawQuote:
    """One quote as a source states it, before the guards."""

    symbol: str
    # Prices in ticks.
    bid_ticks: int
    ask_ticks: int
    # Source time moved to the feed's clock, microseconds.
    ts_us: int
    # The venue's own number of the update, growing per symbol; 0 where the venue has none.
    venue_sequence: int = 0


class SourceUnavailableError(Exception):
    """The source cannot serve now; the message says why. The service tries it again later."""


class Source(Protocol):
    """One origin of quotes. A source is started again by calling quotes() anew."""

    @property
    def name(self) -> str:
        """Return the name that status, receipts and screens show, such as "binance"."""

    @property
    def source_class(self) -> SourceClass:
        """Return whether the prices are live, replayed or simulated."""

    @property
    def malformed(self) -> int:
        """Return how many messages of the venue could not be read."""

    async def open(self) -> Collection[str]:
        """Make contact and return the symbols that this source can serve.

        Errors: SourceUnavailableError when it cannot be reached or refuses.
        """

    def quotes(self, symbols: Collection[str]) -> AsyncGenerator[list[RawQuote], None]:
        """Yield batches of quotes of these symbols until cancelled; an empty batch is a sign of life.

        A transient loss of contact is the source's own affair. Errors: SourceUnavailableError when it is lost for good.
        """

    def is_live(self, symbol: str) -> bool:
        """Return whether the connection that carries the symbol is alive, so that silence means "unchanged"."""

    def close(self) -> None:
        """Write down what a later start goes on from."""


class DecimalsError(ValueError):
    """A venue's text is not a price."""


def ticks_from_text(text: str, decimals: int, *, round_up: bool, shift: int = 0) -> int:
    """Convert a venue's plain decimal text, times 10^shift, to ticks of 10^-decimals.

    Rounding: exact where the venue has no more decimals than the instrument; else down (a bid) or up (an ask), so a rounded
    quote is never better for the client than the venue's.
    Errors: DecimalsError for anything that is not plain decimal text of at most 18 decimals.
    """
    try:
        scaled = scaled_from_text(text, VENUE_DECIMALS_MAX)
    except ValueError as error:
        raise DecimalsError(str(error)) from error
    surplus = 10 ** (VENUE_DECIMALS_MAX - decimals - shift)
    return -(-scaled // surplus) if round_up else scaled // surplus


def quote_around(price_ticks: int, spread_ticks: int) -> tuple[int, int]:
    """Return bid and ask around a price that has no sides, such as a candle's.

    Rounding: the odd tick of the spread lies above the price. The bid is at least one tick.
    """
    bid_ticks = max(1, price_ticks - spread_ticks // 2)
    return bid_ticks, bid_ticks + spread_ticks


def instruments_for(
    symbols: Collection[str], instruments: Mapping[str, InstrumentInfo]
) -> list[InstrumentInfo]:
    """Return the instruments of these symbols in the order of lists, so that a seed always means the same path."""
    return sorted((instruments[symbol] for symbol in symbols), key=lambda info: info.rank)
