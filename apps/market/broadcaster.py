"""Prices and candles to every open socket of this process: conflated, encoded once, bounded for the slow.

How it works. The price book names the symbols that have changed; nothing is sent then. The flusher wakes 10 times a second:

1. Each changed symbol is encoded once, into a fragment.
2. Fragments are joined once per distinct set of subscribed symbols; sockets with the same set share the text. Candles likewise.
3. A socket that still sends, or has not acknowledged its last frames, is passed over: its changed symbols are remembered (symbols,
   not bytes), and it gets their newest prices when it is back. Passed over for 30 s, it is closed.

Frame numbers are the broadcaster's own, growing and shared; a socket sees gaps in them, never a repeat.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Final

import msgspec

from apps.common.cancellation import cancel_all
from apps.market.candles.live import CandleKey, CandleLive, candle_live
from apps.market.prices import PriceBook, price_book
from apps.market.selectors import instruments_by_symbol
from engine.values import SourceClass, text_from_scaled

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 1 / 10
# Clients acknowledge every 500 ms at most: some 8 frames, plus the way there and back.
UNACKNOWLEDGED_MAX: Final = 32
STALLED_SECONDS: Final = 30.0
STATUS_SECONDS: Final = 2.0

Send = Callable[[str], Awaitable[None]]
OnStalled = Callable[[], Awaitable[None]]


class Subscription:
    """One socket's share of the prices. Used on the broadcaster's loop only."""

    __slots__ = (
        "_broadcaster",
        "_is_closed",
        "_on_stalled",
        "_send",
        "backlog",
        "candle_backlog",
        "candles",
        "passed_over_since",
        "sending",
        "symbols",
        "unacknowledged",
        "wants_status",
    )

    def __init__(
        self,
        broadcaster: "Broadcaster",
        send: Send,
        on_stalled: OnStalled,
        symbols: frozenset[str] | None,
    ) -> None:
        """Use Broadcaster.subscribe()."""
        self._broadcaster = broadcaster
        self._send = send
        self._on_stalled = on_stalled
        self._is_closed = False
        # None: all of them.
        self.symbols = symbols
        # Symbols that changed while the socket was passed over, and those that it has never had.
        self.backlog: set[str] = set()
        # The same for candles.
        self.candles: frozenset[CandleKey] = frozenset()
        self.candle_backlog: set[CandleKey] = set()
        self.unacknowledged: deque[int] = deque()
        self.sending: asyncio.Task[None] | None = None
        self.passed_over_since: float | None = None
        self.wants_status = True

    def ack(self, frame: int) -> None:
        """Take the client's word that it has worked through all frames up to this one."""
        while self.unacknowledged and self.unacknowledged[0] <= frame:
            self.unacknowledged.popleft()

    def update(self, symbols: Collection[str] | None) -> None:
        """Subscribe to these symbols instead; the newest prices of the added ones follow."""
        before, self.symbols = self.symbols, None if symbols is None else frozenset(symbols)
        wanted = self._broadcaster.known(self.symbols)
        self.backlog &= wanted
        if before is not None:
            self.backlog |= wanted - before

    async def candles_add(self, key: CandleKey) -> None:
        """Subscribe to the candles of a symbol and interval, the newest first.

        Errors: CandlesUnavailableError.
        """
        if key not in self.candles:
            await self._broadcaster.live.watch(key)
            if self._is_closed or key in self.candles:
                # The socket has gone, or asked twice, while the candles were read.
                self._broadcaster.live.unwatch(key)
                return
            self.candles |= {key}
            self.candle_backlog.add(key)

    def candles_remove(self, key: CandleKey) -> None:
        """End the candles of a symbol and interval."""
        if key in self.candles:
            self.candles -= {key}
            self.candle_backlog.discard(key)
            self._broadcaster.live.unwatch(key)

    def close(self) -> None:
        """Send nothing any more."""
        if not self._is_closed:
            self._is_closed = True
            self._broadcaster.forget(self)
            for key in self.candles:
                self._broadcaster.live.unwatch(key)

    @property
    def is_ready(self) -> bool:
        """Return whether another frame may be sent."""
        is_sending = self.sending is not None and not self.sending.done()
        return not is_sending and len(self.unacknowledged) < UNACKNOWLEDGED_MAX

    async def deliver(self, texts: list[str]) -> None:
        """Send frames one after the other; a socket that cannot be sent to is forgotten."""
        try:
            for text in texts:
                if not self._is_closed:
                    await self._send(text)
        except Exception as error:  # noqa: BLE001 - any failure of a socket ends this subscription and nothing else
            logger.debug("price socket lost", extra={"error": type(error).__name__})
            self.close()

    async def stall(self) -> None:
        """Tell the owner that the client is too slow, once."""
        self.close()
        await self._on_stalled()


class Broadcaster:
    """All subscriptions to prices and candles of this process."""

    def __init__(self, book: PriceBook, live: CandleLive) -> None:
        """Take the book and the candles whose changes are sent; nothing runs before start()."""
        self._book = book
        self.live = live
        self._subscriptions: set[Subscription] = set()
        self._changed: set[str] = set()
        self._fragments: dict[str, str] = {}
        self._frame = 0
        self._task: asyncio.Task[None] | None = None
        self._stalling: set[asyncio.Task[None]] = set()
        book.listen(self._changed.update)

    async def start(self) -> None:
        """Begin to send."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="price-broadcaster")

    async def stop(self) -> None:
        """Stop sending and forget every subscription."""
        if self._task is not None:
            await cancel_all((self._task,))
            self._task = None
        for subscription in list(self._subscriptions):
            subscription.close()

    def subscribe(
        self, send: Send, symbols: Collection[str] | None, *, on_stalled: OnStalled
    ) -> Subscription:
        """Send the prices of these symbols (None: of all) from now on, the newest of each first.

        `send` takes one frame of JSON text. `on_stalled` is awaited when the client has been too slow for 30 s; the
        subscription is closed by then, and the owner closes the socket.
        """
        wanted = None if symbols is None else frozenset(symbols)
        subscription = Subscription(self, send, on_stalled, wanted)
        subscription.backlog = self.known(wanted)
        self._subscriptions.add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Drop a subscription; its socket is gone."""
        self._subscriptions.discard(subscription)

    def known(self, symbols: frozenset[str] | None) -> set[str]:
        """Return those of the symbols (None: of all) that have a price."""
        every = {quote.symbol for quote in self._book.all_latest()}
        return every if symbols is None else every & symbols

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = status_due = loop.time()
        status = self._book.status()
        while True:
            now = loop.time()
            if now >= status_due or self._book.status() is not status:
                status = self._book.status()
                status_due = now + STATUS_SECONDS
                for subscription in self._subscriptions:
                    subscription.wants_status = True
            self.flush(now)
            due = max(due + FLUSH_SECONDS, now)
            await asyncio.sleep(due - loop.time())

    def flush(self, now: float) -> None:
        """Send what has changed to every socket that is ready; `now` is the loop's time in seconds."""
        changed = frozenset(self._changed)
        self._changed.clear()
        for symbol in changed:
            self._fragments.pop(symbol, None)
        candles = self.live.changes_take()
        changed_candles = frozenset(candles)
        self._frame += 1
        prices_shared: dict[frozenset[str] | None, str] = {}
        candles_shared: dict[frozenset[CandleKey], str] = {}
        status_text = ""
        for subscription in list(self._subscriptions):
            symbols, keys = subscription.symbols, subscription.candles
            if not subscription.is_ready:
                subscription.backlog |= _share(changed, symbols)
                subscription.candle_backlog |= changed_candles & keys
                self._pass_over(subscription, now)
                continue
            subscription.passed_over_since = None
            texts = []
            if subscription.wants_status:
                subscription.wants_status = False
                status_text = status_text or _status_frame(self._book)
                texts.append(status_text)
            if subscription.backlog:
                mine = subscription.backlog | _share(changed, symbols)
                subscription.backlog = set()
                prices = self._frame_of(mine)
            else:
                if symbols not in prices_shared:
                    prices_shared[symbols] = self._frame_of(_share(changed, symbols))
                prices = prices_shared[symbols]
            rows = ""
            if subscription.candle_backlog:
                newest = {key: self.live.newest(key) for key in subscription.candle_backlog}
                subscription.candle_backlog = set()
                rows = self._candle_frame(candles | newest, keys)
            elif changed_candles and keys:
                if keys not in candles_shared:
                    candles_shared[keys] = self._candle_frame(candles, keys)
                rows = candles_shared[keys]
            frames = [text for text in (prices, rows) if text]
            if frames:
                subscription.unacknowledged.append(self._frame)
            if texts or frames:
                subscription.sending = asyncio.create_task(subscription.deliver(texts + frames))

    def _pass_over(self, subscription: Subscription, now: float) -> None:
        if subscription.passed_over_since is None:
            subscription.passed_over_since = now
        elif now - subscription.passed_over_since >= STALLED_SECONDS:
            task = asyncio.create_task(subscription.stall())
            self._stalling.add(task)
            task.add_done_callback(self._stalling.discard)

    def _frame_of(self, symbols: Collection[str]) -> str:
        fragments = [text for symbol in sorted(symbols) if (text := self._fragment(symbol))]
        if not fragments:
            return ""
        return f'{{"ch":"prices","n":{self._frame},"d":[{",".join(fragments)}]}}'

    def _candle_frame(
        self, fragments: Mapping[CandleKey, Sequence[str]], keys: Collection[CandleKey]
    ) -> str:
        rows = [row for key in sorted(fragments) if key in keys for row in fragments[key]]
        if not rows:
            return ""
        return f'{{"ch":"candles","n":{self._frame},"d":[{",".join(rows)}]}}'

    def _fragment(self, symbol: str) -> str:
        text = self._fragments.get(symbol)
        if text is not None:
            return text
        info = instruments_by_symbol().get(symbol)
        quote = self._book.latest(symbol)
        if info is None or quote is None:
            return ""
        bid = text_from_scaled(quote.bid_ticks, info.price_decimals)
        ask = text_from_scaled(quote.ask_ticks, info.price_decimals)
        # Nothing here needs escaping: the symbol is one of ours, the rest are digits.
        text = self._fragments[symbol] = f'["{symbol}","{bid}","{ask}",{quote.ts_us // 1000}]'
        return text


@cache
def broadcaster() -> Broadcaster:
    """Return the broadcaster of this process."""
    return Broadcaster(price_book(), candle_live())


def _share(changed: frozenset[str], symbols: frozenset[str] | None) -> frozenset[str]:
    return changed if symbols is None else changed & symbols


def _status_frame(book: PriceBook) -> str:
    """Return the status frame: feed name, age of its last prices, and whether any of them are not live."""
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
        },
    }
    return msgspec.json.encode(body).decode()
