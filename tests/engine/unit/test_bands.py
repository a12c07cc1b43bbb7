"""Safe bands: inside them no account can have reached its level, whatever moves together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bands import QUEUES, Exposure, band_prices, extended
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


def test_a_lone_long_is_watched_where_its_cushion_ends() -> None:
    # 10 000 micro-USD a tick at 600 000 ticks, cushion 2.899e11: 2.899e11 / (10 000 * 1e4) = 2 899 ticks.
    rows = [(0, 10_000, 600_000)]

    assert band_prices(rows, 289_900_000_000, is_recovery=False) == {BID_FALLS: 597_101}
    assert band_prices(rows, 289_900_000_001, is_recovery=False) == {BID_FALLS: 597_100}
    assert band_prices(rows, 289_900_000_000, is_recovery=True) == {BID_RISES: 602_899}


def test_a_lone_short_is_watched_the_other_way() -> None:
    rows = [(2, -10_000, 600_000)]

    assert band_prices(rows, 289_900_000_000, is_recovery=False) == {
        2 * QUEUES + ASK_RISES: 602_899
    }
    assert band_prices(rows, 289_900_000_000, is_recovery=True) == {2 * QUEUES + ASK_FALLS: 597_101}


def test_the_cushion_is_split_by_notional() -> None:
    # 600 of 900 USD and 300 of 900 USD, each of one unit a tick.
    rows = [(0, 1, 600), (1, 1, 300)]

    assert band_prices(rows, 90 * BPS, is_recovery=False) == {
        BID_FALLS: 540,
        QUEUES + BID_FALLS: 270,
    }


def test_a_band_that_no_price_reaches_is_left_out() -> None:
    assert band_prices([(0, 1, 600)], 600 * BPS, is_recovery=False) == {}
    assert band_prices([(0, 1, 600)], 599 * BPS, is_recovery=False) == {BID_FALLS: 1}


def test_a_band_above_every_price_stands_where_no_quote_comes() -> None:
    assert band_prices([(0, -1, 600)], 2**80 * BPS, is_recovery=False) == {ASK_RISES: PRICE_MAX}
    assert band_prices([(0, -1, 600)], (PRICE_MAX - 601) * BPS, is_recovery=False) == {
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
    bands = band_prices(rows, cushion, is_recovery=is_recovery)

    assert most_lost(rows, bands, is_recovery=is_recovery) * BPS < cushion


@given(EXPOSURES, CUSHIONS)
def test_a_band_never_stands_at_the_present_price(rows: list[Exposure], cushion: int) -> None:
    prices = {(index, weight > 0): price for index, weight, price in rows}

    for is_recovery in (False, True):
        for slot, band in band_prices(rows, cushion, is_recovery=is_recovery).items():
            index, queue = divmod(slot, QUEUES)
            price = prices[index, queue <= BID_RISES]
            assert (band < price) if queue in (BID_FALLS, ASK_FALLS) else (band > price)


@given(EXPOSURES, CUSHIONS)
def test_fresh_bands_hold_their_cushion(rows: list[Exposure], cushion: int) -> None:
    bands = band_prices(rows, cushion, is_recovery=False)

    assert extended(bands, rows, cushion) == {}


@given(EXPOSURES, EXPOSURES, CUSHIONS, CUSHIONS)
def test_bands_that_stay_hold_the_cushion_with_what_is_added(
    before: list[Exposure], after: list[Exposure], cushion: int, later: int
) -> None:
    bands = band_prices(before, cushion, is_recovery=False)

    added = extended(bands, after, later)

    if added is not None:
        assert not added.keys() & bands.keys()
        assert most_lost(after, bands | added, is_recovery=False) * BPS < later


def test_bands_stay_while_the_moves_inside_them_cost_less_than_the_cushion() -> None:
    # 10 micro-USD a tick, 4 ticks above the band: at most 30. 5 a tick, 2 ticks below theirs: at most 5.
    rows = [(0, 10, 600), (1, -5, 300)]
    bands = {BID_FALLS: 596, QUEUES + ASK_RISES: 302}

    assert extended(bands, rows, 35 * BPS) is None
    assert extended(bands, rows, 35 * BPS + 1) == {}


def test_a_band_that_was_reached_holds_nothing() -> None:
    assert extended({BID_FALLS: 600}, [(0, 1, 600)], 10**18) is None
    assert extended({ASK_RISES: 600}, [(0, -1, 600)], 10**18) is None
    assert extended({BID_FALLS: 599}, [(0, 1, 600)], 10**18) == {}
    assert extended({ASK_RISES: 601}, [(0, -1, 600)], 10**18) == {}


def test_a_long_without_a_band_may_lose_all_but_a_tick() -> None:
    assert extended({}, [(0, 1, 600)], 599 * BPS) is None
    assert extended({}, [(0, 1, 600)], 599 * BPS + 1) == {}


def test_a_short_without_a_band_gets_what_is_left_of_the_cushion() -> None:
    # The long may lose 99 before its band; 101 are left for the short: 101 ticks.
    rows = [(0, 1, 600), (1, -1, 600)]

    assert extended({BID_FALLS: 500}, rows, 200 * BPS) == {QUEUES + ASK_RISES: 701}


def test_all_is_split_anew_when_less_than_half_of_a_shorts_share_is_left() -> None:
    # A fresh split of 200 gives each 100; here 50 and 49 are left.
    rows = [(0, 1, 600), (1, -1, 600)]

    assert extended({BID_FALLS: 449}, rows, 200 * BPS) == {QUEUES + ASK_RISES: 650}
    assert extended({BID_FALLS: 448}, rows, 200 * BPS) is None


@pytest.mark.parametrize("scale", [1, 3, 1_000])
def test_the_half_is_judged_by_notional(scale: int) -> None:
    # The long's notional is 1 200, the short's 600: of 300 a fresh split gives the short 100, and 50 is half of it.
    rows = [(0, 2 * scale, 600), (1, -3 * scale, 200)]
    cushion = 300 * scale * BPS

    assert extended({BID_FALLS: 474}, rows, cushion) == {QUEUES + ASK_RISES: 217}
    assert extended({BID_FALLS: 473}, rows, cushion) is None


def test_shorts_with_and_without_a_band_are_all_counted() -> None:
    # One short may lose 49; of 200 the fresh split gives the other half, 100, and 151 are left.
    rows = [(0, -1, 600), (1, -1, 600)]

    assert extended({QUEUES + ASK_RISES: 650}, rows, 200 * BPS) == {ASK_RISES: 751}
    assert extended({ASK_RISES: 650}, rows, 200 * BPS) == {QUEUES + ASK_RISES: 751}


def test_longs_are_all_counted() -> None:
    # The longs may lose 119 and 121; 60 of 300 are left, and half of a fresh share is 50.
    rows = [(0, 1, 600), (1, 1, 600), (2, -1, 600)]

    assert extended({BID_FALLS: 480, QUEUES + BID_FALLS: 478}, rows, 300 * BPS) == {
        2 * QUEUES + ASK_RISES: 660
    }
