"""From the feed's pub/sub to open sockets: newest wins, shared frames, and bounds for the slow."""

import asyncio
import json
import time

import msgspec
import pytest

from apps.market import frames as frames_module
from apps.market.broadcaster import FLUSH_SECONDS, UNACKNOWLEDGED_MAX, Broadcaster
from apps.market.candles.live import CandleLive
from apps.market.candles.memory import CandleMemory
from apps.market.candles.reader import CandleReader
from apps.market.clock import WallClock
from apps.market.feed.publisher import Publisher
from apps.market.prices import FEED_SILENCE_US, FeedStatus, PriceBook, SourceStatus
from engine.messages.commands import Quote
from engine.messages.streams import PriceBatch
from engine.values import SourceClass
from tests.apps.market.support import FakeClock, until

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _instruments(instruments, monkeypatch):
    monkeypatch.setattr(frames_module, "instruments_by_symbol", lambda: instruments)


@pytest.fixture
def book(clock):
    return PriceBook(redis_url="unix:///nowhere", prefix="", now_us=clock.now_us)


@pytest.fixture
def hub(book):
    return Broadcaster(book, quiet_live())


def quiet_live():
    """Candles of which nothing is ever told."""
    memory = CandleMemory(redis_url="unix:///nowhere", prefix="")
    return CandleLive(memory, CandleReader(memory))


def tell(book, *quotes, source_class=SourceClass.REPLAY):
    book._take_prices(
        msgspec.json.encode(
            PriceBatch(source="replay", source_class=source_class, sent_us=1, quotes=quotes)
        )
    )


class Socket:
    """A client that keeps what it gets."""

    def __init__(self):
        self.frames = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.is_closed = False

    async def send(self, text):
        await self.is_open.wait()
        self.frames.append(json.loads(text))

    async def close(self):
        self.is_closed = True

    def prices(self):
        return [frame for frame in self.frames if frame["ch"] == "prices"]


async def flush(hub, now=0.0):
    hub.flush(now)
    # The sends are tasks; let them run.
    for _ in range(3):
        await asyncio.sleep(0)


async def test_subscriber_gets_the_newest_prices_first_and_changes_then(hub, book):
    tell(book, Quote("BTCUSDT", 775_121, 775_129, 1_780_000_000_123_456))
    tell(book, Quote("ETHUSDT", 212_000, 212_003, 1))
    socket = Socket()
    hub.subscribe(socket.send, ["BTCUSDT"], on_stalled=socket.close)

    await flush(hub)
    tell(book, Quote("BTCUSDT", 775_000, 775_008, 2_000))
    tell(book, Quote("BTCUSDT", 775_001, 775_009, 3_000))
    tell(book, Quote("ETHUSDT", 212_001, 212_003, 3_000))
    await flush(hub)
    await flush(hub)

    first, second = socket.prices()
    assert first["d"] == [["BTCUSDT", "77512.1", "77512.9", 1_780_000_000_123]]
    assert second["d"] == [["BTCUSDT", "77500.1", "77500.9", 3]]
    assert second["n"] > first["n"]


async def test_status_says_simulated_unless_everything_is_live(hub, book):
    socket = Socket()
    hub.subscribe(socket.send, None, on_stalled=socket.close)
    source = SourceStatus(name="replay", source_class=SourceClass.REPLAY, state="live", symbols=1)
    book._take_status(msgspec.json.encode(FeedStatus(at_us=1, sources=(source,))))
    tell(book, Quote("BTCUSDT", 775_121, 775_129, 1))

    await flush(hub)

    status = socket.frames[0]
    assert status["ch"] == "status"
    assert status["d"]["feed"] == "replay"
    assert status["d"]["simulated"] is True
    assert status["d"]["available"] is True


async def test_subscription_can_change_its_symbols(hub, book):
    tell(book, Quote("BTCUSDT", 775_000, 775_008, 1), Quote("ETHUSDT", 212_000, 212_003, 1))
    socket = Socket()
    subscription = hub.subscribe(socket.send, ["BTCUSDT"], on_stalled=socket.close)
    await flush(hub)

    subscription.update(["ETHUSDT"])
    await flush(hub)
    tell(book, Quote("BTCUSDT", 775_001, 775_009, 2))
    await flush(hub)
    subscription.update(None)
    tell(book, Quote("BTCUSDT", 775_002, 775_010, 3))
    await flush(hub)

    symbols = [[row[0] for row in frame["d"]] for frame in socket.prices()]
    assert symbols == [["BTCUSDT"], ["ETHUSDT"], ["BTCUSDT"]]


async def test_closed_subscription_hears_nothing(hub, book):
    socket = Socket()
    subscription = hub.subscribe(socket.send, None, on_stalled=socket.close)
    subscription.close()
    tell(book, Quote("BTCUSDT", 775_000, 775_008, 1))

    await flush(hub)

    assert socket.frames == []


async def test_client_that_acknowledges_nothing_is_passed_over_and_catches_up(hub, book):
    slow, fast = Socket(), Socket()
    slow_subscription = hub.subscribe(slow.send, None, on_stalled=slow.close)
    fast_subscription = hub.subscribe(fast.send, None, on_stalled=fast.close)
    for step in range(UNACKNOWLEDGED_MAX + 20):
        tell(book, Quote("BTCUSDT", 775_000 + step, 775_008 + step, step))
        await flush(hub)
        fast_subscription.ack(fast.prices()[-1]["n"])

    assert len(slow.prices()) == UNACKNOWLEDGED_MAX
    assert len(fast.prices()) == UNACKNOWLEDGED_MAX + 20

    slow_subscription.ack(slow.prices()[-1]["n"])
    await flush(hub)

    assert slow.prices()[-1]["d"] == fast.prices()[-1]["d"]


async def test_socket_that_does_not_take_its_frame_blocks_nobody_and_is_closed_after_30_s(
    hub, book
):
    stuck, well = Socket(), Socket()
    stuck.is_open.clear()
    hub.subscribe(stuck.send, None, on_stalled=stuck.close)
    hub.subscribe(well.send, None, on_stalled=well.close)

    for second in range(33):
        tell(book, Quote("BTCUSDT", 775_000 + second, 775_008 + second, second))
        await flush(hub, now=float(second))

    assert stuck.is_closed
    assert stuck.frames == []
    assert not well.is_closed
    stuck.is_open.set()
    await asyncio.sleep(0)


async def test_socket_that_fails_is_forgotten(hub, book):
    async def fail(_text):
        raise ConnectionResetError

    socket = Socket()
    hub.subscribe(fail, None, on_stalled=socket.close)
    tell(book, Quote("BTCUSDT", 775_000, 775_008, 1))

    await flush(hub)

    assert not hub._subscriptions


async def test_sockets_with_the_same_symbols_share_one_text(hub, book):
    texts = []

    async def keep(text):
        texts.append(text)

    for _ in range(3):
        hub.subscribe(keep, ["BTCUSDT"], on_stalled=Socket().close)
    await flush(hub)
    texts.clear()
    tell(book, Quote("BTCUSDT", 775_000, 775_008, 1))
    await flush(hub)

    assert len(texts) == 3
    assert len({id(text) for text in texts}) == 1


async def test_book_knows_when_the_feed_has_fallen_silent(book, clock):
    assert not book.is_fed()
    tell(book, Quote("BTCUSDT", 775_000, 775_008, clock.now_us()))
    assert book.is_fed()

    await clock.sleep(FEED_SILENCE_US / 1e6 + 0.001)

    assert not book.is_fed()
    assert book.latest("BTCUSDT").source_class is SourceClass.REPLAY


async def test_garbage_on_the_channel_changes_nothing(book):
    book._take_prices(b"not json")
    book._take_status(b"[]")

    assert book.all_latest() == []
    assert book.status() is None


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
async def test_prices_travel_from_publisher_to_socket(
    log_redis_url, redis_url, stream_prefix, monkeypatch
):
    monkeypatch.setattr("apps.market.prices.instruments_refresh", lambda: None)
    clock = WallClock()
    publisher = Publisher(
        log_redis_url=log_redis_url,
        redis_url=redis_url,
        prefix=stream_prefix,
        shards=1,
        monotonic=time.monotonic,
    )
    book = PriceBook(redis_url=redis_url, prefix=stream_prefix, now_us=clock.now_us)
    hub = Broadcaster(book, quiet_live())
    socket = Socket()
    await book.start()
    await hub.start()
    hub.subscribe(socket.send, None, on_stalled=socket.close)

    quote = Quote("BTCUSDT", 775_000, 775_008, clock.now_us())
    await publisher.publish_prices("replay", SourceClass.REPLAY, [quote], clock.now_us())
    await publisher.publish_status(FeedStatus(at_us=clock.now_us(), epoch=4))
    await until(lambda: bool(socket.prices()) and book.status() is not None)
    await hub.stop()
    await book.stop()
    await publisher.close()

    assert socket.prices()[0]["d"][0][:3] == ["BTCUSDT", "77500.0", "77500.8"]
    assert book.status().epoch == 4
    assert book.is_fed()


async def test_prices_go_out_as_they_come_but_at_most_once_a_turn(hub, book, clock: FakeClock):
    socket = Socket()
    await hub.start()
    hub.subscribe(socket.send, None, on_stalled=socket.close)
    began = time.monotonic()
    for step in range(100):
        tell(book, Quote("BTCUSDT", 775_000 + step, 775_008 + step, clock.now_us()))
        await asyncio.sleep(0.005)
    await until(lambda: socket.prices() and socket.prices()[-1]["d"][0][1] == "77509.9")
    seconds = time.monotonic() - began
    await hub.stop()

    assert 3 <= len(socket.prices()) <= seconds / FLUSH_SECONDS + 2


async def test_unreachable_price_server_delays_no_start(clock: FakeClock, monkeypatch):
    monkeypatch.setattr("apps.market.prices.instruments_refresh", lambda: None)
    book = PriceBook(redis_url="unix:///nowhere/at/all", prefix="", now_us=clock.now_us)

    await asyncio.wait_for(book.start(), 3)
    await book.stop()

    assert not book.is_fed()
