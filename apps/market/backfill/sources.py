"""Minutes from a venue's public candles, page by page within its limits, and minutes from a tape file.

A venue's candle is made of trades. It is taken as the middle of the usual spread (docs/INSTRUMENTS.md, I3), as the replay does.
"""

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from apps.market.candles.candle import Candle, Sources
from apps.market.candles.intervals import MINUTE_MS
from apps.market.feed.base import DecimalsError, quote_around, ticks_from_text
from apps.market.feed.binance_wire import SPOT, UNREADABLE, USDM, Venue
from apps.market.feed.rest import HTTP_OK, Answer, ask
from apps.market.feed.tapes import tape_rows
from apps.market.selectors import InstrumentInfo

PAGE: Final = 1_000
# A file need not be asked for less than is best stored at once.
TAPE_PAGE: Final = 5_000
_TIMEOUT_SECONDS: Final = 10.0
# The venue counts weights (6,000 a minute on its spot market, 2,400 on its futures) and bans who goes on after that; others may
# use the same address.
_WEIGHT_MAX: Final = {SPOT.name: 4_000, USDM.name: 1_600}
_WEIGHT_HEADER: Final = "x-mbx-used-weight-1m"
_TOO_MANY: Final = 429
_BANNED: Final = 418
_TRIES: Final = 5
_PAUSE_MAX_SECONDS: Final = 120.0
_THOUSAND: Final = "1000"


class HistoryError(Exception):
    """History cannot be had from there; the message says why."""


class History(Protocol):
    """Where minutes can be had."""

    @property
    def name(self) -> str:
        """Return what is kept with each candle as its origin."""

    def pages(self, info: InstrumentInfo, since_ms: int, until_ms: int) -> Iterator[list[Candle]]:
        """Yield the minutes from one time to before another, in order. Errors: HistoryError."""


class _Kline(msgspec.Struct, frozen=True, array_like=True):
    """One candle of the venue; what follows the number of trades is not read."""

    open_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_ms: int
    quote_volume: str
    trades: int


_decoder: Final = msgspec.json.Decoder(list[_Kline])


@dataclass(slots=True)
class BinanceHistory:
    """The venue's one-minute candles: of its spot market or of its USD-M futures."""

    venue: Venue = SPOT
    # Other than the venue's own, for tests.
    rest_url: str = ""
    sleep: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        """Return what is kept with each candle as its origin."""
        return self.venue.name

    def pages(self, info: InstrumentInfo, since_ms: int, until_ms: int) -> Iterator[list[Candle]]:
        """Yield pages of at most a thousand minutes. Errors: HistoryError."""
        shift = 0
        symbol = info.symbol
        if self.venue is SPOT and info.base.startswith(_THOUSAND):
            # Spot lists a thousand of the cheapest coins under the coin's own name.
            symbol, shift = info.symbol.removeprefix(_THOUSAND), 3
        while since_ms < until_ms:
            path = (
                f"{self.venue.klines_path}?symbol={symbol}&interval=1m&startTime={since_ms}"
                f"&endTime={until_ms - 1}&limit={PAGE}"
            )
            klines = self._klines(path)
            if not klines:
                return
            yield [candle for one in klines if (candle := _candle_of(one, info, shift))]
            since_ms = klines[-1].open_ms + MINUTE_MS

    @property
    def _address(self) -> str:
        return self.rest_url or self.venue.rest_url

    def _klines(self, path: str) -> list[_Kline]:
        for attempt in range(1, _TRIES + 1):
            try:
                answer = ask(self._address, path, timeout=_TIMEOUT_SECONDS)
            except (OSError, http.client.HTTPException) as error:
                if attempt == _TRIES:
                    message = f"no contact with {self._address}: {type(error).__name__}"
                    raise HistoryError(message) from error
                self.sleep(2.0**attempt)
                continue
            if answer.status == _TOO_MANY:
                self.sleep(_wait_of(answer))
                continue
            return self._read(answer)
        message = "the venue goes on asking for patience"
        raise HistoryError(message)

    def _read(self, answer: Answer) -> list[_Kline]:
        if answer.status == _BANNED:
            message = f"the venue has banned this address for {_wait_of(answer):g} s"
            raise HistoryError(message)
        if answer.status != HTTP_OK:
            message = f"the venue answers with status {answer.status}"
            raise HistoryError(message)
        try:
            klines = _decoder.decode(answer.body)
        except UNREADABLE as error:
            message = f"the venue's answer is not candles: {error}"
            raise HistoryError(message) from error
        used = answer.headers.get(_WEIGHT_HEADER, "0")
        if used.isascii() and used.isdigit() and int(used) >= _WEIGHT_MAX[self.venue.name]:
            # Until its minute is over; what was read already is kept meanwhile.
            self.sleep(60.0)
        return klines


def binance_history(feeds: Sequence[str]) -> BinanceHistory:
    """Return the history of the market that the live prices come from: the first of Binance's among these feeds, else spot."""
    venues = [venue for text in feeds for venue in (SPOT, USDM) if text.strip() == venue.name]
    return BinanceHistory(venues[0] if venues else SPOT)


@dataclass(slots=True)
class TapeHistory:
    """The minutes of a tape file, CSV or Parquet, with a column of times."""

    path: Path

    @property
    def name(self) -> str:
        """Return what is kept with each candle as its origin."""
        return f"tape:{self.path.name}"

    def pages(self, info: InstrumentInfo, since_ms: int, until_ms: int) -> Iterator[list[Candle]]:
        """Yield pages of the tape. Errors: HistoryError."""
        page: list[Candle] = []
        for row in tape_rows(self.path):
            if row.time_ms is None:
                message = f"{self.path.name} has no column of times: timestamp or open_time"
                raise HistoryError(message)
            if since_ms <= row.time_ms < until_ms:
                prices = [
                    ticks_from_text(text, info.price_decimals, round_up=False)
                    for text in row.prices
                ]
                page.append(_candle_around(row.time_ms, prices, info, 0))
            if len(page) == TAPE_PAGE:
                yield page
                page = []
        if page:
            yield page


def _wait_of(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), _PAUSE_MAX_SECONDS) if text.isascii() and text.isdigit() else 30.0


def _candle_of(kline: _Kline, info: InstrumentInfo, shift: int) -> Candle | None:
    texts = (kline.open, kline.high, kline.low, kline.close)
    try:
        prices = [
            ticks_from_text(text, info.price_decimals, round_up=False, shift=shift)
            for text in texts
        ]
    except DecimalsError as error:
        message = f"the venue's candle has no price: {error}"
        raise HistoryError(message) from error
    # A minute without a trade may repeat a price of zero before the listing.
    return _candle_around(kline.open_ms, prices, info, kline.trades) if min(prices) > 0 else None


def _candle_around(open_ms: int, prices: Sequence[int], info: InstrumentInfo, count: int) -> Candle:
    if open_ms % MINUTE_MS:
        message = f"expected the beginning of a minute, found {open_ms} ms"
        raise HistoryError(message)
    bids, asks = zip(*(quote_around(price, info.spread_ticks) for price in prices), strict=True)
    opened, high, low, close = (bid + ask for bid, ask in zip(bids, asks, strict=True))
    return Candle(
        open_ms,
        *(bids[0], bids[1], bids[2], bids[3]),
        *(opened, high, low, close),
        asks[1],
        asks[2],
        count,
        int(Sources.BACKFILLED),
    )
