"""Prices and candles to every open socket of this process: conflated, encoded once, bounded for the slow.

How it works. The price book names the symbols that have changed, which wakes the flusher, unless it has flushed within the last tenth of
a second; then it waits for its turn:

1. Each changed symbol is encoded once, into a fragment.
2. Fragments are joined and framed once per distinct set of subscribed symbols; sockets with the same set share the bytes. Candles
   likewise.
3. The bytes are written to each socket at once, without a task: a thousand tasks ten times a second would be half a core. Where the
   server offers only ASGI's send, there is a task per socket and flush.
4. A socket that still has something to send, or has not acknowledged its last frames, is passed over: its changed symbols are
   remembered (symbols, not bytes), and it gets their newest prices when it is back. Passed over for 30 s, it is closed.

Frame numbers are the broadcaster's own, growing and shared; a socket sees gaps in them, never a repeat.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import cache
from typing import Final

from apps.common.cancellation import cancel_all
from apps.common.direct_socket import DirectSocket
from apps.market.candles.live import CandleKey, CandleLive, candle_live
from apps.market.frames import Flush, Fragments, Shared, status_frame
from apps.market.prices import PriceBook, price_book
from apps.market.selectors import instruments_known

logger = logging.getLogger(__name__)

# Ten times a second: feeds speak each 20 to 100 ms, and one that is some milliseconds early need not wait a whole turn.
FLUSH_SECONDS: Final = 0.09
# Sources speak one after the other, and what they say goes out together.
GATHER_SECONDS: Final = 0.004
# Sockets that were passed over, candles and the status are looked after even when no price moves.
LOOK_SECONDS: Final = 0.15
# Clients acknowledge every 500 ms at most: some 8 frames, plus the way there and back.
UNACKNOWLEDGED_MAX: Final = 32
STALLED_SECONDS: Final = 30.0
STATUS_SECONDS: Final = 2.0
# Between so many sockets, orders and answers of others get their turn: some milliseconds.
SOCKETS_PER_TURN: Final = 200

Send = Callable[[str], Awaitable[None]]
OnStalled = Callable[[], Awaitable[None]]


class Subscription:
    """One socket's share of the prices. Used on the broadcaster's loop only."""

    __slots__ = (
        "_broadcaster",
        "_direct",
        "_on_stalled",
        "_send",
        "again_backlog",
        "backlog",
        "candle_backlog",
        "candles",
        "is_closed",
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
        direct: DirectSocket | None,
    ) -> None:
        """Use Broadcaster.subscribe()."""
        self._broadcaster = broadcaster
        self._send = send
        self._direct = direct
        self._on_stalled = on_stalled
        self.is_closed = False
        # None: all of them.
        self.symbols = symbols
        # Symbols that changed while the socket was passed over, and those that it has never had.
        self.backlog: set[str] = set()
        # The same for candles.
        self.candles: frozenset[CandleKey] = frozenset()
        self.candle_backlog: set[CandleKey] = set()
        # Candles whose past changed while the socket was passed over.
        self.again_backlog: set[CandleKey] = set()
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
            if self.is_closed or key in self.candles:
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
            self.again_backlog.discard(key)
            self._broadcaster.live.unwatch(key)

    def close(self) -> None:
        """Send nothing any more."""
        if not self.is_closed:
            self.is_closed = True
            self._broadcaster.forget(self)
            for key in self.candles:
                self._broadcaster.live.unwatch(key)

    @property
    def is_ready(self) -> bool:
        """Return whether another frame may be sent."""
        if len(self.unacknowledged) >= UNACKNOWLEDGED_MAX:
            return False
        if self._direct is not None:
            return self._direct.is_clear()
        return self.sending is None or self.sending.done()

    def deliver(self, frames: Sequence[Shared]) -> None:
        """Send frames to a socket that is ready."""
        if self._direct is None:
            self.sending = asyncio.create_task(self._deliver_by_asgi(frames))
        elif len(frames) == 1:
            self._direct.write(frames[0].framed())
        else:
            self._direct.write(b"".join([frame.framed() for frame in frames]))

    async def _deliver_by_asgi(self, frames: Sequence[Shared]) -> None:
        """Send frames one after the other; a socket that cannot be sent to is forgotten."""
        try:
            for frame in frames:
                if not self.is_closed:
                    await self._send(frame.text)
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
        self._fragments = Fragments(book)
        self._frame = 0
        self._task: asyncio.Task[None] | None = None
        self._stalling: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        book.listen(self._on_changed)

    async def start(self) -> None:
        """Begin to send."""
        if self._task is None:
            # Of this loop; a former one may have ended.
            self._woken = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="price-broadcaster")

    async def stop(self) -> None:
        """Stop sending and forget every subscription."""
        if self._task is not None:
            await cancel_all((self._task,))
            self._task = None
        for subscription in list(self._subscriptions):
            subscription.close()

    def subscribe(
        self,
        send: Send,
        symbols: Collection[str] | None,
        *,
        on_stalled: OnStalled,
        direct: DirectSocket | None = None,
    ) -> Subscription:
        """Send the prices of these symbols (None: of all) from now on, the newest of each first.

        `send` takes one frame of JSON text; `direct`, where the server has it, is used instead. `on_stalled` is awaited when the
        client has been too slow for 30 s; the subscription is closed by then, and the owner closes the socket.
        """
        wanted = None if symbols is None else frozenset(symbols)
        subscription = Subscription(self, send, on_stalled, wanted, direct)
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

    def _on_changed(self, symbols: Collection[str]) -> None:
        self._changed.update(symbols)
        self._woken.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_turn = status_due = loop.time()
        status, known = self._book.status(), instruments_known()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._woken.wait()
            if self._changed:
                await asyncio.sleep(max(GATHER_SECONDS, next_turn - loop.time()))
            self._woken.clear()
            now = loop.time()
            if self._changed:
                next_turn = now + FLUSH_SECONDS
            is_news = self._book.status() is not status or instruments_known() is not known
            if now >= status_due or is_news:
                status, known = self._book.status(), instruments_known()
                status_due = now + STATUS_SECONDS
                for subscription in self._subscriptions:
                    subscription.wants_status = True
            for _some in self._flush_some(now):
                await asyncio.sleep(0)

    def flush(self, now: float) -> None:
        """Send what has changed to every socket that is ready; `now` is the loop's time in seconds."""
        for _some in self._flush_some(now):
            pass

    def _flush_some(self, now: float) -> Iterator[None]:
        """Flush, and yield after every so many sockets."""
        changed = frozenset(self._changed)
        self._changed.clear()
        self._fragments.forget(changed)
        self._frame += 1
        flush = Flush(
            self._frame,
            fragments=self._fragments,
            changed=changed,
            candles=self.live.changes_take(),
            again=self.live.again_take(),
        )
        status: Shared | None = None
        for number, subscription in enumerate(list(self._subscriptions), start=1):
            if subscription.is_closed:
                continue
            if not subscription.is_ready:
                self._pass_over(subscription, flush, now)
            else:
                subscription.passed_over_since = None
                frames = self._frames(subscription, flush)
                if frames:
                    subscription.unacknowledged.append(flush.number)
                if subscription.wants_status:
                    subscription.wants_status = False
                    status = status or status_frame(self._book)
                    frames.insert(0, status)
                if frames:
                    subscription.deliver(frames)
            if number % SOCKETS_PER_TURN == 0:
                yield

    def _frames(self, subscription: Subscription, flush: Flush) -> list[Shared]:
        """Return what a socket that is ready gets: what has changed, and what it has missed."""
        if subscription.backlog:
            mine = subscription.backlog | flush.share(subscription.symbols)
            subscription.backlog = set()
            prices = flush.prices(mine)
        else:
            prices = flush.prices_shared(subscription.symbols)
        if subscription.candle_backlog or subscription.again_backlog:
            newest = {key: self.live.newest(key) for key in subscription.candle_backlog}
            again = subscription.again_backlog | flush.again
            subscription.candle_backlog, subscription.again_backlog = set(), set()
            rows = flush.rows({**flush.candles, **newest}, subscription.candles, again)
        else:
            rows = flush.candles_shared(subscription.candles)
        return [frame for frame in (prices, rows) if frame is not None]

    def _pass_over(self, subscription: Subscription, flush: Flush, now: float) -> None:
        subscription.backlog |= flush.share(subscription.symbols)
        subscription.candle_backlog |= flush.candles.keys() & subscription.candles
        subscription.again_backlog |= flush.again & subscription.candles
        if subscription.passed_over_since is None:
            subscription.passed_over_since = now
        elif now - subscription.passed_over_since >= STALLED_SECONDS:
            task = asyncio.create_task(subscription.stall())
            self._stalling.add(task)
            task.add_done_callback(self._stalling.discard)


@cache
def broadcaster() -> Broadcaster:
    """Return the broadcaster of this process."""
    return Broadcaster(price_book(), candle_live())
