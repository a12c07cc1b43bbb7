"""A live engine with a real feed before it, which says what a test tells it to: the market as the whole platform meets it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from redis import Redis

from apps.market.clock import WallClock
from apps.market.feed.base import RawQuote
from apps.market.feed.pins import source_classes_pin
from apps.market.feed.publisher import Publisher
from apps.market.feed.service import FeedService
from apps.market.prices import FeedStatus
from engine.messages.codec import decode_events, decode_message
from engine.messages.commands import UpdateQuotes
from engine.messages.streams import IN_MESSAGE, feed_status_key
from engine.values import SourceClass
from tests.apps.live import SYMBOL, live_platform
from tests.integration.engine_log import wait_for

BID, ASK = 100_000, 100_010
ORDER = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}


class Hand:
    """A source that says what the test tells it to, from any thread."""

    name, source_class, malformed = "hand", SourceClass.SIMULATED, 0

    def __init__(self):
        self.loop = None
        self.queue = None

    async def open(self):
        if self.queue is None:
            self.loop, self.queue = asyncio.get_running_loop(), asyncio.Queue()
        return (SYMBOL,)

    async def quotes(self, _symbols):
        while True:
            yield await self.queue.get()

    def is_live(self, _symbol):
        return False

    def close(self):
        pass


class ShiftedClock(WallClock):
    """The feed's clock, which somebody may set wrong."""

    shift_us = 0

    def now_us(self):
        return super().now_us() + self.shift_us


class Platform:
    """A live engine with a feed before it."""

    def __init__(self, live, urls, prefix):
        self.live, self.hand = live, live.hand
        self.prefix = prefix
        log_url, redis_url = urls
        self.redis = Redis.from_url(redis_url)
        self.source, self.clock = Hand(), ShiftedClock()
        self.feed = FeedService(
            sources_build=lambda _instruments: [self.source],
            publisher=Publisher(
                log_redis_url=log_url,
                redis_url=redis_url,
                prefix=prefix,
                shards=1,
                monotonic=time.monotonic,
            ),
            batch_ms=100,
            clock=self.clock,
        )
        self.thread = threading.Thread(target=lambda: asyncio.run(self.feed.run()), name="feed")
        user, self.account = live.user()
        self.client = live.client(user)

    def start(self):
        self.thread.start()
        wait_for(lambda: self.source.queue is not None, "the feed")
        self.say(BID)
        self.hears(BID)

    def stop(self):
        self.feed.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.redis.close()

    def say(self, bid, ask=None):
        """State one quote, with the spread of a dollar unless another ask is given."""
        quote = RawQuote(SYMBOL, bid, bid + ASK - BID if ask is None else ask, self.clock.now_us())
        self._put([quote])

    def say_all(self, bids):
        """State quotes of these bids, one microsecond after the other."""
        now_us = self.clock.now_us() - len(bids)
        self._put(
            [RawQuote(SYMBOL, bid, bid + ASK - BID, now_us + at) for at, bid in enumerate(bids)]
        )

    def _put(self, batch):
        self.source.loop.call_soon_threadsafe(self.source.queue.put_nowait, batch)

    def entries(self):
        """Return (id, entry) of all quotes in the log."""
        raw = self.hand.redis.xrange(self.hand.input)
        found = ((at.decode(), decode_message(fields[IN_MESSAGE])) for at, fields in raw)
        return [(at, message) for at, message in found if isinstance(message, UpdateQuotes)]

    def hears(self, bid):
        """Wait until the log has this bid."""
        wait_for(lambda: any(e.quotes[0].bid_ticks == bid for _, e in self.entries()), f"bid {bid}")

    def status(self):
        raw = self.redis.get(feed_status_key(self.prefix))
        return msgspec.json.decode(raw, type=FeedStatus) if raw else None

    def refusals(self):
        status = self.status()
        return status.sources[0].refusals if status else {}

    def events(self, *kinds):
        """Return the engine's events of these kinds, in order."""
        found = (e for _, fields in self.hand.outputs() for e in decode_events(fields.events))
        return [event for event in found if isinstance(event, kinds)]

    def create(self, **changes):
        return self.client.post("/api/v1/trade/create", ORDER | changes)

    def close(self, order_id):
        return self.client.post("/api/v1/trade/close", {"orderId": order_id})


@contextmanager
def platform_with_feed(
    prefix: str, log_redis_url: str, redis_url: str, folder: Path
) -> Iterator[Platform]:
    """Run all of it, with a first quote in the log."""
    with live_platform(prefix, log_redis_url, redis_url, folder) as live:
        source_classes_pin({SYMBOL: SourceClass.SIMULATED})
        platform = Platform(live, (log_redis_url, redis_url), prefix)
        try:
            platform.start()
            yield platform
        finally:
            platform.stop()
