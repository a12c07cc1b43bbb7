"""Minutes in the making: the quotes of the log become candles here, in memory, whatever order they come in.

The builder knows which candles it has whole. One that it has not, because it is older than its memory, must be given to it
(`missing`, `give`) before its late quote is taken: that is how a late quote re-opens the candle that it belongs to.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from apps.market.candles.candle import SOURCE_OF_CLASS, Candle
from apps.market.candles.intervals import MINUTE_MS
from engine.messages.commands import UpdateQuotes

_MINUTE_US: Final = MINUTE_MS * 1000
# Quotes may be this much ahead of the entry that carries them, by the clocks of two machines.
AHEAD_US_MAX: Final = 2_000_000
# Older candles leave the memory once they are stored; a later quote fetches them again.
KEPT_MS: Final = 10 * MINUTE_MS

# A candle's symbol and beginning, ms.
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LogQuotes:
    """One entry of quotes, with the time of the entry, ms."""

    entry_ms: int
    message: UpdateQuotes


@dataclass(slots=True)
class CandleBuilder:
    """The minutes in the making of every symbol."""

    candles: dict[Key, Candle] = field(default_factory=dict)
    # Beginning of the newest candle of each symbol, stored ones included; a later one cannot exist yet.
    newest: dict[str, int] = field(default_factory=dict)
    # Candles that differ from what is stored, and from what has been told to the web.
    unstored: set[Key] = field(default_factory=set)
    untold: set[Key] = field(default_factory=set)
    # Quotes that claimed to be later than the entry that carried them.
    ahead: int = 0

    def missing(self, entries: Iterable[LogQuotes]) -> set[Key]:
        """Return the older candles that these quotes belong to and that are not in memory."""
        found = set()
        for entry in entries:
            for quote in entry.message.quotes:
                open_ms = _time_us(quote.ts_us, entry.entry_ms) // _MINUTE_US * MINUTE_MS
                key = quote.symbol, open_ms
                if open_ms <= self.newest.get(quote.symbol, -1) and key not in self.candles:
                    found.add(key)
        return found

    def give(self, asked: Collection[Key], found: Mapping[Key, Candle]) -> None:
        """Take stored candles into memory; those of `asked` that are not in `found` have never been."""
        for key in asked:
            if key in found:
                self.candles[key] = found[key]

    def take(self, entry: LogQuotes) -> None:
        """Take in the quotes of one entry. What `missing` names must have been given."""
        sources = SOURCE_OF_CLASS[entry.message.source_class]
        for quote in entry.message.quotes:
            ts_us = _time_us(quote.ts_us, entry.entry_ms)
            if ts_us != quote.ts_us:
                self.ahead += 1
            minute, offset_us = divmod(ts_us, _MINUTE_US)
            open_ms = minute * MINUTE_MS
            key = quote.symbol, open_ms
            candle = self.candles.get(key)
            if candle is None:
                self.candles[key] = Candle.of_quote(
                    open_ms, quote.bid_ticks, quote.ask_ticks, offset_us, sources
                )
                if open_ms > self.newest.get(quote.symbol, -1):
                    self.newest[quote.symbol] = open_ms
            else:
                candle.take(quote.bid_ticks, quote.ask_ticks, offset_us, sources)
            self.unstored.add(key)
            self.untold.add(key)

    def is_hot(self, key: Key) -> bool:
        """Return whether the candle is one of its symbol's newest, which every web process has in memory."""
        symbol, open_ms = key
        return open_ms > self.newest.get(symbol, -1) - KEPT_MS

    def forget_old(self) -> None:
        """Drop what is stored, told and no longer hot."""
        for key in list(self.candles):
            if not self.is_hot(key) and key not in self.unstored and key not in self.untold:
                del self.candles[key]


def _time_us(ts_us: int, entry_ms: int) -> int:
    """Return the time that counts: the quote's own, unless it cannot have been known when the entry was written."""
    entry_us = entry_ms * 1000
    return entry_us if ts_us > entry_us + AHEAD_US_MAX else ts_us
