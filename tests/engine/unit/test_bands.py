"""Safe bands: inside them no account can have reached its level, whatever moves together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bands import (
    QUEUES,
    Exposure,
    band_prices,
    newcomer_bands,
    spread_cushion,
    worst_ticks,
)
from engine.core.margin import BPS
from engine.core.triggers import ASK_FALLS, ASK_RISES, BID_FALLS, BID_RISES, PRICE_MAX

# (index, micro-USD per tick, price), at most one of each index and direction.
EXPOSURES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(st.integers(1, 10**9), st.integers(-(10**9), -1)),
        st.integers(1, 10**6),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: (row[0], row[1] > 0),
)
CUSHIONS = st.integers(1, 10**18)


def gross_of(rows: list[Exposure]) -> int:
    return sum(price * abs(weight) for _, weight, price in rows)


def split(rows: list[Exposure], cushion: int, *, is_recovery: bool) -> dict[int, int]:
    return band_prices(rows, gross_of(rows), cushion, is_recovery=is_recovery)


def test_a_lone_long_is_watched_where_its_cushion_ends() -> None:
    # 10 000 micro-USD a tick at 600 000 ticks, cushion 2.899e11: 2.899e11 / (10 000 * 1e4) = 2 899 ticks.
    rows = [(0, 10_000, 600_000)]

    assert split(rows, 289_900_000_000, is_recovery=False) == {BID_FALLS: 597_101}
    assert split(rows, 289_900_000_001, is_recovery=False) == {BID_FALLS: 597_100}
    assert split(rows, 289_900_000_000, is_recovery=True) == {BID_RISES: 602_899}


def test_a_lone_short_is_watched_the_other_way() -> None:
    rows = [(2, -10_000, 600_000)]

    assert split(rows, 289_900_000_000, is_recovery=False) == {2 * QUEUES + ASK_RISES: 602_899}
    assert split(rows, 289_900_000_000, is_recovery=True) == {2 * QUEUES + ASK_FALLS: 597_101}


def test_the_cushion_is_split_by_notional() -> None:
    # 600 of 900 USD and 300 of 900 USD, each of one unit a tick.
    rows = [(0, 1, 600), (1, 1, 300)]

    assert split(rows, 90 * BPS, is_recovery=False) == {
        BID_FALLS: 540,
        QUEUES + BID_FALLS: 270,
    }


def test_a_band_that_no_price_reaches_is_left_out() -> None:
    assert split([(0, 1, 600)], 600 * BPS, is_recovery=False) == {}
    assert split([(0, 1, 600)], 599 * BPS, is_recovery=False) == {BID_FALLS: 1}


def test_a_band_above_every_price_stands_where_no_quote_comes() -> None:
    assert split([(0, -1, 600)], 2**80 * BPS, is_recovery=False) == {ASK_RISES: PRICE_MAX}
    assert split([(0, -1, 600)], (PRICE_MAX - 601) * BPS, is_recovery=False) == {
        ASK_RISES: PRICE_MAX - 1
    }


def most_lost(rows: list[Exposure], bands: dict[int, int], *, is_recovery: bool) -> int:
    """Return what the exposures move at most while no price reaches a band, micro-USD."""
    moved = 0
    for index, weight, price in rows:
        is_long = weight > 0
        falls = is_long != is_recovery
        queue = (
            (BID_FALLS if falls else BID_RISES) if is_long else (ASK_FALLS if falls else ASK_RISES)
        )
        band = bands.get(index * QUEUES + queue)
        # The farthest price that leaves the band alone: one tick before it, or one tick above zero without a band.
        farthest = (1 if band is None else band + 1) if falls else band - 1
        moved += abs(price - farthest) * abs(weight)
    return moved


@given(EXPOSURES, CUSHIONS, st.booleans())
def test_strictly_inside_all_bands_the_cushion_is_never_used_up(
    rows: list[Exposure], cushion: int, is_recovery: bool
) -> None:
    bands = split(rows, cushion, is_recovery=is_recovery)

    assert most_lost(rows, bands, is_recovery=is_recovery) * BPS < cushion


@given(EXPOSURES, CUSHIONS)
def test_a_band_never_stands_at_the_present_price(rows: list[Exposure], cushion: int) -> None:
    prices = {(index, weight > 0): price for index, weight, price in rows}

    for is_recovery in (False, True):
        for slot, band in split(rows, cushion, is_recovery=is_recovery).items():
            index, queue = divmod(slot, QUEUES)
            price = prices[index, queue <= BID_RISES]
            assert (band < price) if queue in (BID_FALLS, ASK_FALLS) else (band > price)


@given(EXPOSURES, CUSHIONS)
def test_the_worst_price_of_each_band_is_the_last_that_leaves_it_alone(
    rows: list[Exposure], cushion: int
) -> None:
    bands = split(rows, cushion, is_recovery=False)

    for index, weight, price in rows:
        slot = index * QUEUES + (BID_FALLS if weight > 0 else ASK_RISES)
        worst = worst_ticks(slot, bands)
        if weight > 0:
            assert worst <= price
            assert worst - 1 == bands.get(slot, -1)
        else:
            assert worst >= price
            assert worst + 1 == bands[slot]


def test_without_a_band_a_long_may_lose_all_and_a_short_has_hardly_a_limit() -> None:
    assert worst_ticks(BID_FALLS, {}) == 0
    assert worst_ticks(5 * QUEUES + ASK_RISES, {}) == PRICE_MAX
    assert worst_ticks(5 * QUEUES + ASK_RISES, {5 * QUEUES + ASK_RISES: 700}) == 699
    assert worst_ticks(5 * QUEUES, {5 * QUEUES: 500}) == 501


@pytest.mark.parametrize(
    ("cushion", "given_away"),
    [
        # A quarter of the notional of 900 and less: all of it.
        (1, 1),
        (225 * BPS, 225 * BPS),
        # More: a quarter of it stays.
        (225 * BPS + 1, 225 * BPS + 1 - 562_500),
        (1_000 * BPS, 750 * BPS),
        (1_200 * BPS - 1, 900 * BPS),
        # No price needs more than its whole.
        (1_200 * BPS, 900 * BPS),
        (5_000 * BPS, 900 * BPS),
    ],
)
def test_of_an_ample_cushion_a_part_is_kept(cushion: int, given_away: int) -> None:
    assert spread_cushion(900, cushion) == given_away


@given(EXPOSURES, CUSHIONS)
def test_what_is_given_away_is_no_more_than_the_cushion_and_never_nothing(
    rows: list[Exposure], cushion: int
) -> None:
    assert 0 < spread_cushion(gross_of(rows), cushion) <= cushion


def test_a_newcomer_gets_half_of_what_is_left() -> None:
    # Of 400 it gets 200: 200 ticks for one micro-USD a tick.
    assert newcomer_bands([(1, -1, 600)], 400 * BPS) == {QUEUES + ASK_RISES: 800}


def test_newcomers_share_by_notional() -> None:
    # Of 1 200 they get 600 for a notional of 900: each may rise by two thirds.
    assert newcomer_bands([(0, -1, 600), (1, -1, 300)], 1_200 * BPS) == {
        ASK_RISES: 1_000,
        QUEUES + ASK_RISES: 500,
    }


def test_a_newcomer_needs_no_more_than_its_whole_price() -> None:
    assert newcomer_bands([(0, -1, 600)], 10**9 * BPS) == {ASK_RISES: 1_200}


def test_where_a_newcomers_band_would_be_near_all_is_split_anew() -> None:
    # Half of 300 is a quarter of 600: near. One more than that is far.
    assert newcomer_bands([(0, -1, 600)], 300 * BPS) is None
    assert newcomer_bands([(0, -1, 600)], 300 * BPS + 1) is None
    assert newcomer_bands([(0, -1, 600)], 300 * BPS + 2) == {ASK_RISES: 751}
    assert newcomer_bands([(0, -1, 600)], -1) is None


@given(EXPOSURES, CUSHIONS)
def test_newcomers_never_take_more_than_what_is_left(rows: list[Exposure], left: int) -> None:
    shorts = [row for row in rows if row[1] < 0]
    bands = newcomer_bands(shorts, left) if shorts else None

    if bands is not None:
        assert most_lost(shorts, bands, is_recovery=False) * BPS < left
