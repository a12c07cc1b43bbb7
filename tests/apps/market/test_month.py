"""The real candles of January 2022 go through the whole path and come back as the same candles, on both servers.

Tape -> replay -> guards -> conflation in the tape's own time -> log -> engine -> candle writer -> store -> GET /candles. What is
expected is computed from the file by pandas and Decimal, with no line of the product. Every twentieth second of the tape is told, the
extremes among them (TAPE_STEP=1 tells all of them, in `make nightly`).
"""

import os
from decimal import ROUND_FLOOR, Decimal

import pandas as pd
import pytest
from asgiref.sync import async_to_sync
from django.db import connections
from redis import Redis
from rest_framework.test import APIClient
from typing_extensions import override

from apps.market import selectors, services
from apps.market.candles.check import higher_differ
from apps.market.candles.intervals import INTERVALS, MINUTE_MS
from apps.market.feed.pins import source_classes_pin
from apps.market.feed.positions import PositionFile
from apps.market.feed.publisher import Publisher
from apps.market.feed.replay import ReplaySource
from apps.market.feed.service import FeedService
from apps.market.models import Instrument
from engine.core.machine import Machine
from engine.messages.codec import content_digest, decode_message
from engine.messages.streams import IN_MESSAGE, input_stream
from engine.values import SourceClass, entry_id_from_text
from tests.apps.market.candle_support import plain_store, timescale_store, writer_of
from tests.apps.market.support import SHARED, FakeClock, TapeClocks
from tests.apps.market.timescale_server import connect, timescale_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    # Half a million quotes on a busy machine.
    pytest.mark.timeout(900 if os.environ.get("TAPE_STEP") is None else 7_200),
]

TAPE = SHARED / "market" / "btc_perp_1m_2022-01.csv"
STEP = int(os.environ.get("TAPE_STEP", "20"))
QUOTES_EACH = len(range(0, 59, STEP)) + 1
# Of BTCUSDT in the catalogue: one decimal, and half of the spread below the tape's price.
SPREAD_TICKS, BELOW_TICKS = 8, 4
READ_AT_ONCE = 5_000


class TapeLog(Publisher):
    """The feed's way out into a log whose clock is the tape's."""

    @override
    def _entry_id(self, quotes):
        return f"{max(quote.ts_us for quote in quotes) // 1000}-*"


class Unwritten(PositionFile):
    """A position that nobody goes on from; writing it each second of a month would take minutes."""

    @override
    def write(self, position):
        pass


class TapeClock(FakeClock):
    """Nothing else wants the loop, so telling a quote costs no turn of it."""

    @override
    async def sleep(self, seconds):
        self.us += round(seconds * 1_000_000)


class InBoth:
    """One store for whoever asks, and another that gets the same candles."""

    def __init__(self, asked, other):
        self._asked, self._other = asked, other

    def __getattr__(self, name):
        return getattr(self._asked, name)

    def write(self, rows, **position):
        self._asked.write(rows, **position)
        self._other.write(rows, **position)

    def refresh(self, *span):
        self._asked.refresh(*span)
        self._other.refresh(*span)


async def tell(feed, clock):
    """Let the feed take the tape to its end, and write whenever some stretches of time have ended."""
    await feed._prepare()
    await feed._keep_lease()
    await feed._write_log()
    (feeder,) = feed._feeders
    feeder.covered = frozenset(await feeder.source.open()) & feeder.wanted
    feed._assign()
    async for batch in feeder.source.quotes(feeder.covered):
        feed._take(feeder, batch)
        if len(feeder.for_log) >= 40:
            await feed._write_log()
    await clock.sleep(1)
    await feed._write_log()
    await feed._close_publisher()
    return feeder


@pytest.fixture
def told(transactional_db, stream_prefix, redis_url, tmp_path):
    """The log after the whole tape, and what the feed says of itself."""
    services.catalogue_install()
    source_classes_pin({"BTCUSDT": SourceClass.REPLAY})
    # A tape of every twentieth second needs patience, since nobody confirms its silence here, and the room for jumps of thin coins.
    Instrument.objects.filter(symbol="BTCUSDT").update(
        quote_age_us_max=30_000_000, jump_ppm_max=50_000
    )
    selectors.instruments_refresh()
    clock = TapeClock()
    clock.us = pd.Timestamp("2021-12-31 23:01:00").value // 1000
    feed = FeedService(
        sources_build=lambda instruments: [
            ReplaySource(
                path=TAPE,
                instrument=instruments["BTCUSDT"],
                speed=1.0,
                position_file=Unwritten(tmp_path / "position.json"),
                clock=clock,
                is_looping=False,
                step=STEP,
            )
        ],
        publisher=TapeLog(
            log_redis_url=redis_url,
            redis_url=redis_url,
            prefix=stream_prefix,
            shards=1,
            monotonic=lambda: 0.0,
        ),
        batch_ms=100,
        clock=clock,
        clocks=TapeClocks(clock),
    )
    try:
        yield async_to_sync(tell)(feed, clock)
    finally:
        connections.close_all()
        with Redis.from_url(redis_url) as redis:
            redis.delete(input_stream(stream_prefix))


def entries_of(redis_url, prefix):
    """Yield (id, message) of the whole log."""
    with Redis.from_url(redis_url) as redis:
        begin = "-"
        while entries := redis.xrange(input_stream(prefix), begin, "+", READ_AT_ONCE):
            for entry_id, fields in entries:
                yield entry_id.decode(), decode_message(fields[IN_MESSAGE])
            begin = f"({entries[-1][0].decode()}"


def ticks(text):
    return int((Decimal(text) * 10).to_integral_value(ROUND_FLOOR))


def expected_from(tape):
    """Return the bid's (beginning in ms, open, high, low, close) of candles of the tape's prices."""
    return [
        (int(at.value // 1_000_000), *(int(price) - BELOW_TICKS for price in prices))
        for at, prices in zip(
            tape.index,
            tape[["open", "high", "low", "close"]].itertuples(index=False),
            strict=True,
        )
    ]


@pytest.mark.skipif(not TAPE.exists(), reason="needs the tape in ../shared")
def test_real_month_comes_back_through_the_whole_path(told, redis_url, stream_prefix):
    tape = pd.read_csv(TAPE, dtype=str, parse_dates=["timestamp"], index_col="timestamp")
    for name in ("open", "high", "low", "close"):
        tape[name] = tape[name].map(ticks)
    assert len(tape) == 45_031
    minutes = expected_from(tape)
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    longer = {"1h": "1h", "1d": "1D"}
    expected = {"1m": minutes} | {
        name: expected_from(tape.resample(rule).agg(how)) for name, rule in longer.items()
    }

    # The guards have let everything pass, and every quote is an entry of its own.
    assert told.guards.refusals == {}
    assert told.guards.accepted == QUOTES_EACH * len(tape)
    accepted = accepted_by_engine(redis_url, stream_prefix)
    assert len(accepted) == QUOTES_EACH * len(tape)

    with timescale_server() as conninfo:
        stores = plain_store(), timescale_store(connect(conninfo))
        written = writer_of(stream_prefix, redis_url, redis_url, lambda: InBoth(*stores))
        assert written.write_available() == QUOTES_EACH * len(tape)
        span = minutes[0][0], minutes[-1][0]
        for store in stores:
            store.refresh(*span)
            for name, candles in expected.items():
                found = store.read("BTCUSDT", INTERVALS[name], 0, 2 * span[1])
                assert [bars(one) for one in found] == candles, name
            assert list(higher_differ(store, *span)) == []
            # What the engine has accepted is what the candles are made of.
            found = store.read("BTCUSDT", INTERVALS["1m"], 0, 2 * span[1])
            assert [(one.open_ms, one.bid_high, one.bid_low, one.quotes) for one in found] == (
                folded(accepted)
            )
            store.close()

    for name, candles in expected.items():
        assert asked(name, candles[0][0]) == candles, name


def bars(candle):
    assert candle.mid_high == 2 * candle.bid_high + SPREAD_TICKS
    assert candle.ask_low == candle.bid_low + SPREAD_TICKS
    return (candle.open_ms, candle.bid_open, candle.bid_high, candle.bid_low, candle.bid_close)


def accepted_by_engine(redis_url, prefix):
    """Return (time in ms, bid) of each quote that the engine has made its price."""
    machine, accepted = Machine(), []
    definitions = [c for c in services.definition_commands() if c.spec.symbol == "BTCUSDT"]
    for number, command in enumerate(definitions, start=1):
        assert machine.decide(number, command, content_digest(command)) is not None
    instrument = machine.state.instrument_by_symbol["BTCUSDT"]
    for entry_id, message in entries_of(redis_url, prefix):
        outcome = machine.decide(entry_id_from_text(entry_id), message)
        assert outcome is None, outcome
        accepted.append((instrument.ts_us // 1000, instrument.bid))
    return accepted


def folded(accepted):
    """Return (minute in ms, highest, lowest, count) of accepted prices."""
    frame = pd.DataFrame(accepted, columns=["at", "bid"])
    whole = frame.groupby(frame["at"] // MINUTE_MS * MINUTE_MS).bid.agg(["max", "min", "count"])
    return [tuple(map(int, row)) for row in whole.itertuples()]


def asked(interval, since_ms):
    """Return what GET /candles says, page by page."""
    client, rows, start_ms = APIClient(), [], since_ms
    while True:
        answer = client.get(
            "/api/v1/candles",
            {"symbol": "BTC", "interval": interval, "limit": 1000, "startTime": start_ms},
        )
        assert answer.status_code == 200, answer.content
        page = answer.json()["data"]["data"]
        rows += [(row[0], *(ticks(text) for text in row[1:5])) for row in page]
        if len(page) < 1000:
            return rows
        start_ms = page[-1][0] + 1
