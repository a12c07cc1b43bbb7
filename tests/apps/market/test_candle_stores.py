"""The same candles on both servers: PostgreSQL from the wheel and a real TimescaleDB give the answers that pandas computes.

Minutes are random but seeded, with gaps, over month and week ends. What is compared: every interval, late changes, provenance.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cache

import msgspec
import pandas as pd
import pytest

from apps.market.candles.candle import Candle, Sources
from apps.market.candles.check import higher_differ
from apps.market.candles.intervals import INTERVALS, MINUTE_MS, MINUTES
from apps.market.candles.store import CandleStore
from tests.apps.market.candle_support import plain_store, timescale_store
from tests.apps.market.timescale_server import connect, timescale_server

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

# The 20th of January 2026, 00:00 UTC; with 50,000 minutes two month ends lie in it.
START_MS = 1_768_867_200_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "DOGEUSDT", "XRPUSDT")
MINUTES_EACH = 50_000
LONGER = [interval for interval in INTERVALS.values() if interval is not MINUTES]


@pytest.fixture(scope="module")
def timescale() -> Iterator[CandleStore]:
    with timescale_server() as conninfo:
        connection = connect(conninfo)
        yield CandleStore(connection)
        connection.close()


@pytest.fixture(params=["plain", "timescale"])
def store(request, transactional_db) -> Iterator[CandleStore]:
    if request.param == "plain":
        store = plain_store()
        yield store
        store.close()
        return
    yield timescale_store(request.getfixturevalue("timescale").connection)


@cache
def random_minutes(symbol: str, count: int) -> tuple[Candle, ...]:
    draw = random.Random(symbol)  # noqa: S311 - not a secret
    mid = 200_000
    candles = []
    for number in range(count):
        if draw.random() < 0.03:
            continue
        values = [mid - 300 + int(draw.random() * 601) for _ in range(4)]
        mids = (values[0], max(values), min(values), values[3])
        bids = [value // 2 - 4 for value in mids]
        mid = values[3]
        candles.append(
            Candle(
                START_MS + number * MINUTE_MS,
                *bids,
                *mids,
                mids[1] // 2 + 5,
                mids[2] // 2 + 3,
                1 + int(draw.random() * 600),
                draw.choice((1, 4, 8)),
                0,
                int(draw.random() * 60_000_000),
            )
        )
    return tuple(candles)


def by_pandas(candles: Sequence[Candle], interval: str) -> list[tuple[int, ...]]:
    return aggregated(frame_of(candles), interval)


NAMES = [
    *("bid_open", "bid_high", "bid_low", "bid_close", "mid_open", "mid_high", "mid_low"),
    *("mid_close", "ask_high", "ask_low", "quotes"),
]
HOW = {"open": "first", "high": "max", "low": "min", "close": "last"}
RULES = {"5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h", "1d": "1D"}
RULES |= {"1w": "W-MON", "1M": "MS"}


def frame_of(candles: Sequence[Candle]) -> pd.DataFrame:
    return pd.DataFrame(
        [stated(candle)[1:] for candle in candles],
        columns=NAMES,
        index=pd.to_datetime([candle.open_ms for candle in candles], unit="ms", utc=True),
    )


def aggregated(frame: pd.DataFrame, interval: str) -> list[tuple[int, ...]]:
    """Aggregate minutes independently of every line of the product."""
    how = {name: HOW[name.partition("_")[2]] for name in NAMES[:-1]} | {"quotes": "sum"}
    options = {"closed": "left", "label": "left"} if interval == "1w" else {}
    whole = frame.resample(RULES[interval], **options).agg(how)
    # Stretches without a minute have no candle.
    whole = whole[whole.quotes > 0]
    times = (whole.index - pd.Timestamp(0, tz="UTC")) // pd.Timedelta("1ms")
    return [
        (int(at), *(int(value) for value in row))
        for at, row in zip(times, whole.itertuples(index=False), strict=True)
    ]


def stated(candle: Candle) -> tuple[int, ...]:
    return (
        *(candle.open_ms, candle.bid_open, candle.bid_high, candle.bid_low, candle.bid_close),
        *(candle.mid_open, candle.mid_high, candle.mid_low, candle.mid_close),
        *(candle.ask_high, candle.ask_low, candle.quotes),
    )


@cache
def expected(symbol: str, interval: str) -> list[tuple[int, ...]]:
    """Return what both servers must answer for all minutes of the symbol."""
    return by_pandas(random_minutes(symbol, MINUTES_EACH), interval)


def test_two_hundred_thousand_minutes_and_their_aggregates(store):
    minutes = {symbol: random_minutes(symbol, MINUTES_EACH) for symbol in SYMBOLS}
    count = sum(
        store.add([(symbol, candle, "test") for candle in candles], is_replacing=False)
        for symbol, candles in minutes.items()
    )
    store.refresh(START_MS, START_MS + MINUTES_EACH * MINUTE_MS)

    assert count == sum(map(len, minutes.values())) > 190_000
    for symbol, candles in minutes.items():
        assert [stated(one) for one in store.read(symbol, MINUTES, 0, 2 * START_MS)] == [
            stated(one) for one in candles
        ]
        for interval in LONGER:
            found = [stated(one) for one in store.read(symbol, interval, 0, 2 * START_MS)]
            assert found == expected(symbol, interval.name), (symbol, interval.name)
    # Each is what pandas says; that the check agrees is shown by one of them.
    until_ms = START_MS + MINUTES_EACH * MINUTE_MS
    assert list(higher_differ(store, START_MS, until_ms, symbol=SYMBOLS[0])) == []


def test_change_far_back_reaches_every_longer_candle(store):
    minutes = random_minutes("BTCUSDT", 3_000)
    store.add([("BTCUSDT", candle, None) for candle in minutes], is_replacing=False)
    store.refresh(START_MS, START_MS + 3_000 * MINUTE_MS)
    minutes = list(minutes)
    changed = minutes[100] = msgspec.structs.replace(minutes[100])
    changed.bid_low, changed.ask_high, changed.quotes = 1, 10**9, 7

    assert store.add([("BTCUSDT", changed, "corrected")], is_replacing=False) == 0
    assert store.add([("BTCUSDT", changed, "corrected")], is_replacing=True) == 1
    store.refresh(changed.open_ms, changed.open_ms)

    for interval in LONGER:
        found = [stated(one) for one in store.read("BTCUSDT", interval, 0, 2 * START_MS)]
        assert found == by_pandas(minutes, interval.name), interval.name


def test_scattered_minutes_of_several_symbols_come_and_change_in_one_statement(store):
    draw = random.Random(5)  # noqa: S311 - not a secret
    minutes = {
        symbol: sorted(
            draw.sample(random_minutes(symbol, MINUTES_EACH), 300), key=lambda one: one.open_ms
        )
        for symbol in SYMBOLS[:2]
    }
    # Neighbours, too: some hours without a hole.
    minutes["XRPUSDT"] = list(random_minutes("XRPUSDT", 500))
    store.add(rows_of(minutes), is_replacing=False)
    for candles in minutes.values():
        for number in draw.sample(range(len(candles)), 50):
            one = candles[number]
            candles[number] = msgspec.structs.replace(one, mid_high=one.mid_high + 7, bid_low=3)
    store.add(rows_of(minutes), is_replacing=True)
    store.refresh(START_MS, START_MS + MINUTES_EACH * MINUTE_MS)

    for symbol, candles in minutes.items():
        for interval in LONGER:
            found = [stated(one) for one in store.read(symbol, interval, 0, 2 * START_MS)]
            assert found == by_pandas(candles, interval.name), (symbol, interval.name)


def rows_of(minutes):
    return [(symbol, one, None) for symbol, candles in minutes.items() for one in candles]


def test_newest_minutes_are_in_every_longer_candle_without_a_refresh(store):
    minutes = random_minutes("BTCUSDT", 500)
    store.add([("BTCUSDT", candle, None) for candle in minutes[:400]], is_replacing=False)
    store.refresh(START_MS, START_MS + 300 * MINUTE_MS)

    store.write(
        [("BTCUSDT", candle, None) for candle in minutes[400:]], entry_id="1-0", ahead_quotes=3
    )

    assert store.position() == "1-0"
    for interval in LONGER:
        found = [stated(one) for one in store.read("BTCUSDT", interval, 0, 2 * START_MS)]
        assert found == by_pandas(minutes, interval.name), interval.name


def test_sources_of_a_longer_candle_are_those_of_its_minutes(store):
    rows = [
        ("BTCUSDT", Candle.of_quote(START_MS, 10, 11, 0, Sources.LIVE), None),
        ("BTCUSDT", Candle.of_quote(START_MS + MINUTE_MS, 10, 11, 0, Sources.BACKFILLED), "venue"),
    ]
    store.add(rows, is_replacing=False)
    store.refresh(START_MS, START_MS + MINUTE_MS)

    (day,) = store.read("BTCUSDT", INTERVALS["1d"], 0, 2 * START_MS)
    origins = store.connection.execute("SELECT origin FROM candles_1m ORDER BY open_time")

    assert Sources(day.sources) == Sources.LIVE | Sources.BACKFILLED
    assert origins.fetchall() == [(None,), ("venue",)]


def test_check_finds_a_longer_candle_that_is_not_its_aggregate(store):
    minutes = random_minutes("BTCUSDT", 300)
    store.add([("BTCUSDT", candle, None) for candle in minutes], is_replacing=False)
    store.refresh(START_MS, START_MS + 300 * MINUTE_MS)
    until_ms = START_MS + 300 * MINUTE_MS
    assert list(higher_differ(store, START_MS, until_ms)) == []

    damage(store)

    found = list(higher_differ(store, START_MS, until_ms))
    assert {(one.symbol, one.interval) for one in found} >= {("BTCUSDT", "1h")}


def damage(store):
    """Falsify one stored hour, behind everybody's back."""
    statement = "UPDATE {} SET bid_high = bid_high + 1 WHERE open_time = to_timestamp(%s)"
    relation = "candles_1h"
    if store.is_timescale:
        row = store.connection.execute(
            "SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)"
            " FROM timescaledb_information.continuous_aggregates WHERE view_name = 'candles_1h'"
        ).fetchone()
        relation = row[0]
    store.connection.execute(statement.format(relation), [START_MS // 1000])
