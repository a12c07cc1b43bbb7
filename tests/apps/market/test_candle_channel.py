"""The candles channel: the newest first, then what has changed, and nothing lost by whoever was passed over."""

import asyncio
import json

import msgspec
import pytest
from asgiref.sync import sync_to_async

from apps.market import frames as frames_module
from apps.market import selectors, services
from apps.market.broadcaster import Broadcaster
from apps.market.candles.candle import Candle, Sources
from apps.market.candles.intervals import MINUTE_MS
from apps.market.candles.live import CandleLive
from apps.market.candles.memory import CandleBatch, CandleMemory
from apps.market.candles.reader import CandleReader
from apps.market.prices import PriceBook
from tests.apps.market.candle_support import NOON_MS, plain_store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True),
]

MINUTE = ("BTCUSDT", "1m")
HOUR = ("BTCUSDT", "1h")


@pytest.fixture(autouse=True)
def _catalogue(transactional_db):
    services.catalogue_install()
    selectors.instruments_refresh()
    plain_store().close()


class Hub:
    """A broadcaster whose sources are told by hand, and one socket."""

    def __init__(self):
        self.memory = CandleMemory(redis_url="unix:///nowhere", prefix="")
        self.live = CandleLive(self.memory, CandleReader(self.memory))
        book = PriceBook(redis_url="unix:///nowhere", prefix="", now_us=lambda: 0)
        self.broadcaster = Broadcaster(book, self.live)
        self.frames = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.subscription = self.broadcaster.subscribe(self.send, [], on_stalled=self.stalled)

    async def send(self, text):
        await self.is_open.wait()
        self.frames.append(json.loads(text))

    async def stalled(self):
        pass

    def tell(self, bid, offset_ms=0, reopened=()):
        at_ms = NOON_MS + offset_ms
        open_ms = at_ms // MINUTE_MS * MINUTE_MS
        known = self.memory.minutes("BTCUSDT").get(open_ms)
        candle = known or Candle.of_quote(open_ms, bid, bid + 3, 0, Sources.LIVE)
        if known:
            candle.take(bid, bid + 3, at_ms % MINUTE_MS * 1000, Sources.LIVE)
        batch = CandleBatch(candles={"BTCUSDT": [candle]}, reopened=reopened)
        self.memory.take(msgspec.json.encode(batch))

    async def flush(self):
        """Return the rows that the socket was sent by one look and one flush."""
        await self.live.look()
        before = len(self.frames)
        self.broadcaster.flush(0.0)
        for _ in range(3):
            await asyncio.sleep(0)
        return [row for one in self.frames[before:] if one["ch"] == "candles" for row in one["d"]]


@pytest.fixture
def hub(monkeypatch, instruments):
    monkeypatch.setattr(frames_module, "instruments_by_symbol", lambda: instruments)
    return Hub


async def test_newest_comes_first_and_then_every_change(hub):
    hub = hub()
    hub.tell(100)
    await hub.subscription.candles_add(MINUTE)

    first = await hub.flush()
    hub.tell(105, 1_000)
    hub.tell(103, 2_000)
    second = await hub.flush()
    nothing = await hub.flush()

    assert first == [["BTCUSDT", "1m", NOON_MS, "10.0", "10.0", "10.0", "10.0", "1"]]
    assert second == [["BTCUSDT", "1m", NOON_MS, "10.0", "10.5", "10.0", "10.3", "3"]]
    assert nothing == []


async def test_longer_candle_follows_its_minutes(hub):
    hub = hub()
    hub.tell(100)
    await hub.subscription.candles_add(MINUTE)
    await hub.subscription.candles_add(HOUR)
    await hub.flush()

    hub.tell(120, MINUTE_MS)
    rows = await hub.flush()

    hour_ms = NOON_MS // 3_600_000 * 3_600_000
    assert rows == [
        ["BTCUSDT", "1h", hour_ms, "10.0", "12.0", "10.0", "12.0", "2"],
        ["BTCUSDT", "1m", NOON_MS + MINUTE_MS, "12.0", "12.0", "12.0", "12.0", "1"],
    ]


async def test_other_symbols_and_ended_channels_are_silent(hub):
    hub = hub()
    await hub.subscription.candles_add(("ETHUSDT", "1m"))
    hub.tell(100)
    assert await hub.flush() == []
    await hub.subscription.candles_add(MINUTE)
    await hub.flush()

    hub.subscription.candles_remove(MINUTE)
    hub.tell(110, 1_000)

    assert await hub.flush() == []
    assert hub.live._watched == {("ETHUSDT", "1m"): 1}


async def test_who_was_passed_over_gets_the_newest(hub):
    hub = hub()
    hub.tell(100)
    await hub.subscription.candles_add(MINUTE)
    hub.is_open.clear()
    await hub.flush()
    for second in range(1, 30):
        hub.tell(100 + second, second * 1_000)
        await hub.flush()
    hub.tell(50, MINUTE_MS)
    await hub.flush()

    hub.is_open.set()
    for _ in range(3):
        await asyncio.sleep(0)
    rows = await hub.flush()

    assert [row[2:] for row in rows] == [
        [NOON_MS, "10.0", "12.9", "10.0", "12.9", "30"],
        [NOON_MS + MINUTE_MS, "5.0", "5.0", "5.0", "5.0", "1"],
    ]


async def test_changed_history_is_read_again(hub):
    hub = hub()
    await hub.subscription.candles_add(HOUR)
    assert await hub.flush() == []
    candle = Candle.of_quote(NOON_MS, 100, 103, 0, Sources.BACKFILLED)

    await sync_to_async(_store)(candle)
    hub.memory.take(msgspec.json.encode(CandleBatch(candles={}, reopened=("BTCUSDT",))))

    assert [row[3:] for row in await hub.flush()] == [["10.0", "10.0", "10.0", "10.0", "1"]]
    # What lies before the newest is told too: whoever shows it asks again, once.
    assert hub.frames[-1]["again"] == [["BTCUSDT", "1h"]]
    hub.tell(200)
    assert await hub.flush() != []
    assert "again" not in hub.frames[-1]


async def test_a_past_that_goes_is_told_though_no_candle_changes_also_after_a_pause(hub):
    hub = hub()
    hub.tell(100)
    await hub.subscription.candles_add(MINUTE)
    await hub.flush()
    taken = msgspec.json.encode(CandleBatch(candles={}, reopened=("BTCUSDT",)))

    hub.memory.take(taken)
    assert await hub.flush() == []
    assert hub.frames[-1] == {"ch": "candles", "n": 2, "d": [], "again": [["BTCUSDT", "1m"]]}

    hub.is_open.clear()
    hub.tell(101, MINUTE_MS)
    await hub.flush()
    hub.memory.take(taken)
    await hub.flush()
    hub.is_open.set()
    await asyncio.sleep(0)
    await hub.flush()
    assert hub.frames[-1]["again"] == [["BTCUSDT", "1m"]]


async def test_closed_socket_leaves_nothing_behind(hub):
    hub = hub()
    await hub.subscription.candles_add(MINUTE)
    await hub.subscription.candles_add(MINUTE)
    assert hub.live._watched == {MINUTE: 1}

    hub.subscription.close()
    hub.subscription.close()
    await hub.subscription.candles_add(HOUR)

    assert hub.live._watched == {}


def _store(candle):
    store = plain_store()
    store.add([("BTCUSDT", candle, "test")], is_replacing=False)
    store.close()
