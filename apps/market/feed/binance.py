"""Best bid and ask of Binance: its spot market, from the hosts for public data (no key, no geo-block), or its USD-M futures.

`open` reads all books once by REST: that tells which instruments the venue has, and gives quiet ones their first quote. Then one
WebSocket per 200 streams. A quote has the time of its arrival, since the spot stream carries none of the venue.

A coin that is no longer traded falls silent on a living connection, which otherwise means "unchanged". So the venue is asked every
five minutes what it trades, and the silence of anything else is not confirmed.
"""

import asyncio
import http.client
import logging
import random
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from apps.common.cancellation import cancel_all
from apps.market.clock import Clock
from apps.market.feed.base import (
    DecimalsError,
    RawQuote,
    SourceUnavailableError,
    instruments_for,
    ticks_from_text,
)
from apps.market.feed.binance_wire import (
    SPOT,
    UNREADABLE,
    Book,
    Venue,
    books_decoder,
    frame_decoder,
    symbols_decoder,
)
from apps.market.feed.rest import ask_well
from apps.market.selectors import InstrumentInfo
from engine.values import SourceClass

logger = logging.getLogger(__name__)

_TRADING: Final = "TRADING"
_FRAME_BYTES_MAX: Final = 64 * 1024
_STREAMS_PER_CONNECTION: Final = 200
# Frames are gathered for this long before they are passed on; the last quote of a symbol wins.
_GATHER_SECONDS: Final = 0.02
_HTTP_SERVER_ERROR: Final = 500
# The venue quotes a thousand of the cheapest coins under the coin's own name.
_THOUSAND: Final = "1000"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the adapter waits for what, seconds."""

    # For contact: TCP, TLS, handshake, and each read of the answer by REST.
    connect: float = 3.0
    # For the whole answer by REST, name resolution included.
    answer: float = 6.0
    # A connection without a readable frame for this long is dropped and made anew.
    silence: float = 5.0
    # Without a readable frame for this long the venue is given up; the service asks again later.
    lost: float = 20.0
    # First and longest pause before a new connection, drawn between half and all of it.
    pause: float = 0.5
    pause_max: float = 10.0
    # The venue cuts a connection after 24 hours: before that, a new one takes over while the old one still speaks.
    rotation: float = 23 * 3600.0
    # Between two questions what the venue trades.
    review: float = 300.0


@dataclass(frozen=True, slots=True)
class _Listing:
    """How the venue lists one instrument."""

    instrument: InstrumentInfo
    # The venue's price times 10^shift is ours.
    shift: int


@dataclass(slots=True)
class _Connection:
    """One WebSocket and the streams that it carries, by the venue's names."""

    venue_names: tuple[str, ...]
    is_alive: bool = False
    last_frame: float = 0.0


@dataclass(slots=True)
class _Gathered:
    """Quotes that arrived since the last batch, the newest of each symbol."""

    quotes: dict[str, RawQuote] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class BinanceSource:
    """The venue's best bid and ask for every instrument that it lists."""

    source_class = SourceClass.LIVE

    def __init__(
        self,
        *,
        instruments: Mapping[str, InstrumentInfo],
        clock: Clock,
        venue: Venue = SPOT,
        patience: Patience | None = None,
    ) -> None:
        """Take the instruments to look for, and where."""
        self.name = venue.name
        self.malformed = 0
        self._venue = venue
        self._instruments = instruments
        self._clock = clock
        self._stream_url = venue.stream_url
        self._rest_url = venue.rest_url
        self._patience = patience or Patience()
        self._listings: dict[str, _Listing] = {}
        self._first_quotes: dict[str, RawQuote] = {}
        self._connections: list[_Connection] = []
        self._connection_by_symbol: dict[str, _Connection] = {}
        # Symbols that the venue does not trade now.
        self._suspended: frozenset[str] = frozenset()

    async def open(self) -> Collection[str]:
        """Read all books once and return the symbols that the venue quotes.

        Errors: SourceUnavailableError when the venue cannot be reached in time, refuses, or answers what is not books.
        """
        try:
            raw = await asyncio.wait_for(
                asyncio.to_thread(
                    ask_well, self._rest_url, self._venue.books_path, timeout=self._patience.connect
                ),
                self._patience.answer,
            )
            books = {book.symbol: book for book in books_decoder.decode(raw)}
        except (OSError, TimeoutError, http.client.HTTPException, *UNREADABLE) as error:
            message = f"no contact with {self._rest_url}: {type(error).__name__}"
            raise SourceUnavailableError(message) from error
        self._listings.clear()
        self._first_quotes.clear()
        now_us = self._clock.now_us()
        for info in self._instruments.values():
            venue_name, listing = _listing_of(info, books)
            book = books.get(venue_name)
            quote = book and self._quote(listing, book.bid, book.ask, now_us, 0)
            # The venue keeps delisted symbols with empty books.
            if quote and quote.bid_ticks > 0:
                self._listings[venue_name] = listing
                self._first_quotes[info.symbol] = quote
        return tuple(self._first_quotes)

    async def quotes(self, symbols: Collection[str]) -> AsyncGenerator[list[RawQuote], None]:
        """Yield what the venue says, gathered over 20 ms; silence of 20 s ends it."""
        gathered = _Gathered()
        venue_name_of = {
            listing.instrument.symbol: name for name, listing in self._listings.items()
        }
        wanted = [
            info.symbol
            for info in instruments_for(symbols, self._instruments)
            if info.symbol in venue_name_of
        ]
        first, self._first_quotes = self._first_quotes, {}
        yield [first[symbol] for symbol in wanted if symbol in first]
        self._connections = [
            _Connection(
                tuple(venue_name_of[s] for s in wanted[start : start + _STREAMS_PER_CONNECTION])
            )
            for start in range(0, len(wanted), _STREAMS_PER_CONNECTION)
        ]
        self._connection_by_symbol = {
            self._listings[name].instrument.symbol: connection
            for connection in self._connections
            for name in connection.venue_names
        }
        tasks = [asyncio.create_task(self._carry(c, gathered)) for c in self._connections]
        tasks.append(asyncio.create_task(self._review()))
        try:
            while True:
                arrived = asyncio.create_task(gathered.arrived.wait())
                await asyncio.wait((arrived, *tasks), return_when=asyncio.FIRST_COMPLETED)
                arrived.cancel()
                for task in tasks:
                    if task.done():
                        # Ends only by an error: the venue is lost for good.
                        task.result()
                await asyncio.sleep(_GATHER_SECONDS)
                gathered.arrived.clear()
                batch, gathered.quotes = list(gathered.quotes.values()), {}
                yield batch
        finally:
            await cancel_all(tasks)

    def is_live(self, symbol: str) -> bool:
        """Return whether the symbol is traded and its connection has spoken within the patience for silence."""
        connection = self._connection_by_symbol.get(symbol)
        return connection is not None and connection.is_alive and symbol not in self._suspended

    def close(self) -> None:
        """Nothing is kept: the venue knows its prices."""

    async def _review(self) -> None:
        """Ask again and again what the venue trades; while it does not answer, what was known holds."""
        while True:
            try:
                raw = await asyncio.to_thread(
                    ask_well,
                    self._rest_url,
                    self._venue.symbols_path,
                    timeout=self._patience.answer,
                )
                stated = {one.symbol: one.status for one in symbols_decoder.decode(raw).symbols}
            except (OSError, http.client.HTTPException, *UNREADABLE) as error:
                logger.info("the venue does not say what it trades", extra={"error": repr(error)})
            else:
                self._suspended = frozenset(
                    listing.instrument.symbol
                    for name, listing in self._listings.items()
                    if stated.get(name) != _TRADING
                )
            await asyncio.sleep(self._patience.review)

    async def _carry(self, connection: _Connection, gathered: _Gathered) -> None:
        """Keep one connection up; return never, raise SourceUnavailableError when it is lost."""
        loop = asyncio.get_running_loop()
        patience = self._patience
        connection.last_frame = loop.time()
        pause = patience.pause
        while True:
            frames_since = connection.last_frame
            try:
                await self._listen_in_turns(connection, gathered)
            except InvalidStatus as error:
                status = error.response.status_code
                if status < _HTTP_SERVER_ERROR:
                    message = f"{self._stream_url} refuses with status {status}"
                    raise SourceUnavailableError(message) from error
            except (OSError, TimeoutError, WebSocketException) as error:
                logger.info("feed connection lost", extra={"error": type(error).__name__})
            finally:
                connection.is_alive = False
            if loop.time() - connection.last_frame > patience.lost:
                message = f"no quote from {self._stream_url} for {patience.lost:g} s"
                raise SourceUnavailableError(message)
            if connection.last_frame > frames_since:
                pause = patience.pause
            # Jitter, so that many installations do not come back in the same instant.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            pause = min(2 * pause, patience.pause_max)

    async def _listen_in_turns(self, connection: _Connection, gathered: _Gathered) -> None:
        """Read frames; before the venue's limit of 24 hours, let a new socket take over as soon as it speaks."""
        tasks = [asyncio.create_task(self._listen(connection, gathered, asyncio.Event()))]
        try:
            while True:
                # Jitter, so that several sockets do not turn over in the same instant.
                pause = self._patience.rotation * random.uniform(0.95, 1.0)  # noqa: S311 - not a secret
                await asyncio.wait(tasks, timeout=pause)
                if not tasks[0].done():
                    spoke = asyncio.Event()
                    tasks.append(asyncio.create_task(self._listen(connection, gathered, spoke)))
                    heard = asyncio.create_task(spoke.wait())
                    await asyncio.wait(
                        (heard, *tasks),
                        timeout=self._patience.lost,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    await cancel_all((heard,))
                    # The one that does not speak goes.
                    gone = tasks.pop(0 if spoke.is_set() else 1)
                    if not gone.done():
                        await cancel_all((gone,))
                if tasks[0].done():
                    await tasks[0]
                    return
                connection.is_alive = True
        finally:
            await cancel_all(tasks)

    async def _listen(
        self, connection: _Connection, gathered: _Gathered, spoke: asyncio.Event
    ) -> None:
        """Read frames until the connection ends or falls silent; `spoke` is set by the first quote."""
        loop = asyncio.get_running_loop()
        streams = "/".join(f"{name.lower()}@bookTicker" for name in connection.venue_names)
        async with connect(
            f"{self._stream_url}/stream?streams={streams}",
            open_timeout=self._patience.connect,
            close_timeout=1,
            max_size=_FRAME_BYTES_MAX,
            compression=None,
        ) as socket:
            async with asyncio.timeout(self._patience.silence) as silence:
                while True:
                    quote = self._quote_from(await socket.recv(decode=False))
                    if quote is None:
                        # Garbage is no sign of life: the time-out goes on.
                        continue
                    connection.is_alive = True
                    connection.last_frame = loop.time()
                    spoke.set()
                    silence.reschedule(connection.last_frame + self._patience.silence)
                    gathered.quotes[quote.symbol] = quote
                    gathered.arrived.set()

    def _quote_from(self, frame: bytes) -> RawQuote | None:
        """Read one frame; None when it is not a quote of a symbol that was asked for."""
        try:
            ticker = frame_decoder.decode(frame).data
        except UNREADABLE:
            self.malformed += 1
            return None
        listing = self._listings.get(ticker.s)
        if listing is None:
            self.malformed += 1
            return None
        return self._quote(listing, ticker.b, ticker.a, self._clock.now_us(), ticker.u)

    def _quote(
        self, listing: _Listing, bid: str, ask: str, now_us: int, sequence: int
    ) -> RawQuote | None:
        decimals = listing.instrument.price_decimals
        try:
            bid_ticks = ticks_from_text(bid, decimals, round_up=False, shift=listing.shift)
            ask_ticks = ticks_from_text(ask, decimals, round_up=True, shift=listing.shift)
        except DecimalsError:
            self.malformed += 1
            return None
        return RawQuote(listing.instrument.symbol, bid_ticks, ask_ticks, now_us, sequence)


def _listing_of(info: InstrumentInfo, books: Mapping[str, Book]) -> tuple[str, _Listing]:
    """Return the venue's name of an instrument and the listing under it."""
    if info.symbol not in books and info.base.startswith(_THOUSAND):
        return info.symbol.removeprefix(_THOUSAND), _Listing(info, shift=3)
    return info.symbol, _Listing(info, shift=0)
