"""A tape gives the same entries of the log however fast the process gets to it: they are cut by the tape's own time."""

import random
from itertools import groupby

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from redis import Redis

from apps.market import services
from apps.market.feed.feeder import Feeder
from apps.market.feed.pins import source_classes_pin
from apps.market.feed.positions import PositionFile
from apps.market.feed.publisher import Publisher
from apps.market.feed.replay import ReplaySource
from apps.market.feed.service import FeedService
from engine.messages.codec import decode_message
from engine.messages.commands import Quote
from engine.messages.streams import IN_MESSAGE, input_stream
from engine.values import SourceClass
from tests.apps.market.support import FakeClock, TapeClocks

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True),
]

BATCH_MS = 100
TAPE = "timestamp,open,high,low,close,volume\n" + "".join(
    f"2022-01-01 00:{minute:02}:00,{46100 + minute}.0,{46120 + minute}.0,{46090 + minute}.0,{46101 + minute}.0,1\n"
    for minute in range(8)
)


@sync_to_async
def prepare():
    try:
        services.catalogue_install()
        source_classes_pin({"BTCUSDT": SourceClass.REPLAY})
    finally:
        connections.close_all()


async def told(folder, redis_url, prefix, looks):
    """Play the tape at forty times its speed; after how many quotes the log is looked to, says `looks`."""
    path = folder / "tape.csv"
    path.write_text(TAPE)
    clock = FakeClock()
    source_of = lambda instruments: ReplaySource(  # noqa: E731 - one expression
        path=path,
        instrument=instruments["BTCUSDT"],
        speed=40.0,
        position_file=PositionFile(folder / f"{prefix}.json"),
        clock=clock,
        is_looping=False,
    )
    publisher = Publisher(
        log_redis_url=redis_url, redis_url=redis_url, prefix=prefix, shards=1, monotonic=lambda: 0.0
    )
    feed = FeedService(
        sources_build=lambda instruments: [source_of(instruments)],
        publisher=publisher,
        batch_ms=BATCH_MS,
        clock=clock,
        clocks=TapeClocks(clock),
    )
    await feed._prepare()
    await feed._keep_lease()
    await feed._write_log()
    (feeder,) = feed._feeders
    feeder.covered = frozenset(await feeder.source.open()) & feeder.wanted
    feed._assign()
    quotes, until_look = [], next(looks)
    async for batch in feeder.source.quotes(feeder.covered):
        quotes += batch
        feed._take(feeder, batch)
        until_look -= 1
        if not until_look:
            await feed._write_log()
            until_look = next(looks)
    await clock.sleep(1)
    await feed._write_log()
    await feed._close_publisher()
    with Redis.from_url(redis_url) as redis:
        raw = redis.xrange(input_stream(prefix))
        redis.delete(input_stream(prefix))
    entries = [decode_message(fields[IN_MESSAGE]).quotes for _, fields in raw]
    return quotes, [[(q.ts_us, q.bid_ticks) for q in entry] for entry in entries]


def every(count):
    while True:
        yield count


def at_random():
    chance = random.Random(3)  # noqa: S311 - the same pauses every time
    while True:
        yield chance.randint(1, 150)


@pytest.mark.parametrize("pace", [every(1), every(7), every(150), at_random()])
async def test_tape_is_conflated_in_its_own_time_at_any_pace(
    tmp_path, redis_url, stream_prefix, pace
):
    await prepare()

    quotes, entries = await told(tmp_path, redis_url, stream_prefix, pace)

    # Forty quotes a second in stretches of a tenth: the last of four each.
    stretches = groupby(quotes, key=lambda quote: quote.ts_us // (BATCH_MS * 1000))
    last = [list(group)[-1] for _, group in stretches]
    assert len(quotes) == 480
    assert len(last) == 120
    assert entries == [[(quote.ts_us, quote.bid_ticks)] for quote in last]


def quote(bid, symbol="BTCUSDT"):
    return Quote(symbol, bid, bid + 8, bid)


async def test_what_a_lost_log_has_missed_becomes_one_entry_of_the_newest_prices():
    feeder = Feeder(source=None, guards=None)
    for stretch in range(3):
        feeder.put(quote(100 + stretch), stretch)
    feeder.put(quote(7, "ETHUSDT"), 1)
    taken = feeder.finished(2)
    feeder.give_back(taken)

    assert [entry["BTCUSDT"].bid_ticks for entry in taken] == [100, 101]
    (entry,) = feeder.finished(9)
    assert {symbol: one.bid_ticks for symbol, one in entry.items()} == {
        "BTCUSDT": 102,
        "ETHUSDT": 7,
    }
    assert feeder.finished(9) == []


async def test_log_that_is_away_for_long_costs_no_memory():
    feeder = Feeder(source=None, guards=None)
    for stretch in range(10_000):
        feeder.put(quote(100 + stretch), stretch)

    assert len(feeder.for_log) <= 51
    assert feeder.finished(10_001)[-1]["BTCUSDT"].bid_ticks == 10_099
