"""The market as other apps see it: instruments, newest prices, the price stream, and what bootstrap needs.

Returns frozen values, never models. Start the stream once per web process, on its loop, before requests are served.
"""

from collections.abc import Collection, Iterator, Mapping

from apps.common.direct_socket import DirectSocket
from apps.common.outputs import Output
from apps.market import selectors, services
from apps.market.backfill.simulated import SimulatedHistory
from apps.market.broadcaster import OnStalled, Send, Subscription, broadcaster
from apps.market.candles.answers import interval_from
from apps.market.candles.day_closes import DayClose, day_closes
from apps.market.candles.diagnostics import candles_lag_ms
from apps.market.candles.lean import candles_app, candles_are_asked
from apps.market.candles.live import CandleKey, candle_live
from apps.market.candles.memory import candle_memory
from apps.market.candles.reader import candle_reader
from apps.market.candles.writer import CandleWriter
from apps.market.feed.classes import feeds_of_settings_check, source_classes_decide
from apps.market.feed.service import FeedService
from apps.market.feed.sources import FeedSettingError
from apps.market.financing import SwapRelay
from apps.market.prices import (
    LATEST_PARAMETERS,
    FeedStatus,
    FeedUnavailableError,
    LatestQuote,
    SourceStatus,
    latest_prices,
    price_book,
)
from apps.market.selectors import InstrumentInfo, SymbolUnknownError
from engine.messages.commands import DefineInstrument, SetPriceSource
from engine.messages.events import TradingModeSet
from engine.messages.streams import FIRST_LAYOUT
from engine.values import SourceClass, TradingMode

__all__ = [
    "LATEST_PARAMETERS",
    "CandleKey",
    "CandleWriter",
    "DayClose",
    "FeedService",
    "FeedSettingError",
    "FeedStatus",
    "FeedUnavailableError",
    "InstrumentInfo",
    "LatestQuote",
    "SimulatedHistory",
    "SourceStatus",
    "Subscription",
    "SwapRelay",
    "SymbolUnknownError",
    "candle_key",
    "candles_app",
    "candles_are_asked",
    "candles_lag_ms",
    "catalogue_install",
    "day_closes",
    "definition_commands",
    "definitions_heard",
    "feed_is_available",
    "feed_status",
    "feeds_of_settings_check",
    "instrument_get",
    "instruments",
    "instruments_by_symbol",
    "latest_prices",
    "price_source_class",
    "price_source_command",
    "price_source_record",
    "price_stream_start",
    "price_stream_stop",
    "prices_subscribe",
    "quote_latest",
    "quotes_latest",
    "source_classes_decide",
    "symbol_resolve",
    "trading_mode_record",
]


def instruments() -> tuple[InstrumentInfo, ...]:
    """Return all instruments in the order of lists."""
    return selectors.instruments()


def instruments_by_symbol() -> Mapping[str, InstrumentInfo]:
    """Return all instruments by symbol."""
    return selectors.instruments_by_symbol()


def instrument_get(text: str) -> InstrumentInfo:
    """Return the instrument that a spelling means (BTC, BTCUSDT, BTC_USDT, BTC/USDT, any case).

    Errors: SymbolUnknownError (400 SYMBOL_UNKNOWN).
    """
    return selectors.instrument_resolve(text)


def symbol_resolve(text: str) -> str:
    """Return the symbol that a spelling means; errors as instrument_get."""
    return selectors.instrument_resolve(text).symbol


def price_source_class(symbol: str) -> SourceClass | None:
    """Return the class of prices that an instrument takes; None before its first feed.

    Errors: SymbolUnknownError.
    """
    quote = price_book().latest(symbol)
    return quote.source_class if quote else selectors.instrument_resolve(symbol).source_class


def quote_latest(symbol: str) -> LatestQuote | None:
    """Return the newest quote of a symbol in this process, however old; None when there was none yet."""
    return price_book().latest(symbol)


def quotes_latest() -> list[LatestQuote]:
    """Return the newest quotes of all symbols that have one."""
    return price_book().all_latest()


def feed_status() -> FeedStatus | None:
    """Return the feed's own word on itself, a second old at most; None when it has said nothing yet."""
    return price_book().status()


def feed_is_available() -> bool:
    """Return whether prices have come in within the last seconds."""
    return price_book().is_fed()


async def price_stream_start() -> None:
    """Begin to receive prices and candles in this process and to send them to its sockets."""
    await price_book().start()
    await candle_reader().start()
    await candle_memory().start()
    await candle_live().start()
    await broadcaster().start()


async def price_stream_stop() -> None:
    """Stop sending and receiving."""
    await broadcaster().stop()
    await candle_live().stop()
    await candle_memory().stop()
    await candle_reader().stop()
    await price_book().stop()


def prices_subscribe(
    send: Send,
    symbols: Collection[str] | None,
    *,
    on_stalled: OnStalled,
    direct: DirectSocket | None = None,
) -> Subscription:
    """Send frames of the `prices`, `candles` and `status` channels to one socket (symbols None: all).

    Call ack(frame), update(symbols), candles_add(key), candles_remove(key) and close() on what is returned. `send` is awaited with
    the text of one frame, unless the server has a `direct` way to the socket; `on_stalled` when the client has fallen behind for
    30 s. On the loop of price_stream_start only.
    """
    return broadcaster().subscribe(send, symbols, on_stalled=on_stalled, direct=direct)


def candle_key(text: str) -> CandleKey:
    """Return the key of a candles channel, from text such as BTCUSDT:1m.

    Errors: SymbolUnknownError; ServiceError INVALID for an unknown interval.
    """
    symbol, _, interval = text.partition(":")
    return selectors.instrument_resolve(symbol).symbol, interval_from(interval).name


def catalogue_install() -> int:
    """Add the shipped instruments that the database lacks; return how many."""
    return services.catalogue_install()


def definition_commands(
    *, shards: int = 1, layout: int = FIRST_LAYOUT
) -> Iterator[DefineInstrument]:
    """Yield the commands that tell the engine every instrument; sending them again does nothing.

    `layout` is the number of the log's division into shards: the next one is told everything anew.
    Call source_classes_decide() first: an instrument without a source class is left out.
    """
    return services.definition_commands(shards=shards, layout=layout)


def trading_mode_record(*, symbol: str | None, trading_mode: TradingMode) -> None:
    """Record the trading mode that the engine has set for one instrument, or for all of them (None)."""
    services.trading_mode_record(symbol=symbol, trading_mode=trading_mode)


def definitions_heard(output: Output) -> None:
    """Take in what a command for everybody has done to the trading modes, before the database has it. On the gateway's loop."""
    modes = {e.symbol: e.trading_mode for e in output.events if isinstance(e, TradingModeSet)}
    if modes:
        selectors.trading_modes_note(modes)


def price_source_command(
    *, symbol: str | None, source_class: SourceClass, staff_id: int, reason: str
) -> SetPriceSource:
    """Return the command that lets an instrument (None: all of them) take prices of another class."""
    return services.price_source_command(
        symbol=symbol, source_class=source_class, staff_id=staff_id, reason=reason
    )


def price_source_record(*, symbol: str, source_class: SourceClass) -> None:
    """Record the class of prices that the engine takes for an instrument; the feed follows within seconds."""
    services.price_source_record(symbol=symbol, source_class=source_class)
