"""The feed's faults as the whole platform meets them: a real feed, log, engine and candle writer, orders by REST.

F-23 spikes, F-28 floods, F-29 clocks that jump; and what must hold throughout: each fill lies inside its candle.
"""

import asyncio
import random
import threading
import time

import msgspec
import pytest
from redis import Redis

from apps.common.clock import now_us
from apps.market.candles.intervals import MINUTE_MS
from apps.market.clock import WallClock
from apps.market.feed.base import RawQuote
from apps.market.feed.pins import source_classes_pin
from apps.market.feed.publisher import Publisher
from apps.market.feed.service import FeedService
from apps.market.prices import FeedStatus
from engine.messages.codec import decode_events, decode_message
from engine.messages.commands import Tick, UpdateQuotes
from engine.messages.events import (
    NegativeBalanceCovered,
    PositionClosed,
    PositionOpened,
    QuoteRefused,
    StopOutStarted,
)
from engine.messages.rejects import RejectCode
from engine.messages.streams import IN_MESSAGE, OUT_EVENTS, feed_status_key
from engine.values import CloseReason, Direction, SourceClass
from tests.apps.live import SYMBOL, live_platform
from tests.apps.market.candle_support import plain_store, writer_of
from tests.integration.engine_log import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

HOUR_US = 3_600_000_000
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
        self.source.loop.call_soon_threadsafe(self.source.queue.put_nowait, [quote])

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
        found = (e for _, fields in self.hand.outputs() for e in decode_events(fields[OUT_EVENTS]))
        return [event for event in found if isinstance(event, kinds)]

    def create(self, **changes):
        return self.client.post("/api/v1/trade/create", ORDER | changes)

    def close(self, order_id):
        return self.client.post("/api/v1/trade/close", {"orderId": order_id})


@pytest.fixture
def platform(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        source_classes_pin({SYMBOL: SourceClass.SIMULATED})
        platform = Platform(live, (log_redis_url, redis_url), stream_prefix)
        try:
            platform.start()
            yield platform
        finally:
            platform.stop()


def test_each_fill_lies_inside_its_candle(platform, log_redis_url, redis_url):
    chance, stopped = random.Random(7), threading.Event()  # noqa: S311 - the same walk every time

    def walk():
        bid = BID
        while not stopped.wait(0.01):
            bid += chance.randint(-60, 60)
            platform.say(bid)

    walking = threading.Thread(target=walk)
    walking.start()
    try:
        for number in range(12):
            side = "buy" if number % 2 else "sell"
            created = platform.create(type=side)
            assert created.json()["success"], created.content
            if number % 3:
                closed = platform.close(created.json()["data"]["orderId"])
                assert closed.status_code == 200, closed.content
    finally:
        stopped.set()
        walking.join()

    writer = writer_of(platform.prefix, log_redis_url, redis_url)
    store = plain_store()
    assert writer.write_available() > 0
    writer.end()
    fills = platform.events(PositionOpened, PositionClosed)
    assert len(fills) == 12 + 8
    for fill in fills:
        open_ms = fill.receipt.quote.ts_us // 1000 // MINUTE_MS * MINUTE_MS
        (candle,) = store.minutes({(SYMBOL, open_ms)}).values()
        is_buy = (fill.direction is Direction.LONG) is isinstance(fill, PositionOpened)
        low, high = (
            (candle.ask_low, candle.ask_high) if is_buy else (candle.bid_low, candle.bid_high)
        )
        assert low <= fill.price_ticks <= high
    store.close()


@pytest.mark.parametrize("spike", [BID * 10, BID // 10, BID // 1000, BID * 1000])
def test_f23_spike_of_one_tick_fills_and_liquidates_nobody(platform, spike):
    created = platform.create(quantity="5", stopLoss="9500", takeProfit="10500")
    assert created.json()["success"], created.content

    platform.say(spike, spike + 1)
    wait_for(lambda: platform.refusals().get("jump_quarantined") == 1, "the quarantine")
    platform.say(BID + 1)
    platform.hears(BID + 1)

    assert [entry.quotes[0].bid_ticks for _, entry in platform.entries()][-1] == BID + 1
    assert all(entry.quotes[0].bid_ticks != spike for _, entry in platform.entries())
    closed = platform.close(created.json()["data"]["orderId"])
    assert closed.status_code == 200, closed.content
    (event,) = platform.events(PositionClosed, StopOutStarted)
    # Closed by hand and at a price of the market, not by the spike.
    assert (event.close_reason, event.price_ticks) == (CloseReason.CLIENT, BID + 1)


def test_f23_confirmed_fall_liquidates_at_the_confirmed_price_and_owes_nothing(platform):
    created = platform.create(quantity="5")
    assert created.json()["success"], created.content
    fallen = 70_000

    def confirmed():
        platform.say(fallen)
        return platform.events(PositionClosed)

    (closed,) = wait_for(confirmed, "the liquidation")

    wait_for(lambda: platform.refusals().get("jump_quarantined", 0) >= 2, "the quarantine")
    assert (closed.price_ticks, closed.remaining_units) == (fallen, 0)
    assert len(platform.events(StopOutStarted)) == 1
    (covered,) = platform.events(NegativeBalanceCovered)
    assert covered.balance_micros == 0


def test_f28_flood_reaches_the_log_as_ten_entries_a_second_and_orders_go_on(platform):
    said, answers = 0, []
    while said < 5_000 or len(answers) < 10:
        for _ in range(500):
            said += 1
            platform.say(BID + said % 50)
        answers.append(platform.create(quantity="0.001"))
    platform.say(BID + 77)
    platform.hears(BID + 77)

    assert all(answer.json()["success"] for answer in answers)
    entries = platform.entries()
    first_ms, last_ms = (int(entries[at][0].partition("-")[0]) for at in (0, -1))
    # One for each tenth of a second that has passed, by the log's own clock.
    assert len(entries) <= (last_ms - first_ms) / 100 + 2
    times = [entry.quotes[0].ts_us for _, entry in entries]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("shift_us", "code"),
    [(HOUR_US, RejectCode.QUOTE_INVALID), (-HOUR_US, RejectCode.QUOTE_OUT_OF_ORDER)],
)
def test_f29_feed_with_a_wrong_clock_moves_nobodys_price_and_comes_back(platform, shift_us, code):
    platform.clock.shift_us = shift_us

    def wrong():
        # More than once: to the feed's clock an hour has passed in silence, after which it lets prices settle.
        platform.say(BID + 900)
        return platform.events(QuoteRefused)

    # The feed cannot know better; the engine does.
    refused = wait_for(wrong, "the engine's refusal")[0]
    assert (refused.code, refused.bid_ticks) == (code, BID + 900)
    wait_for(lambda: abs(platform.status().clock_skew_us) > HOUR_US // 2, "the alarm")

    platform.clock.shift_us = 0

    def back():
        platform.say(BID + 5)
        return [e for _, e in platform.entries() if e.quotes[0].bid_ticks == BID + 5]

    wait_for(back, "quotes under the right clock")
    created = platform.create()
    assert created.json()["success"], created.content
    (opened,) = platform.events(PositionOpened)
    assert opened.price_ticks == BID + 5 + ASK - BID


def test_f29_log_whose_clock_runs_ahead_opens_nothing_and_says_so(platform):
    created = platform.create()
    assert created.json()["success"], created.content
    # From now on every id of the stream is a day ahead, whatever its server's clock does.
    ahead_ms = now_us() // 1000 + 24 * 3_600_000
    platform.hand.redis.xadd(
        platform.hand.input,
        {b"v": b"1", IN_MESSAGE: msgspec.json.encode(Tick()), b"g": b""},
        id=f"{ahead_ms}-0",
    )

    refused = platform.create()
    platform.say(BID + 3)
    wait_for(lambda: platform.status().clock_skew_us > HOUR_US, "the alarm")

    assert refused.status_code == 400
    assert refused.json()["code"] in {"CLOCK_AHEAD", "QUOTE_STALE"}
    assert len(platform.events(PositionOpened)) == 1
