"""The feed on a real database and two real Valkeys: pins, log entries, leases, fail-over, and servers that go away."""

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from redis import Redis
from redis.exceptions import RedisError

from apps.market import services
from apps.market.clock import WallClock
from apps.market.feed import service as service_module
from apps.market.feed.base import RawQuote, SourceUnavailableError
from apps.market.feed.publisher import Publisher
from apps.market.feed.service import FeedService
from apps.market.models import Instrument
from apps.market.prices import FeedStatus
from apps.market.selectors import instruments_read
from engine.messages.codec import decode_message
from engine.messages.streams import (
    feed_epoch_key,
    feed_lease_key,
    feed_status_key,
    input_stream,
    prices_channel,
)
from engine.values import SourceClass
from tests.apps.market.support import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True),
]

CLOCK = WallClock()


@pytest.fixture(autouse=True)
def _catalogue(transactional_db):
    services.catalogue_install()


class CodedSource:
    """A source that says what the test tells it to."""

    malformed = 0

    def __init__(self, name, source_class, symbols):
        self.name = name
        self.source_class = source_class
        self.symbols = symbols
        self.is_reachable = True
        self.opened = 0
        self.queue = asyncio.Queue()

    async def open(self):
        self.opened += 1
        if not self.is_reachable:
            raise SourceUnavailableError("not today")
        return self.symbols

    async def quotes(self, _symbols):
        while True:
            batch = await self.queue.get()
            if batch is None:
                raise SourceUnavailableError("gone")
            yield batch

    def say(self, symbol, bid, ask):
        self.queue.put_nowait([RawQuote(symbol, bid, ask, CLOCK.now_us())])

    def is_live(self, _symbol):
        return True

    def close(self):
        pass


class Log:
    """What stands in the input stream and in the status key."""

    def __init__(self, log_url, redis_url, prefix):
        self._log = Redis.from_url(log_url)
        self._rest = Redis.from_url(redis_url)
        self.prefix = prefix

    def entries(self, shard=0, shards=1):
        raw = self._log.xrange(input_stream(self.prefix, shard, shards))
        return [decode_message(fields[b"m"]) for _, fields in raw]

    def quotes(self, symbol):
        return [q for entry in self.entries() for q in entry.quotes if q.symbol == symbol]

    def prices(self, symbol):
        return [(quote.bid_ticks, quote.ask_ticks) for quote in self.quotes(symbol)]

    def let_lease_lapse(self):
        self._log.delete(feed_lease_key(self.prefix))

    @contextmanager
    def without_epoch(self):
        """Let the counter answer with an error within."""
        key = feed_epoch_key(self.prefix)
        epoch = self._log.get(key)
        self._log.set(key, "no number")
        yield
        self._log.set(key, epoch)

    def status(self):
        raw = self._rest.get(feed_status_key(self.prefix))
        return msgspec.json.decode(raw, type=FeedStatus) if raw else None

    def close(self):
        self._log.close()
        self._rest.close()


@pytest.fixture
def log(log_redis_url, redis_url, stream_prefix):
    log = Log(log_redis_url, redis_url, stream_prefix)
    yield log
    log.close()


@pytest.fixture
def feed_of(log_redis_url, redis_url, stream_prefix):
    def build(*sources, log_url=log_redis_url, shards=1, clock=CLOCK, **options):
        return FeedService(
            sources_build=lambda _instruments: sources,
            publisher=Publisher(
                log_redis_url=log_url,
                redis_url=redis_url,
                prefix=stream_prefix,
                shards=shards,
                monotonic=time.monotonic,
            ),
            batch_ms=20,
            clock=clock,
            **options,
        )

    return build


@asynccontextmanager
async def running(feed):
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        feed.stop()
        await asyncio.wait_for(task, 10)


def live(*symbols, name="venue"):
    return CodedSource(name, SourceClass.LIVE, symbols)


def simulated(*symbols):
    return CodedSource("simulator", SourceClass.SIMULATED, symbols)


@sync_to_async
def in_thread(work):
    try:
        return work()
    finally:
        connections.close_all()


@sync_to_async
def pins():
    try:
        return {info.symbol: info.source_class for info in instruments_read()}
    finally:
        # The helper thread outlives the test, and its connection would hold the test database.
        connections.close_all()


async def test_a_lease_without_its_epoch_lapses_and_is_taken_anew(
    log_redis_url, redis_url, stream_prefix, log
):
    first, second = (
        Publisher(
            log_redis_url=log_redis_url,
            redis_url=redis_url,
            prefix=stream_prefix,
            shards=1,
            monotonic=time.monotonic,
        )
        for _ in range(2)
    )
    await first.keep_lease()
    log.let_lease_lapse()
    await second.keep_lease()
    log.let_lease_lapse()
    with log.without_epoch(), pytest.raises(RedisError):
        await first.keep_lease()

    kept = await first.keep_lease()
    log.let_lease_lapse()
    taken = await first.keep_lease()
    await first.close()
    await second.close()

    assert (kept, taken) == (False, True)
    assert first.epoch > second.epoch


async def test_first_start_pins_each_instrument_to_the_first_source_that_serves_it(feed_of, log):
    venue, simulator = live("BTCUSDT"), simulated("BTCUSDT", "ETHUSDT")
    async with running(feed_of(venue, simulator)):
        venue.say("BTCUSDT", 775_000, 775_008)
        simulator.say("BTCUSDT", 100, 101)
        simulator.say("ETHUSDT", 212_000, 212_003)
        await until(lambda: log.quotes("BTCUSDT") and log.quotes("ETHUSDT"))

    pinned = await pins()
    assert pinned["BTCUSDT"] is SourceClass.LIVE
    assert pinned["ETHUSDT"] is SourceClass.SIMULATED
    assert pinned["SOLUSDT"] is None
    assert set(log.prices("BTCUSDT")) == {(775_000, 775_008)}
    classes = {
        quote.symbol: (entry.source, entry.source_class)
        for entry in log.entries()
        for quote in entry.quotes
    }
    assert classes == {
        "BTCUSDT": ("venue", SourceClass.LIVE),
        "ETHUSDT": ("simulator", SourceClass.SIMULATED),
    }


async def test_a_feed_that_starts_before_the_catalogue_waits_for_it(feed_of, log):
    await in_thread(Instrument.objects.all().delete)
    simulator = simulated("BTCUSDT")
    async with running(feed_of(simulator)) as feed:
        await until(lambda: feed._loop is not None)
        await in_thread(services.catalogue_install)
        simulator.say("BTCUSDT", 100, 101)
        await until(lambda: log.quotes("BTCUSDT"))

    assert (await pins())["BTCUSDT"] is SourceClass.SIMULATED


async def test_later_start_with_another_class_moves_nothing(feed_of, log):
    async with running(feed_of(simulated("BTCUSDT", "ETHUSDT"))):
        await until(lambda: log.status() is not None)

    venue = live("BTCUSDT", "ETHUSDT")
    async with running(feed_of(venue)):
        await until(lambda: log.status().epoch == 2)
        status = log.status()

    assert (await pins())["BTCUSDT"] is SourceClass.SIMULATED
    assert log.entries() == []
    assert {"BTCUSDT", "ETHUSDT"} <= set(status.unserved)
    assert status.sources[0].state == "idle"


async def test_unreachable_venue_at_the_first_start_leaves_its_place_to_the_next(feed_of, log):
    venue, simulator = live("BTCUSDT"), simulated("BTCUSDT")
    venue.is_reachable = False
    async with running(feed_of(venue, simulator)):
        simulator.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.quotes("BTCUSDT"))

    assert (await pins())["BTCUSDT"] is SourceClass.SIMULATED


async def test_lost_source_hands_over_to_the_next_of_its_class_only(feed_of, log):
    first, second = live("BTCUSDT"), live("BTCUSDT", name="second")
    simulator = simulated("BTCUSDT")
    async with running(feed_of(first, second, simulator)):
        first.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.quotes("BTCUSDT"))
        await until(lambda: log.status() is not None)
        first.queue.put_nowait(None)
        await until(lambda: log.status().sources[0].state == "unavailable")
        second.say("BTCUSDT", 775_100, 775_108)
        simulator.say("BTCUSDT", 100, 101)
        await until(lambda: (775_100, 775_108) in log.prices("BTCUSDT"))
        status = log.status()

    assert (100, 101) not in log.prices("BTCUSDT")
    assert (status.sources[0].reason, status.sources[0].symbols) == ("gone", 0)


async def test_entries_are_conflated_and_numbered_without_a_gap(feed_of, log):
    source = simulated("BTCUSDT", "ETHUSDT")
    async with running(feed_of(source)):
        for step in range(400):
            source.say("BTCUSDT", 775_000 + step, 775_008 + step)
            await asyncio.sleep(0)
        await until(lambda: log.prices("BTCUSDT")[-1:] == [(775_399, 775_407)])

    entries = log.entries()
    assert len(entries) < 40
    assert {entry.feed_epoch for entry in entries} == {1}
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))


async def test_every_shard_gets_the_same_entries(feed_of, log):
    source = simulated("BTCUSDT")
    async with running(feed_of(source, shards=2)):
        source.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.entries(1, 2) != [])

    assert log.entries(0, 2) == log.entries(1, 2)


async def test_quiet_instrument_is_confirmed_each_second_unless_it_is_doubted(feed_of, log):
    source = simulated("BTCUSDT", "ETHUSDT")
    async with running(feed_of(source)):
        source.say("BTCUSDT", 775_000, 775_008)
        source.say("ETHUSDT", 212_000, 212_003)
        await until(lambda: log.quotes("ETHUSDT"))
        # A price ten times higher waits for others that agree; until then nobody knows the price.
        source.say("ETHUSDT", 2_120_000, 2_120_003)
        await until(lambda: len(log.quotes("BTCUSDT")) == 3)

    times = [quote.ts_us for quote in log.quotes("BTCUSDT")]
    assert len(set(log.prices("BTCUSDT"))) == 1
    assert all(900_000 < b - a < 2_500_000 for a, b in pairwise(times))
    assert len(log.quotes("ETHUSDT")) == 1
    assert log.status().sources[0].refusals == {"jump_quarantined": 1}


async def test_log_is_held_back_until_the_engine_knows_the_instruments(feed_of, log):
    source, is_open = simulated("BTCUSDT"), []
    async with running(feed_of(source, may_write_log=lambda: bool(is_open))):
        source.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.status() is not None and log.status().sources[0].accepted == 1)
        assert log.entries() == []
        is_open.append(True)
        await until(lambda: log.prices("BTCUSDT") == [(775_000, 775_008)])


async def test_second_feed_waits_for_the_first_says_so_once_and_begins_a_new_epoch(
    feed_of, log, caplog
):
    first, second = simulated("BTCUSDT"), simulated("BTCUSDT")
    async with running(feed_of(first)):
        first.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.quotes("BTCUSDT"))
        waiting = feed_of(second)
        async with running(waiting):
            await until(lambda: second.opened > 0)
            second.say("BTCUSDT", 775_100, 775_108)
            await until(lambda: len(log.quotes("BTCUSDT")) >= 2)
            assert {entry.feed_epoch for entry in log.entries()} == {1}
            assert ["writes nothing" in said for said in caplog.messages].count(True) == 1
            # The first one stops as a killed one would: the lease lapses by itself.
            log._log.delete(*log._log.keys(f"{log.prefix}feed:lease"))
            await until(lambda: 2 in {entry.feed_epoch for entry in log.entries()})

    order = [(entry.feed_epoch, entry.sequence) for entry in log.entries()]
    assert order == sorted(set(order))


async def test_lost_log_costs_no_number_twice(feed_of, log, log_redis_url, tmp_path):
    proxy = Proxy(log_redis_url.removeprefix("unix://"), str(tmp_path / "s"))
    await proxy.start()
    source = simulated("BTCUSDT")
    async with running(feed_of(source, log_url=f"unix://{proxy.path}")):
        source.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.quotes("BTCUSDT") and log.status() is not None)
        await proxy.stop()
        source.say("BTCUSDT", 775_100, 775_108)
        await until(lambda: not log.status().is_log_reachable)
        await proxy.start()
        await until(lambda: (775_100, 775_108) in log.prices("BTCUSDT"), 20)
        await until(lambda: log.status().is_log_reachable)
    await proxy.stop()

    order = [(entry.feed_epoch, entry.sequence) for entry in log.entries()]
    assert order == sorted(set(order))


async def test_operators_command_moves_an_instrument_to_another_class(feed_of, log, monkeypatch):
    monkeypatch.setattr(service_module, "_INSTRUMENTS_SECONDS", 0.05)
    venue, simulator = live("BTCUSDT", "ETHUSDT"), simulated("BTCUSDT", "ETHUSDT")
    async with running(feed_of(venue, simulator)):
        venue.say("BTCUSDT", 775_000, 775_008)
        venue.say("ETHUSDT", 212_000, 212_003)
        await until(lambda: log.quotes("BTCUSDT") and log.quotes("ETHUSDT"))
        await sync_to_async(move)("BTCUSDT", SourceClass.SIMULATED)
        await until(lambda: log.status().sources[1].symbols == 1, 30)
        simulator.say("BTCUSDT", 100, 101)
        venue.say("BTCUSDT", 775_100, 775_108)
        venue.say("ETHUSDT", 212_001, 212_004)
        await until(lambda: (100, 101) in log.prices("BTCUSDT"), 30)
        await until(lambda: (212_001, 212_004) in log.prices("ETHUSDT"), 30)

    assert (775_100, 775_108) not in log.prices("BTCUSDT")
    classes = [
        entry.source_class
        for entry in log.entries()
        for quote in entry.quotes
        if quote.symbol == "BTCUSDT"
    ]
    # Never back: what is simulated stays so until the next command.
    turned = classes.index(SourceClass.SIMULATED)
    assert set(classes[:turned]) == {SourceClass.LIVE}
    assert set(classes[turned:]) == {SourceClass.SIMULATED}


def move(symbol, source_class):
    try:
        services.price_source_record(symbol=symbol, source_class=source_class)
    finally:
        connections.close_all()


async def test_sources_that_disagree_are_both_not_believed(feed_of, log):
    first, second = live("BTCUSDT"), live("BTCUSDT", name="second")
    async with running(feed_of(first, second)):
        await until(lambda: second.opened > 0)
        second.say("BTCUSDT", 900_000, 900_008)
        await until(second.queue.empty)
        first.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.status() and log.status().sources[0].refusals != {}, 30)
        assert log.entries() == []
        second.say("BTCUSDT", 775_001, 775_009)
        await until(second.queue.empty)
        first.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.prices("BTCUSDT")[:1] == [(775_000, 775_008)], 30)
        await until(lambda: log.status().sources[0].refusals == {"contradicted": 1}, 30)


async def test_flood_is_conflated_before_the_log(feed_of, log):
    source = simulated("BTCUSDT")
    async with running(feed_of(source)):
        for step in range(5_000):
            source.say("BTCUSDT", 775_000 + step % 7, 775_008 + step % 7)
        source.say("BTCUSDT", 775_100, 775_108)
        await until(lambda: log.prices("BTCUSDT")[-1:] == [(775_100, 775_108)], 30)
        await until(lambda: log.status() and log.status().sources[0].accepted > 1, 30)

    assert len(log.entries()) <= 200


async def test_markup_is_ours_on_both_sides(feed_of, log):
    await sync_to_async(mark_up)("BTCUSDT", 1_000)
    source = simulated("BTCUSDT")
    async with running(feed_of(source)):
        source.say("BTCUSDT", 775_000, 775_008)
        await until(lambda: log.quotes("BTCUSDT"), 30)

    # A thousandth of the mid, rounded up, on either side.
    assert log.prices("BTCUSDT")[0] == (775_000 - 776, 775_008 + 776)


def mark_up(symbol, ppm):
    try:
        services.instrument_update(symbol=symbol, markup_ppm=ppm)
    finally:
        connections.close_all()


async def test_feed_whose_clock_differs_from_the_logs_says_so_and_no_price(feed_of, log, redis_url):
    ahead = WallClock()
    ahead.now_us = lambda: CLOCK.now_us() + 3_600_000_000
    source = simulated("BTCUSDT")
    with Redis.from_url(redis_url) as redis, redis.pubsub() as heard:
        heard.subscribe(prices_channel(log.prefix))
        async with running(feed_of(source, clock=ahead)):
            source.say("BTCUSDT", 775_000, 775_008)
            await until(lambda: log.status() and log.status().sources[0].refusals, 30)
            status = log.status()
        said = [message for _ in range(3) if (message := heard.get_message())]

    assert -3_700_000_000 < status.clock_skew_us < -3_500_000_000
    assert status.sources[0].refusals == {"clocks_differ": 1}
    assert log.entries() == []
    assert [message["type"] for message in said] == ["subscribe"]


async def test_stop_before_run_ends_at_once(feed_of):
    feed = feed_of(simulated("BTCUSDT"))
    feed.stop()

    await asyncio.wait_for(feed.run(), 1)

    assert set((await pins()).values()) == {None}


class Proxy:
    """A socket before the log that can be taken away."""

    def __init__(self, target, path):
        self.target = target.partition("?")[0]
        self.path = path
        self._server = None
        self._writers = []

    async def start(self):
        self._server = await asyncio.start_unix_server(self._pass, self.path)

    async def stop(self):
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            self._writers.clear()
            self._server = None

    async def _pass(self, reader, writer):
        far_reader, far_writer = await asyncio.open_unix_connection(self.target)
        self._writers += [writer, far_writer]
        await asyncio.gather(
            self._pump(reader, far_writer), self._pump(far_reader, writer), return_exceptions=True
        )

    @staticmethod
    async def _pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
