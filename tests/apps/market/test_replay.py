"""A tape plays as if it happened now: every second a quote inside its candle, no jump at the loop, and on from where it stopped."""

import itertools

import pytest

from apps.market.feed.base import SourceUnavailableError
from apps.market.feed.positions import PositionFile
from apps.market.feed.replay import Candle, ReplaySource, Tape
from engine.values import SourceClass
from tests.apps.market.support import SHARED, FakeClock, batches_take

HEADER = "timestamp,open,high,low,close,volume\n"
# Opens at 100.0, closes at 130.0: the second round is dearer by three tenths.
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
async def test_loop_goes_on_at_the_price_that_was_reached(tape_path, instruments, clock):
    quotes = await play(replay(tape_path, instruments, clock), 180 * 3 + 1)

    # Round two starts at 130.0 and is scaled by 1.3, round three at 169.0.
    assert [mid(quotes[k]) for k in (179, 180, 220, 359, 360)] == [1300, 1300, 1560, 1690, 1690]
    steps = [abs(mid(b) - mid(a)) for a, b in itertools.pairwise(quotes)]
    assert max(steps) <= 60


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
        '{"tape": "of another", "candle": 1, "second": 5, "ratio_above": 1, "ratio_below": 1}',
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
