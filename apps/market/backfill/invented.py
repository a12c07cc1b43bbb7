"""Invents the past of one instrument of the simulator: candles that end where its first quote stands.

Whole numbers all the way: a price is ticks with 20 more binary digits, a move a fraction of 2^30. Seed, instrument, time and
first quote decide every candle, so whoever makes them again gets the same.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import isqrt
from typing import Final

from apps.market.candles.candle import Candle, Sources
from apps.market.candles.intervals import DAY_MS, DAYS, INTERVALS, MINUTE_MS, MINUTES, Interval
from apps.market.candles.simulated import Beginning, Stretch
from apps.market.feed.base import RawQuote, quote_around
from apps.market.feed.characters import MARKET_VOLATILITY_PERCENT, Character, character_of
from apps.market.feed.markup import with_markup
from apps.market.selectors import InstrumentInfo

# How far back each length of candles is written; later ones are made of shorter ones. A screen has about a hundred candles and asks
# for sixty more. Of minutes there must be more than a day, since readers put the present day together from its minutes.
_MINUTES_MS: Final = 25 * 60 * MINUTE_MS
_QUARTERS_MS: Final = 5 * DAY_MS
_HOURS_MS: Final = 32 * DAY_MS
_YEARS_OF_DAYS: Final = 4
_SOURCES: Final = int(Sources.SIMULATED | Sources.BACKFILLED)

_PRICE_BITS: Final = 20
_MOVE_BITS: Final = 30
# Three bytes less this are a draw around zero whose deviation is 128: near enough to a normal one.
_DRAW_MIDDLE: Final = 382
_DRAW_BITS: Final = 7
# Of the weather, of which this is an ordinary day.
_WEATHER_BITS: Final = 7
_CALM: Final = 100
_WEATHER_MAX: Final = 640
# A storm begins with a byte below this, in one candle of fifty; a sixteenth of it is gone after each.
_STORM_BELOW: Final = 5
_MINUTES_PER_YEAR: Final = 365 * 24 * 60
# Pull towards the reference price per minute, of 2^30: half of a distance is gone after a year and a half.
_PULL: Final = 944
# Never below this share of the reference price.
_FLOOR_SHARE: Final = 20
_BYTES_PER_CANDLE: Final = 6


@dataclass(frozen=True, slots=True)
class _Common:
    """What all instruments share in one stretch of time, the newest candle first."""

    times: tuple[int, ...]
    # Move of the market, of 2^30.
    moves: tuple[int, ...]
    # How lively it was, of 2^7.
    weathers: tuple[int, ...]


def history_invent(info: InstrumentInfo, seed: int, beginning: Beginning) -> list[Stretch]:
    """Return the invented candles before an instrument's first quote: minutes of the last days, longer ones of before.

    Units: ticks, and half ticks of the mid. The newest closes at the first quote's bid and ask.
    Rounding: prices down to whole ticks, at least one.
    """
    price = beginning.bid_ticks << _PRICE_BITS
    spread_ticks = _spread_usual(info)
    character = character_of(info)
    stretches = []
    for interval, since_ms, until_ms in _spans(beginning.open_ms):
        common = _common(seed, interval, since_ms, until_ms)
        candles, price = _walk(info, character, seed, interval, common, price, spread_ticks)
        stretches.append(Stretch(interval, candles))
    if stretches[0].candles:
        _meet(stretches[0].candles[-1], beginning)
    return stretches


def _spans(first_ms: int) -> Iterator[tuple[Interval, int, int]]:
    """Yield which candles are written from when to when, the newest first.

    Each begins with a candle of the next, so that all longer candles are aggregates of whole shorter ones.
    """
    quarters, hours = INTERVALS["15m"], INTERVALS["1h"]
    minutes_ms = quarters.bucket(first_ms - _MINUTES_MS)
    quarters_ms = hours.bucket(first_ms - _QUARTERS_MS)
    hours_ms = DAYS.bucket(first_ms - _HOURS_MS)
    oldest = datetime.fromtimestamp(hours_ms // 1000, UTC)
    # With a month, so that the first one is whole.
    days_ms = int(oldest.replace(year=oldest.year - _YEARS_OF_DAYS, day=1).timestamp()) * 1000
    yield MINUTES, minutes_ms, first_ms
    yield quarters, quarters_ms, minutes_ms
    yield hours, hours_ms, quarters_ms
    yield DAYS, days_ms, hours_ms


def _spread_usual(info: InstrumentInfo) -> int:
    bid_ticks, ask_ticks = quote_around(info.reference_price_ticks, info.spread_ticks)
    bid_ticks, ask_ticks = with_markup(RawQuote(info.symbol, bid_ticks, ask_ticks, 0), info)
    return ask_ticks - bid_ticks


@lru_cache(maxsize=16)
def _common(seed: int, interval: Interval, since_ms: int, until_ms: int) -> _Common:
    """Return what the market did in these candles; kept, since all instruments ask for the same."""
    count = (until_ms - since_ms) // interval.length_ms
    # Counted back from a day's end, so that a first quote some minutes later meets the same market.
    end_ms = DAYS.bucket_after(DAYS.bucket(until_ms - 1))
    skipped = (end_ms - until_ms) // interval.length_ms
    draw = random.Random(f"{seed}:market:{interval.name}:{end_ms}")  # noqa: S311 - not a secret
    deviation = _deviation(MARKET_VOLATILITY_PERCENT, interval)
    moves, weathers = [], []
    storm = 0
    for _ in range(skipped + count):
        chance, strength, *drawn = draw.randbytes(5)
        storm -= storm >> 4
        if chance < _STORM_BELOW:
            storm += 32 + (strength >> 1)
        weather = min(_CALM + storm, _WEATHER_MAX)
        move = deviation * (sum(drawn) - _DRAW_MIDDLE) * weather
        moves.append(move >> (_DRAW_BITS + _WEATHER_BITS))
        weathers.append(weather)
    times = tuple(range(until_ms - interval.length_ms, since_ms - 1, -interval.length_ms))
    return _Common(times, tuple(moves[skipped:]), tuple(weathers[skipped:]))


def _deviation(volatility_percent: int, interval: Interval) -> int:
    """Return the standard deviation of one candle's move, of 2^30, for a volatility per year."""
    minutes = interval.length_ms // MINUTE_MS
    return (
        (volatility_percent << _MOVE_BITS)
        * isqrt(minutes * 10_000)
        // (100 * isqrt(_MINUTES_PER_YEAR * 10_000))
    )


def _walk(
    info: InstrumentInfo,
    character: Character,
    seed: int,
    interval: Interval,
    common: _Common,
    price: int,
    spread_ticks: int,
) -> tuple[list[Candle], int]:
    """Walk back from a price, which is ticks with more binary digits; return candles in the order of time, and where it ends."""
    draw = random.Random(f"{seed}:{info.symbol}:{interval.name}")  # noqa: S311 - not a secret
    drawn = draw.randbytes(_BYTES_PER_CANDLE * len(common.times))
    columns = [drawn[offset::_BYTES_PER_CANDLE] for offset in range(_BYTES_PER_CANDLE)]
    deviation = _deviation(character.volatility_percent, interval)
    whole = _deviation(
        isqrt(
            character.volatility_percent**2
            + (character.beta_percent * MARKET_VOLATILITY_PERCENT // 100) ** 2
        ),
        interval,
    )
    beta = character.beta_percent
    minutes = interval.length_ms // MINUTE_MS
    pull = _PULL * minutes
    reference = info.reference_price_ticks << _PRICE_BITS
    floor = max(reference // _FLOOR_SHARE, 2 << _PRICE_BITS)
    quotes = character.quotes_per_minute * minutes
    candles = []
    close_ticks = price >> _PRICE_BITS
    for open_ms, market, weather, one, two, three, up, down, busy in zip(
        common.times, common.moves, common.weathers, *columns, strict=True
    ):
        own = deviation * (one + two + three - _DRAW_MIDDLE) * weather >> (
            _DRAW_BITS + _WEATHER_BITS
        )
        move = beta * market // 100 + own
        price += ((reference - price) * pull >> _MOVE_BITS) - (price * move >> _MOVE_BITS)
        price = max(price, floor)
        # Further than open and close it went by up to a deviation on each side, seldom so far.
        reach = (price >> _PRICE_BITS) * (whole * weather >> _WEATHER_BITS) >> 16
        open_ticks = price >> _PRICE_BITS
        high, low = (
            (open_ticks, close_ticks) if open_ticks > close_ticks else (close_ticks, open_ticks)
        )
        high += reach * up * up >> _MOVE_BITS
        low = max(1, low - (reach * down * down >> _MOVE_BITS))
        candles.append(
            Candle(
                open_ms,
                *(open_ticks, high, low, close_ticks),
                2 * open_ticks + spread_ticks,
                2 * high + spread_ticks,
                2 * low + spread_ticks,
                2 * close_ticks + spread_ticks,
                *(high + spread_ticks, low + spread_ticks),
                max(1, quotes * weather * (64 + busy) >> 15),
                _SOURCES,
            )
        )
        close_ticks = open_ticks
    candles.reverse()
    return candles, price


def _meet(candle: Candle, beginning: Beginning) -> None:
    """Let the newest candle end at the first quote's mid and ask too."""
    ask_ticks = beginning.mid_half_ticks - beginning.bid_ticks
    candle.mid_close = beginning.mid_half_ticks
    candle.mid_high = max(candle.mid_high, candle.mid_close)
    candle.mid_low = min(candle.mid_low, candle.mid_close)
    candle.ask_high = max(candle.ask_high, ask_ticks)
    candle.ask_low = min(candle.ask_low, ask_ticks)
