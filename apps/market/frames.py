"""The frames that sockets get: each price is encoded once, and each text made and framed once per set of subscribers.

Who gets which of them, and when, is broadcaster.py's affair.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from apps.common.direct_socket import framed
from apps.market.candles.live import CandleKey
from apps.market.prices import PriceBook
from apps.market.selectors import instruments_by_symbol, instruments_known
from engine.values import SourceClass, TradingMode, text_from_scaled

# Set of symbols; None: all of them.
Symbols = frozenset[str] | None


class Shared:
    """A text that several sockets get; framed once, when the first of them is written to directly."""

    __slots__ = ("_framed", "text")

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self._framed = b""

    def framed(self) -> bytes:
        """Return the text as a frame of the wire."""
        if not self._framed:
            self._framed = framed(self.text)
        return self._framed


class Fragments:
    """The newest price of each symbol as JSON text, encoded when it is first needed after a change."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._texts: dict[str, str] = {}

    def forget(self, symbols: Collection[str]) -> None:
        """Let these be encoded anew."""
        for symbol in symbols:
            self._texts.pop(symbol, None)

    def of(self, symbol: str) -> str:
        """Return the fragment of a symbol; empty when there is no price."""
        text = self._texts.get(symbol)
        if text is not None:
            return text
        info = instruments_by_symbol().get(symbol)
        quote = self._book.latest(symbol)
        if info is None or quote is None:
            return ""
        bid = text_from_scaled(quote.bid_ticks, info.price_decimals)
        ask = text_from_scaled(quote.ask_ticks, info.price_decimals)
        # Nothing here needs escaping: the symbol is one of ours, the rest are digits.
        text = self._texts[symbol] = f'["{symbol}","{bid}","{ask}",{quote.ts_us // 1000}]'
        return text


class Flush:
    """What has changed since the last flush, as frames that are made when the first socket needs them."""

    def __init__(
        self,
        number: int,
        *,
        fragments: Fragments,
        changed: frozenset[str],
        candles: Mapping[CandleKey, Sequence[str]],
        again: frozenset[CandleKey] = frozenset(),
    ) -> None:
        """Take the changed symbols, the changed rows of candles, and the candles whose past has changed."""
        self.number: Final = number
        self.changed: Final = changed
        self.candles: Final = candles
        self.again: Final = again
        self._fragments = fragments
        self._prices: dict[Symbols, Shared | None] = {}
        self._rows: dict[frozenset[CandleKey], Shared | None] = {}

    def share(self, symbols: Symbols) -> frozenset[str]:
        """Return which of these symbols (None: of all) have changed."""
        return self.changed if symbols is None else self.changed & symbols

    def prices_shared(self, symbols: Symbols) -> Shared | None:
        """Return the frame for everybody who subscribes to these symbols; None when none of them has changed."""
        if symbols not in self._prices:
            self._prices[symbols] = self.prices(self.share(symbols))
        return self._prices[symbols]

    def prices(self, symbols: Collection[str]) -> Shared | None:
        """Return a frame of exactly these symbols."""
        fragments = [text for symbol in sorted(symbols) if (text := self._fragments.of(symbol))]
        return self._frame("prices", fragments)

    def candles_shared(self, keys: frozenset[CandleKey]) -> Shared | None:
        """Return the frame for everybody who subscribes to these candles; None when none of them has changed."""
        if not (keys and (self.candles or self.again)):
            return None
        if keys not in self._rows:
            self._rows[keys] = self.rows(self.candles, keys, self.again)
        return self._rows[keys]

    def rows(
        self,
        rows: Mapping[CandleKey, Sequence[str]],
        keys: Collection[CandleKey],
        again: Collection[CandleKey],
    ) -> Shared | None:
        """Return a frame of those rows, and of those pasts to be asked for again, that belong to these candles."""
        told = [
            f'["{name}","{interval}"]'
            for name, interval in sorted(again)
            if (name, interval) in keys
        ]
        return self._frame(
            "candles",
            [row for key in sorted(rows) if key in keys for row in rows[key]],
            f',"again":[{",".join(told)}]' if told else "",
        )

    def _frame(self, channel: str, fragments: Sequence[str], more: str = "") -> Shared | None:
        if not (fragments or more):
            return None
        return Shared(f'{{"ch":"{channel}","n":{self.number},"d":[{",".join(fragments)}]{more}}}')


def status_frame(book: PriceBook) -> Shared:
    """Return the status frame: feed name, age of its last prices, whether any of them are not live, and what cannot be opened."""
    status = book.status()
    age_us = book.heard_age_us()
    serving = [] if status is None else [s for s in status.sources if s.symbols]
    # The one that serves most instruments gives the feed its name.
    main = max(serving, key=lambda source: source.symbols, default=None)
    body = {
        "ch": "status",
        "d": {
            "feed": main.name if main else None,
            "available": book.is_fed(),
            "simulated": any(source.source_class is not SourceClass.LIVE for source in serving),
            "ageMs": None if age_us is None else age_us // 1000,
            "sources": [
                {
                    "name": source.name,
                    "sourceClass": source.source_class.value,
                    "state": source.state,
                    "symbols": source.symbols,
                }
                for source in (status.sources if status else ())
            ],
            "modes": {
                info.symbol: info.trading_mode.value
                for info in instruments_known()
                if info.trading_mode is not TradingMode.OPEN
            },
        },
    }
    return Shared(msgspec.json.encode(body).decode())
