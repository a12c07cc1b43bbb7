"""The newest prices in the memory of this process, fed by the feed's pub/sub: what screens and quick answers read.

Nothing here fills orders; the engine has its own quotes from the log. One reader task per process. The messages between feed and web
that engine/messages does not define stand here too.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Final

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from redis.asyncio import Redis

from apps.common.channel_reader import ChannelReader
from apps.common.errors import ServiceError
from apps.common.money import number_from_scaled
from apps.market.clock import WallClock
from apps.market.selectors import (
    InstrumentInfo,
    instrument_resolve,
    instruments,
    instruments_refresh,
)
from engine.messages.streams import PriceBatch, feed_status_key, prices_channel
from engine.values import SourceClass

logger = logging.getLogger(__name__)

# Without a word of the feed for this long there is no feed.
FEED_SILENCE_US: Final = 5_000_000
# Of GET /prices/latest.
LATEST_PARAMETERS: Final = ("symbols",)
# More names than instruments can be meant by nobody.
_SYMBOLS_CHARACTERS_MAX: Final = 4000


class FeedUnavailableError(ServiceError):
    """No prices have come in lately."""

    def __init__(self) -> None:
        super().__init__(
            "FEED_UNAVAILABLE",
            f"no prices have come in for {FEED_SILENCE_US // 1_000_000} s: try again soon",
            http_status=503,
            retry_after_s=2,
        )


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One source of the feed."""

    name: str
    source_class: SourceClass
    # "idle" (no instrument takes its class), "connecting", "live" or "unavailable".
    state: str
    # Why it is unavailable.
    reason: str = ""
    # How many instruments it serves now.
    symbols: int = 0
    accepted: int = 0
    # Quotes that were not passed on, by reason.
    refusals: dict[str, int] = {}


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The feed's state; published each second, also when there are no prices."""

    # When the feed said so, microseconds.
    at_us: int
    # Start number of the feed and how many entries it has written into the log since.
    epoch: int = 0
    sequence: int = 0
    # Whether the log took the last entry.
    is_log_reachable: bool = True
    sources: tuple[SourceStatus, ...] = ()
    # How far the log's clock is ahead of the feed's, by the last entry; beyond two seconds somebody's clock is wrong.
    clock_skew_us: int = 0
    # Instruments that no source of their class serves.
    unserved: tuple[str, ...] = ()
    # Instruments whose last quote is too old to fill on.
    stale: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LatestQuote:
    """The newest quote of one instrument."""

    symbol: str
    bid_ticks: int
    ask_ticks: int
    # Time of the quote at the feed, microseconds.
    ts_us: int
    source: str
    source_class: SourceClass


PriceListener = Callable[[Collection[str]], None]

_batch_decoder = msgspec.json.Decoder(PriceBatch)
_status_decoder = msgspec.json.Decoder(FeedStatus)


class PriceBook:
    """The newest quote per symbol and the feed's state. Read from any thread; written by one task."""

    def __init__(self, *, redis_url: str, prefix: str, now_us: Callable[[], int]) -> None:
        """Take the place of the pub/sub; nothing is connected before start()."""
        self._status_key = feed_status_key(prefix)
        # The feed's state is told on a channel of the same name as the key that keeps it.
        self._reader = ChannelReader(
            redis_url,
            {prices_channel(prefix): self._take_prices, self._status_key: self._take_status},
            on_connected=self._connected,
            name="price-book",
        )
        self._now_us = now_us
        self._latest: dict[str, LatestQuote] = {}
        self._status: FeedStatus | None = None
        self._heard_us = 0
        self._listeners: list[PriceListener] = []

    async def start(self) -> None:
        """Begin to read; returns when the channel is subscribed to, or at once when the server is away."""
        await sync_to_async(instruments_refresh)()
        await self._reader.start()

    async def stop(self) -> None:
        """Stop reading."""
        await self._reader.stop()

    def listen(self, listener: PriceListener) -> None:
        """Call the listener with the symbols of each batch, on the reader's loop."""
        self._listeners.append(listener)

    def latest(self, symbol: str) -> LatestQuote | None:
        """Return the newest quote of a symbol, however old; None when there was none yet."""
        return self._latest.get(symbol)

    def all_latest(self) -> list[LatestQuote]:
        """Return the newest quotes of all symbols that have one."""
        return list(self._latest.values())

    def status(self) -> FeedStatus | None:
        """Return the feed's own word on itself, or None when it has said nothing yet."""
        return self._status

    def heard_age_us(self) -> int | None:
        """Return how long ago prices came in, microseconds; None when none ever did."""
        return max(0, self._now_us() - self._heard_us) if self._heard_us else None

    def is_fed(self) -> bool:
        """Return whether prices have come in lately."""
        age_us = self.heard_age_us()
        return age_us is not None and age_us <= FEED_SILENCE_US

    async def _connected(self, client: Redis) -> None:
        self._take_status(await client.get(self._status_key))

    def _take_prices(self, raw: bytes) -> None:
        try:
            batch = _batch_decoder.decode(raw)
        except msgspec.DecodeError:
            logger.warning("price batch unreadable")
            return
        self._heard_us = self._now_us()
        for quote in batch.quotes:
            self._latest[quote.symbol] = LatestQuote(
                quote.symbol,
                quote.bid_ticks,
                quote.ask_ticks,
                quote.ts_us,
                batch.source,
                batch.source_class,
            )
        symbols = [quote.symbol for quote in batch.quotes]
        for listener in self._listeners:
            listener(symbols)

    def _take_status(self, raw: bytes | str | None) -> None:
        if raw is None:
            return
        try:
            self._status = _status_decoder.decode(raw)
        except msgspec.DecodeError:
            logger.warning("feed status unreadable")


@cache
def price_book() -> PriceBook:
    """Return the price book of this process, as the settings place it."""
    return PriceBook(
        redis_url=settings.REDIS_URL, prefix=settings.STREAM_PREFIX, now_us=WallClock().now_us
    )


def latest_prices(symbols: str) -> list[dict[str, object]]:
    """Return the newest prices in the contract's shape: of symbols separated by commas, or of all.

    From memory alone, so that it may be asked on an event loop.
    Errors: SymbolUnknownError; FeedUnavailableError while no feed speaks.
    """
    book = price_book()
    asked = symbols[:_SYMBOLS_CHARACTERS_MAX]
    infos = [instrument_resolve(text) for text in asked.split(",")] if asked else instruments()
    if not book.is_fed():
        raise FeedUnavailableError
    now_us = WallClock().now_us()
    quotes = ((info, book.latest(info.symbol)) for info in dict.fromkeys(infos))
    return [_price(info, quote, now_us) for info, quote in quotes if quote is not None]


def _price(info: InstrumentInfo, quote: LatestQuote, now_us: int) -> dict[str, object]:
    age_us = max(0, now_us - quote.ts_us)
    # The middle, rounded down to a tick: nobody trades at it.
    mid_ticks = (quote.bid_ticks + quote.ask_ticks) // 2
    return {
        "asset": info.symbol,
        "price": number_from_scaled(mid_ticks, info.price_decimals),
        "bid": number_from_scaled(quote.bid_ticks, info.price_decimals),
        "ask": number_from_scaled(quote.ask_ticks, info.price_decimals),
        "decimal": info.price_decimals,
        "time": quote.ts_us // 1000,
        "source": quote.source,
        "sourceClass": quote.source_class.value,
        "simulated": quote.source_class is not SourceClass.LIVE,
        "ageMs": age_us // 1000,
        "stale": age_us > info.quote_age_us_max,
    }
