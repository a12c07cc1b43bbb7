"""Quotes become candles, in whatever order they come; longer candles are the aggregates of shorter ones."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.market.candles.builder import CandleBuilder, LogQuotes
from apps.market.candles.candle import Candle, Sources, joined
from apps.market.candles.intervals import INTERVALS, MINUTE_MS
from engine.messages.commands import Quote, UpdateQuotes
from engine.values import SourceClass
from tests.apps.market.candle_support import NOON_MS


def entry(*quotes, at_ms=None, source_class=SourceClass.LIVE, number=1):
    stated = tuple(Quote("BTCUSDT", bid, ask, us) for bid, ask, us in quotes)
    message = UpdateQuotes(
        source="test", source_class=source_class, feed_epoch=1, sequence=number, quotes=stated
    )
    return LogQuotes(stated[-1].ts_us // 1000 if at_ms is None else at_ms, message)


def test_candle_has_the_quotes_of_its_minute_bid_mid_and_ask():
    builder = CandleBuilder()
    start_us = NOON_MS * 1000

    builder.take(entry((100, 104, start_us)))
    builder.take(entry((97, 110, start_us + 20_000_000)))
    builder.take(entry((103, 105, start_us + 59_999_999)))
    builder.take(entry((90, 91, start_us + 60_000_000)))

    first, second = builder.candles.values()
    assert (first.bid_open, first.bid_high, first.bid_low, first.bid_close) == (100, 103, 97, 103)
    assert (first.mid_open, first.mid_high, first.mid_low, first.mid_close) == (204, 208, 204, 208)
    assert (first.ask_high, first.ask_low, first.quotes) == (110, 104, 3)
    assert (second.open_ms, second.bid_open, second.quotes) == (NOON_MS + MINUTE_MS, 90, 1)


def test_row_is_exact_text_of_either_side():
    candle = Candle.of_quote(NOON_MS, 775_001, 775_008, 0, Sources.LIVE)

    assert candle.row("bid", 1) == f'[{NOON_MS},"77500.1","77500.1","77500.1","77500.1","1"]'
    assert candle.row("mid", 1) == f'[{NOON_MS},"77500.45","77500.45","77500.45","77500.45","1"]'


def test_quote_from_ahead_of_its_entry_counts_at_the_time_of_the_entry():
    builder = CandleBuilder()

    builder.take(entry((100, 101, (NOON_MS + 3_600_000) * 1000), at_ms=NOON_MS + 5))

    assert list(builder.candles) == [("BTCUSDT", NOON_MS)]
    assert builder.ahead == 1


def test_older_candle_is_asked_for_before_its_late_quote_is_taken():
    builder = CandleBuilder()
    builder.newest["BTCUSDT"] = NOON_MS
    late = entry((100, 101, (NOON_MS - MINUTE_MS) * 1000 + 30_000_000))

    asked = builder.missing((late,))
    stored = Candle.of_quote(NOON_MS - MINUTE_MS, 90, 91, 10, Sources.LIVE)
    builder.give(asked, dict.fromkeys(asked, stored))
    builder.take(late)

    assert asked == {("BTCUSDT", NOON_MS - MINUTE_MS)}
    assert (stored.bid_open, stored.bid_close, stored.quotes) == (90, 100, 2)


ticks = st.tuples(
    st.integers(1, 10**9), st.integers(0, 10**4), st.integers(0, 3 * MINUTE_MS * 1000 - 1)
)


@given(st.lists(ticks, min_size=1, max_size=60, unique_by=lambda tick: tick[2]), st.randoms())
def test_order_of_arrival_makes_no_difference(drawn, random):
    quotes = [(bid, bid + spread, NOON_MS * 1000 + offset) for bid, spread, offset in drawn]
    in_order, permuted = CandleBuilder(), CandleBuilder()
    for number, quote in enumerate(sorted(quotes, key=lambda one: one[2])):
        in_order.take(entry(quote, number=number))
    random.shuffle(quotes)

    for number, quote in enumerate(quotes):
        permuted.take(entry(quote, at_ms=NOON_MS + 3 * MINUTE_MS, number=number))

    assert permuted.candles == in_order.candles


@given(st.lists(ticks, min_size=1, max_size=60, unique_by=lambda tick: tick[2]))
def test_candles_say_what_their_quotes_say(drawn):
    builder = CandleBuilder()
    for bid, spread, offset in drawn:
        builder.take(
            entry((bid, bid + spread, NOON_MS * 1000 + offset), at_ms=NOON_MS + 3 * MINUTE_MS)
        )

    for (_, open_ms), candle in builder.candles.items():
        mine = sorted(
            (offset, bid, bid + spread)
            for bid, spread, offset in drawn
            if offset // (MINUTE_MS * 1000) * MINUTE_MS == open_ms - NOON_MS
        )
        bids, asks = [bid for _, bid, _ in mine], [ask for *_, ask in mine]
        mids = [bid + ask for _, bid, ask in mine]
        assert (candle.bid_open, candle.bid_close) == (bids[0], bids[-1])
        assert (candle.bid_high, candle.bid_low) == (max(bids), min(bids))
        assert (candle.mid_open, candle.mid_close) == (mids[0], mids[-1])
        assert (candle.mid_high, candle.mid_low) == (max(mids), min(mids))
        assert (candle.ask_high, candle.ask_low) == (max(asks), min(asks))
        assert candle.quotes == len(mine)


def test_joined_candles_are_one_candle_of_all_their_quotes():
    parts = [
        Candle(NOON_MS, 10, 12, 9, 11, 21, 25, 19, 23, 14, 10, 5, Sources.LIVE),
        Candle(NOON_MS + MINUTE_MS, 11, 20, 8, 15, 23, 41, 17, 31, 22, 9, 7, Sources.SIMULATED),
    ]

    whole = joined(NOON_MS, parts)

    expected = Candle(NOON_MS, 10, 20, 8, 15, 21, 41, 17, 31, 22, 9, 12, 5)
    assert whole == expected
    assert joined(NOON_MS, []) is None


MOMENT = datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "begins", "next_begins"),
    [
        ("1m", "2026-05-28 20:26", "2026-05-28 20:27"),
        ("5m", "2026-05-28 20:25", "2026-05-28 20:30"),
        ("15m", "2026-05-28 20:15", "2026-05-28 20:30"),
        ("30m", "2026-05-28 20:00", "2026-05-28 20:30"),
        ("1h", "2026-05-28 20:00", "2026-05-28 21:00"),
        ("4h", "2026-05-28 20:00", "2026-05-29 00:00"),
        ("1d", "2026-05-28 00:00", "2026-05-29 00:00"),
        ("1w", "2026-05-25 00:00", "2026-06-01 00:00"),
        ("1M", "2026-05-01 00:00", "2026-06-01 00:00"),
    ],
)
def test_candles_begin_on_the_calendar_of_utc(name, begins, next_begins):
    interval = INTERVALS[name]
    bucket = interval.bucket(int(MOMENT.timestamp()) * 1000)

    def text(ms):
        return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M")

    assert (text(bucket), text(interval.bucket_after(bucket))) == (begins, next_begins)
