"""The feed's faults as the whole platform meets them: a real feed, log, engine and candle writer, orders by REST.

F-23 spikes, F-28 floods (F-29, clocks, has a file of its own); and what must hold throughout: each fill lies inside its candle.
"""

import random
import threading

import pytest

from apps.market.candles.intervals import MINUTE_MS
from engine.messages.events import (
    NegativeBalanceCovered,
    PositionClosed,
    PositionOpened,
    StopOutStarted,
)
from engine.values import CloseReason, Direction
from tests.apps.live import SYMBOL
from tests.apps.market.candle_support import plain_store, writer_of
from tests.apps.market.platform import BID, platform_with_feed
from tests.integration.engine_log import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def platform(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with platform_with_feed(stream_prefix, log_redis_url, redis_url, tmp_path) as platform:
        yield platform


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
