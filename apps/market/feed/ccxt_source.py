"""Best bid and ask of any exchange that the ccxt library knows: `ccxt:<exchange>` in FEEDS, with the optional requirements-ccxt.txt.

Asked once a second by REST, in one request for all instruments, since that is what every exchange of the library has. Prices are
taken as the exchange's own decimal text: ccxt is told to keep numbers as they are written, so no float is on their way.
"""

import asyncio
import importlib
import logging
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.market.clock import Clock
from apps.market.feed.base import (
    DecimalsError,
    RawQuote,
    SourceUnavailableError,
    instruments_for,
    ticks_from_text,
)
from apps.market.selectors import InstrumentInfo
from engine.values import SourceClass

logger = logging.getLogger(__name__)

_QUOTE_CURRENCY: Final = "USDT"
# Exchanges quote a thousand of the cheapest coins under the coin's own name.
_THOUSAND: Final = "1000"


class CcxtSettingError(ValueError):
    """The library is not there, or does not know the exchange; the message says what to do."""


@dataclass(frozen=True, slots=True)
class CcxtPatience:
    """How long the adapter waits for what, seconds."""

    # Between two questions.
    poll: float = 1.0
    # For one answer.
    answer: float = 10.0
    # Without an answer for this long, silence does not mean "unchanged" any more.
    silence: float = 5.0
    # Without an answer for this long the exchange is given up; the service asks again later.
    lost: float = 20.0


@dataclass(frozen=True, slots=True)
class _Listing:
    """How the exchange lists one instrument."""

    instrument: InstrumentInfo
    # The exchange's price times 10^shift is ours.
    shift: int


def ccxt_module(exchange_id: str) -> Any:
    """Return the library, after making sure that it knows the exchange.

    Errors: CcxtSettingError.
    """
    try:
        # Only here: it is optional, and takes a second and 60 MB to load.
        module = importlib.import_module("ccxt.async_support")
    except ImportError as error:
        message = f"ccxt:{exchange_id} needs the optional library: pip install -r requirements-ccxt.txt ({error})"
        raise CcxtSettingError(message) from error
    if exchange_id not in module.exchanges:
        message = f"ccxt knows no exchange {exchange_id!r}: expected one such as kraken, okx, bybit"
        raise CcxtSettingError(message)
    return module


class CcxtSource:
    """One exchange's best bid and ask for every instrument that it lists against USDT."""

    source_class = SourceClass.LIVE

    def __init__(
        self,
        *,
        exchange_id: str,
        instruments: Mapping[str, InstrumentInfo],
        clock: Clock,
        config: Mapping[str, object] | None = None,
        patience: CcxtPatience | None = None,
    ) -> None:
        """Take the exchange by the library's name; `config` adds to what the library is given, such as other addresses.

        Errors: CcxtSettingError.
        """
        self.name = f"ccxt:{exchange_id}"
        self.malformed = 0
        self._module = ccxt_module(exchange_id)
        self._exchange_id = exchange_id
        self._config = {"number": str, "enableRateLimit": True, **(config or {})}
        self._instruments = instruments
        self._clock = clock
        self._patience = patience or CcxtPatience()
        # By the library's name of the market, such as BTC/USDT.
        self._listings: dict[str, _Listing] = {}
        self._markets: dict[str, Any] = {}
        self._first_quotes: dict[str, RawQuote] = {}
        self._answered: dict[str, float] = {}

    async def open(self) -> Collection[str]:
        """Read the exchange's markets and prices once and return the symbols that it quotes.

        Errors: SourceUnavailableError when it cannot be reached in time or refuses.
        """
        exchange = self._connect()
        try:
            self._markets = await asyncio.wait_for(exchange.load_markets(), self._patience.answer)
            self._listings = self._listings_of(self._markets)
            quotes = await self._ask(exchange, list(self._listings))
        except (self._module.BaseError, OSError, TimeoutError) as error:
            message = f"no contact with {self._exchange_id}: {type(error).__name__}"
            raise SourceUnavailableError(message) from error
        finally:
            await _leave(exchange)
        self._first_quotes = {quote.symbol: quote for quote in quotes}
        return tuple(self._first_quotes)

    async def quotes(self, symbols: Collection[str]) -> AsyncGenerator[list[RawQuote], None]:
        """Yield what the exchange answers, once a second; no answer for 20 s ends it."""
        market_of = {one.instrument.symbol: name for name, one in self._listings.items()}
        wanted = [
            info.symbol
            for info in instruments_for(symbols, self._instruments)
            if info.symbol in market_of
        ]
        first, self._first_quotes = self._first_quotes, {}
        yield [first[symbol] for symbol in wanted if symbol in first]
        loop = asyncio.get_running_loop()
        answered = loop.time()
        exchange = self._connect()
        exchange.set_markets(self._markets)
        try:
            while True:
                await asyncio.sleep(self._patience.poll)
                try:
                    batch = await self._ask(exchange, [market_of[symbol] for symbol in wanted])
                except (self._module.NetworkError, OSError, TimeoutError) as error:
                    logger.info(
                        "an exchange does not answer", extra={"error": type(error).__name__}
                    )
                    if loop.time() - answered > self._patience.lost:
                        message = f"no answer of {self._exchange_id} for {self._patience.lost:g} s"
                        raise SourceUnavailableError(message) from error
                    continue
                except self._module.BaseError as error:
                    message = f"{self._exchange_id} refuses: {type(error).__name__}"
                    raise SourceUnavailableError(message) from error
                answered = loop.time()
                self._answered |= {quote.symbol: answered for quote in batch}
                yield batch
        finally:
            self._answered.clear()
            await _leave(exchange)

    def is_live(self, symbol: str) -> bool:
        """Return whether the exchange has stated this symbol's price within the patience for silence."""
        answered = self._answered.get(symbol)
        now = asyncio.get_running_loop().time()
        return answered is not None and now - answered <= self._patience.silence

    def close(self) -> None:
        """Nothing is kept: the exchange knows its prices."""

    def _connect(self) -> Any:
        return getattr(self._module, self._exchange_id)(dict(self._config))

    def _listings_of(self, markets: Mapping[str, Any]) -> dict[str, _Listing]:
        active = {
            market["base"]: name
            for name, market in markets.items()
            if market.get("spot")
            and market.get("quote") == _QUOTE_CURRENCY
            and market.get("active") is not False
        }
        listings = {}
        for info in self._instruments.values():
            if info.base in active:
                listings[active[info.base]] = _Listing(info, shift=0)
            elif (base := info.base.removeprefix(_THOUSAND)) in active:
                listings[active[base]] = _Listing(info, shift=3)
        return listings

    async def _ask(self, exchange: Any, markets: list[str]) -> list[RawQuote]:
        if not markets:
            return []
        ask = (
            exchange.fetch_bids_asks
            if exchange.has.get("fetchBidsAsks")
            else exchange.fetch_tickers
        )
        tickers = await asyncio.wait_for(ask(markets), self._patience.answer)
        now_us = self._clock.now_us()
        quotes = (self._quote(name, tickers.get(name), now_us) for name in markets)
        return [quote for quote in quotes if quote is not None]

    def _quote(self, name: str, ticker: Mapping[str, Any] | None, now_us: int) -> RawQuote | None:
        bid, ask = (ticker or {}).get("bid"), (ticker or {}).get("ask")
        if bid is None or ask is None:
            # Not quoted now.
            return None
        listing = self._listings[name]
        decimals, shift = listing.instrument.price_decimals, listing.shift
        try:
            if not (isinstance(bid, str) and isinstance(ask, str)):
                message = f"expected decimal text, found {type(bid).__name__}"
                raise DecimalsError(message)  # noqa: TRY301 - one more way of not being a price
            bid_ticks = ticks_from_text(bid, decimals, round_up=False, shift=shift)
            ask_ticks = ticks_from_text(ask, decimals, round_up=True, shift=shift)
        except DecimalsError:
            self.malformed += 1
            return None
        if bid_ticks <= 0:
            # Exchanges keep delisted markets with empty books.
            return None
        return RawQuote(listing.instrument.symbol, bid_ticks, ask_ticks, now_us)


async def _leave(exchange: Any) -> None:
    # Only with its data cleared does the library close its HTTP session too.
    await exchange.close(clean_instance_data=True)
