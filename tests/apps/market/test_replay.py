"""A tape plays as if it happened now: every second a quote inside its candle, no jump at the loop, and on from where it stopped."""

import pandas as pd
import pytest

from apps.market.feed.base import SourceUnavailableError
from apps.market.feed.positions import PositionFile
from apps.market.feed.replay import Candle, ReplaySource, Tape
from apps.market.feed.sources import FeedSettingError, sources_from
from engine.values import SourceClass
from tests.apps.market.support import SHARED, FakeClock, batches_take

HEADER = "timestamp,open,high,low,close,volume\n"
SMALL = HEADER + (
    "2022-01-01 00:00:00.000000,100.0,120.0,90.0,110.0,1\n"
    "2022-01-01 00:01:00.000000,110.0,115.0,80.0,85.5,1\n"
    "2022-01-01 00:05:00.000000,85.5,140.0,85.5,130.0,1\n"
)
REAL = SHARED / "market" / "btc_perp_1m_2022-01.csv"


@pytest.fixture
def tape_path(tmp_path):
    path = tmp_path / "tape.csv"
    path.write_text(SMALL)
    return path


def replay(path, instruments, clock, *, speed=1.0, position=None):
    return ReplaySource(
        path=path,
        instrument=instruments["BTCUSDT"],
        speed=speed,
        position_file=PositionFile(position or path.with_name("position.json")),
        clock=clock,
    )


async def play(source, count):
    assert await source.open() == ("BTCUSDT",)
    batches = await batches_take(source.quotes(["BTCUSDT"]), count)
    return [quote for batch in batches for quote in batch]


def mid(quote):
    # The spread of 0.8 lies evenly around the price.
    return (quote.bid_ticks + quote.ask_ticks) // 2


@pytest.mark.parametrize(
    ("candle", "corners"),
    [
        # Rising: open, low, high, close. Falling: open, high, low, close.
        (Candle(1000, 1200, 900, 1100), {0: 1000, 20: 900, 40: 1200, 59: 1100}),
        (Candle(1100, 1150, 800, 855), {0: 1100, 20: 1150, 40: 800, 59: 855}),
        (Candle(500, 500, 500, 500), {0: 500, 20: 500, 40: 500, 59: 500}),
    ],
)
def test_minute_visits_its_four_prices_and_stays_between_them(candle, corners):
    path = [candle.price_at(second) for second in range(60)]

    assert {second: path[second] for second in corners} == corners
    assert (min(path), max(path)) == (candle.low_ticks, candle.high_ticks)


@pytest.mark.asyncio
async def test_one_quote_per_second_of_tape_with_the_time_of_now(tape_path, instruments, clock):
    begun = clock.now_us()

    quotes = await play(replay(tape_path, instruments, clock), 180)

    assert [quote.ts_us - begun for quote in quotes] == [k * 1_000_000 for k in range(180)]
    assert {quote.ask_ticks - quote.bid_ticks for quote in quotes} == {8}
    assert [mid(quotes[k]) for k in (0, 20, 40, 59, 60, 179)] == [1000, 900, 1200, 1100, 1100, 1300]


@pytest.mark.asyncio
async def test_speed_shortens_the_time_between_quotes(tape_path, instruments, clock):
    begun = clock.now_us()

    quotes = await play(replay(tape_path, instruments, clock, speed=20.0), 61)

    assert quotes[-1].ts_us - begun == 3_000_000
    assert mid(quotes[60]) == 1100


@pytest.mark.asyncio
async def test_loop_turns_round_at_both_ends_without_a_jump(tape_path, instruments, clock):
    quotes = await play(replay(tape_path, instruments, clock), 180 * 3)

    forwards = [mid(quote) for quote in quotes[:180]]
    assert [mid(quote) for quote in quotes[180:359]] == forwards[-2::-1]
    assert [mid(quote) for quote in quotes[358:538]] == forwards


@pytest.mark.asyncio
async def test_hundred_rounds_stay_within_the_tape(tape_path, instruments, clock):
    quotes = await play(replay(tape_path, instruments, clock, speed=3600.0), 180 * 100)

    assert (min(map(mid, quotes)), max(map(mid, quotes))) == (800, 1400)


@pytest.mark.asyncio
async def test_tape_that_does_not_loop_ends_and_begins_anew(tape_path, instruments, clock):
    source = ReplaySource(
        path=tape_path,
        instrument=instruments["BTCUSDT"],
        speed=1.0,
        position_file=PositionFile(tape_path.with_name("position.json")),
        clock=clock,
        is_looping=False,
    )

    assert len(await play(source, 1_000)) == 180
    assert mid((await play(source, 1))[0]) == 1000


@pytest.mark.parametrize(
    ("at", "first"), [("00:00:00", 1000), ("00:01:00", 1100), ("00:02:00", 855)]
)
@pytest.mark.asyncio
async def test_tape_plays_from_a_time(tape_path, instruments, clock, at, first):
    (source,) = sources_from(
        [f"replay:{tape_path}?from=2022-01-01T{at}"],
        instruments=instruments,
        data_dir=tape_path.parent,
        base_dir=tape_path.parent,
        clock=clock,
    )

    assert mid((await play(source, 1))[0]) == first


@pytest.mark.parametrize("options", ["loop=2", "from=yesterday", "speed=0", "symbol=NOPE", "x=1"])
def test_setting_that_means_nothing_is_refused(tape_path, instruments, clock, options):
    with pytest.raises(FeedSettingError):
        sources_from(
            [f"replay:{tape_path}?{options}"],
            instruments=instruments,
            data_dir=tape_path.parent,
            base_dir=tape_path.parent,
            clock=clock,
        )


@pytest.mark.asyncio
async def test_time_after_the_tape_is_an_unavailable_source(tape_path, instruments, clock):
    (source,) = sources_from(
        [f"replay:{tape_path}?from=2023-01-01"],
        instruments=instruments,
        data_dir=tape_path.parent,
        base_dir=tape_path.parent,
        clock=clock,
    )

    with pytest.raises(SourceUnavailableError):
        await source.open()


@pytest.mark.asyncio
async def test_parquet_tape_plays_like_the_same_csv(tape_path, instruments):
    other = tape_path.with_suffix(".parquet")
    pd.read_csv(tape_path, parse_dates=["timestamp"]).to_parquet(other)

    by_csv = await play(replay(tape_path, instruments, FakeClock()), 180)
    by_parquet = await play(
        replay(other, instruments, FakeClock(), position=tape_path.with_name("p.json")), 180
    )

    assert by_parquet == by_csv


@pytest.mark.asyncio
async def test_later_start_goes_on_where_the_tape_stopped(tape_path, instruments):
    whole = await play(replay(tape_path, instruments, FakeClock()), 300)
    position = tape_path.with_name("other.json")

    first = await play(replay(tape_path, instruments, FakeClock(), position=position), 200)
    second = await play(replay(tape_path, instruments, FakeClock(), position=position), 100)

    assert [mid(q) for q in first + second] == [mid(q) for q in whole]


@pytest.mark.asyncio
async def test_killed_process_goes_back_a_second_at_most(tape_path, instruments, clock):
    source = replay(tape_path, instruments, clock)
    await source.open()
    batches = source.quotes(["BTCUSDT"])
    played = [(await anext(batches))[0] for _ in range(100)]

    # Nothing of the first source is closed: the second finds what was written on the way.
    again = await play(replay(tape_path, instruments, FakeClock()), 1)
    await batches.aclose()

    assert mid(again[0]) in {mid(quote) for quote in played[-2:]}


@pytest.mark.parametrize(
    "position",
    [
        "",
        "not json",
        "[]",
        '{"tape": "of another", "candle": 1, "second": 5, "is_backwards": false}',
        '{"candle": 99}',
    ],
)
@pytest.mark.asyncio
async def test_position_that_does_not_fit_starts_the_tape_anew(
    tape_path, instruments, clock, position
):
    tape_path.with_name("position.json").write_text(position)

    quotes = await play(replay(tape_path, instruments, clock), 1)

    assert mid(quotes[0]) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        "time,price\n1,2\n",
        HEADER + "2022-01-01,100,99,90,110,1\n",
        HEADER + "2022-01-01,0,0,0,0,1\n",
        HEADER + "2022-01-01,1e3,1e3,1e3,1e3,1\n",
        HEADER + "2022-01-01,100,120,90\n",
    ],
)
@pytest.mark.asyncio
async def test_tape_that_is_none_is_an_unavailable_source(tmp_path, instruments, clock, text):
    path = tmp_path / "bad.csv"
    path.write_text(text)

    with pytest.raises(SourceUnavailableError):
        await replay(path, instruments, clock).open()


@pytest.mark.asyncio
async def test_missing_tape_is_an_unavailable_source(tmp_path, instruments, clock):
    with pytest.raises(SourceUnavailableError):
        await replay(tmp_path / "none.csv", instruments, clock).open()


@pytest.mark.skipif(not REAL.is_file(), reason="needs ../shared, absent in a plain clone")
@pytest.mark.asyncio
async def test_real_tape_plays_inside_its_candles(tmp_path, instruments, clock):
    tape = Tape(REAL, instruments["BTCUSDT"].price_decimals)
    source = replay(REAL, instruments, clock, position=tmp_path / "position.json")

    quotes = await play(source, 3600)

    assert len(tape) == 45_031
    assert source.source_class is SourceClass.REPLAY
    for index in range(60):
        minute = [mid(quote) for quote in quotes[60 * index : 60 * index + 60]]
        candle = tape[index]
        assert (minute[0], minute[-1]) == (candle.open_ticks, candle.close_ticks)
        assert (min(minute), max(minute)) == (candle.low_ticks, candle.high_ticks)


@pytest.mark.parametrize("step", [1, 2, 4, 5, 10, 20])
@pytest.mark.asyncio
async def test_coarser_tape_leads_through_every_corner_at_the_same_times(
    tape_path, instruments, clock, step
):
    (source,) = sources_from(
        [f"replay:{tape_path}?loop=0&step={step}"],
        instruments=instruments,
        data_dir=tape_path.parent,
        base_dir=tape_path.parent,
        clock=clock,
    )
    begun = clock.now_us()

    told = {(quote.ts_us - begun) // 1_000_000: mid(quote) for quote in await play(source, 1_000)}

    assert sorted(told) == [60 * k + s for k in range(3) for s in (*range(0, 59, step), 59)]
    corners = [told[60 * k + s] for k in range(3) for s in (0, 20, 40, 59)]
    assert corners == [1000, 900, 1200, 1100, 1100, 1150, 800, 855, 855, 855, 1400, 1300]


@pytest.mark.asyncio
async def test_coarser_tape_turns_round_at_both_ends(tape_path, instruments, clock):
    (source,) = sources_from(
        [f"replay:{tape_path}?step=20"],
        instruments=instruments,
        data_dir=tape_path.parent,
        base_dir=tape_path.parent,
        clock=clock,
    )
    begun = clock.now_us()

    quotes = await play(source, 12 + 11 + 11)

    forwards = [mid(quote) for quote in quotes[:12]]
    assert [mid(quote) for quote in quotes[12:23]] == forwards[-2::-1]
    assert [mid(quote) for quote in quotes[23:34]] == forwards[1:]
    # Three minutes less a second, twice, and forwards again.
    assert (quotes[33].ts_us - begun) // 1_000_000 == 3 * 179
