"""Safe bands: inside them no account can have reached its level, whatever moves together."""

from hypothesis import given
from hypothesis import strategies as st

from engine.core.bands import QUEUES, are_sound, band_prices
from engine.core.margin import BPS
from engine.core.triggers import ASK_FALLS, ASK_RISES, BID_FALLS, BID_RISES

# (index, is long, units, price, k), at most one of each index and direction.
EXPOSURES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.booleans(),
        st.integers(1, 10**6),
        st.integers(1, 10**6),
        st.sampled_from([1, 10, 1000]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row[:2],
)


def test_a_lone_long_is_watched_where_its_cushion_ends() -> None:
    # 10 000 units at 600 000 ticks, k 1, cushion 2.899e11: 2.899e11 / (10 000 * 1e4) = 2 899 ticks.
    rows = [(0, True, 10_000, 600_000, 1)]

    assert band_prices(rows, 289_900_000_000, is_recovery=False) == {BID_FALLS: 597_101}
    assert band_prices(rows, 289_900_000_001, is_recovery=False) == {BID_FALLS: 597_100}
    assert band_prices(rows, 289_900_000_000, is_recovery=True) == {BID_RISES: 602_899}


def test_a_lone_short_is_watched_the_other_way() -> None:
    rows = [(2, False, 10_000, 600_000, 1)]

    assert band_prices(rows, 289_900_000_000, is_recovery=False) == {
        2 * QUEUES + ASK_RISES: 602_899
    }
    assert band_prices(rows, 289_900_000_000, is_recovery=True) == {2 * QUEUES + ASK_FALLS: 597_101}


def test_the_cushion_is_split_by_notional() -> None:
    # 600 of 900 USD and 300 of 900 USD, each of one unit a tick.
    rows = [(0, True, 1, 600, 1), (1, True, 1, 300, 1)]

    assert band_prices(rows, 90 * BPS, is_recovery=False) == {
        BID_FALLS: 540,
        QUEUES + BID_FALLS: 270,
    }


def test_a_band_that_no_price_reaches_is_left_out() -> None:
    assert band_prices([(0, True, 1, 600, 1)], 600 * BPS, is_recovery=False) == {}


@given(EXPOSURES, st.integers(1, 10**18), st.booleans())
def test_strictly_inside_all_bands_the_cushion_is_never_used_up(
    rows: list[tuple[int, bool, int, int, int]], cushion: int, is_recovery: bool
) -> None:
    bands = band_prices(rows, cushion, is_recovery=is_recovery)

    moved = 0
    for index, is_long, units, price, k in rows:
        falls = is_long != is_recovery
        queue = (
            (BID_FALLS if falls else BID_RISES) if is_long else (ASK_FALLS if falls else ASK_RISES)
        )
        band = bands.get(index * QUEUES + queue)
        # The farthest price that leaves the band alone: one tick before it, or one tick above zero without a band.
        farthest = (1 if band is None else band + 1) if falls else band - 1
        moved += abs(price - farthest) * units * k
    assert moved * BPS < cushion


@given(EXPOSURES, st.integers(1, 10**18))
def test_a_band_never_stands_at_the_present_price(
    rows: list[tuple[int, bool, int, int, int]], cushion: int
) -> None:
    prices = {(index, is_long): price for index, is_long, _, price, _ in rows}

    for is_recovery in (False, True):
        for slot, band in band_prices(rows, cushion, is_recovery=is_recovery).items():
            index, queue = divmod(slot, QUEUES)
            price = prices[index, queue <= BID_RISES]
            assert (band < price) if queue in (BID_FALLS, ASK_FALLS) else (band > price)


@given(EXPOSURES, st.integers(1, 10**18))
def test_fresh_bands_are_sound_for_their_cushion(
    rows: list[tuple[int, bool, int, int, int]], cushion: int
) -> None:
    bands = band_prices(rows, cushion, is_recovery=False)

    assert are_sound(bands, rows, cushion)


def test_bands_are_sound_while_the_moves_inside_them_cost_less_than_the_cushion() -> None:
    # 10 units 4 ticks above the band: at most 3 ticks, 30 micro-USD. 5 units 2 ticks below theirs: at most 5.
    rows = [(0, True, 10, 600, 1), (1, False, 5, 300, 1)]
    bands = {BID_FALLS: 596, QUEUES + ASK_RISES: 302}

    assert not are_sound(bands, rows, 35 * BPS)
    assert are_sound(bands, rows, 35 * BPS + 1)


def test_a_band_that_was_reached_is_not_sound() -> None:
    assert not are_sound({BID_FALLS: 600}, [(0, True, 1, 600, 1)], 10**18)
    assert not are_sound({ASK_RISES: 600}, [(0, False, 1, 600, 1)], 10**18)


def test_a_long_without_a_band_may_lose_all_but_a_tick() -> None:
    assert not are_sound({}, [(0, True, 1, 600, 1)], 599 * BPS)
    assert are_sound({}, [(0, True, 1, 600, 1)], 599 * BPS + 1)


def test_a_short_needs_its_band() -> None:
    assert not are_sound({BID_FALLS: 900}, [(0, False, 1, 600, 1)], 10**18)
