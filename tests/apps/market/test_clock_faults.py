"""F-29, clocks that jump: the feed's by an hour, the log's by a day and back. Time never goes back, and nothing is traded or drawn by it."""

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest

from apps.common.clock import now_us
from apps.market.candles.intervals import MINUTE_MS, MINUTES
from engine.messages.events import PositionClosed, PositionOpened
from engine.values import entry_id_from_text, entry_time_us
from tests.apps.market.candle_support import plain_store, writer_of
from tests.apps.market.platform import ASK, BID, platform_with_feed
from tests.chaos.log_server import LogServer
from tests.integration.engine_log import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

HOUR_US = 3_600_000_000
DAY_SECONDS = 86_400


@pytest.fixture
def platform(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with platform_with_feed(stream_prefix, log_redis_url, redis_url, tmp_path) as platform:
        yield platform


@pytest.mark.parametrize("shift_us", [HOUR_US, -HOUR_US])
def test_feed_with_a_wrong_clock_moves_no_price_and_no_candle_and_comes_back(
    platform, log_redis_url, redis_url, shift_us
):
    began_ms = now_us() // 1000
    platform.clock.shift_us = shift_us

    def wrong():
        platform.say(BID + 900)
        return platform.refusals().get("clocks_differ", 0) >= 3

    wait_for(wrong, "the feed's own refusal")
    wait_for(lambda: abs(platform.status().clock_skew_us) > HOUR_US // 2, "the alarm")
    assert all(entry.quotes[0].bid_ticks != BID + 900 for _, entry in platform.entries())

    platform.clock.shift_us = 0

    def back():
        # The first prices after the outage are given time to settle.
        platform.say(BID + 5)
        return [e for _, e in platform.entries() if e.quotes[0].bid_ticks == BID + 5]

    wait_for(back, "quotes under the right clock")
    created = platform.create()
    assert created.json()["success"], created.content
    (opened,) = platform.events(PositionOpened)
    assert opened.price_ticks == BID + 5 + ASK - BID
    wait_for(lambda: abs(platform.status().clock_skew_us) < 2_000_000, "the end of the alarm")
    for candle in candles_of(platform, log_redis_url, redis_url):
        assert began_ms - 2 * MINUTE_MS < candle.open_ms <= now_us() // 1000
        assert candle.bid_high <= BID + 5


def test_log_whose_clock_jumps_a_day_and_back_stays_ahead_opens_nothing_and_says_so(
    transactional_db, redis_url, stream_prefix, tmp_path
):
    began_us = now_us()
    with tempfile.TemporaryDirectory(prefix="clock-") as folder:
        server = LogServer(Path(folder), has_own_clock=True)
        server.start()
        try:
            with platform_with_feed(stream_prefix, server.url, redis_url, tmp_path) as platform:
                created = platform.create()
                assert created.json()["success"], created.content

                server.shift_clock(DAY_SECONDS)
                # Whether the log's entries or its clock are asked: the feed hears of it by either.
                wait_for(lambda: skew_of(platform) > 23 * HOUR_US, "the alarm")
                refused_while_ahead(platform)

                server.shift_clock(0)
                refused_while_ahead(platform)
                entries = platform.hand.redis.xrange(platform.hand.input)
                ids = [entry_id_from_text(at.decode()) for at, _ in entries]
                outputs = [entry_id_from_text(at) for at, _ in platform.hand.outputs()]
                # The server's ids stay a day ahead, and so does the alarm.
                assert skew_of(platform) > 23 * HOUR_US
                assert entry_time_us(ids[-1]) - now_us() > 23 * HOUR_US
                assert all(before < after for before, after in pairwise(ids))
                assert all(before < after for before, after in pairwise(outputs))
                assert len(platform.events(PositionOpened)) == 1
                assert platform.events(PositionClosed) == []
                for candle in candles_of(platform, server.url, redis_url):
                    assert candle.open_ms * 1000 <= now_us()
                    assert candle.open_ms * 1000 > began_us - HOUR_US
        finally:
            server.kill()


def skew_of(platform):
    """Return what the feed says of the log's clock; it goes on hearing prices meanwhile."""
    platform.say(BID + 900)
    status = platform.status()
    return status.clock_skew_us if status else 0


def refused_while_ahead(platform):
    refused = platform.create()
    assert refused.status_code == 400, refused.content
    assert refused.json()["code"] in {"CLOCK_AHEAD", "QUOTE_STALE"}


def candles_of(platform, log_redis_url, redis_url):
    writer = writer_of(platform.prefix, log_redis_url, redis_url)
    store = plain_store()
    try:
        assert writer.write_available() > 0
        return store.read("BTCUSDT", MINUTES, 0, 2 * now_us() // 1000)
    finally:
        writer.end()
        store.close()
