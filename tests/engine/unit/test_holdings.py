"""What an account's positions sum to: its floor follows its bands, one by one and all together."""

from hypothesis import given
from hypothesis import strategies as st

from engine.core.bands import QUEUES, worst_ticks
from engine.core.state import Holdings
from engine.core.triggers import ASK_FALLS, ASK_RISES, BID_FALLS, BID_RISES
from tests.engine.unit.positions import account

# Exposures by slot: (instrument, micro-USD per tick, micro-USD at entry), longs and shorts of three symbols.
LONGS = st.dictionaries(
    st.sampled_from([index * QUEUES + BID_FALLS for index in range(3)]),
    st.tuples(st.none(), st.integers(1, 10**9), st.integers(1, 10**15)),
)
SHORTS = st.dictionaries(
    st.sampled_from([index * QUEUES + ASK_RISES for index in range(3)]),
    st.tuples(st.none(), st.integers(-(10**9), -1), st.integers(-(10**15), -1)),
)
# Bands on the way up stand beside those on the way down while a margin call is raised.
BANDS = st.dictionaries(st.integers(0, 3 * QUEUES - 1), st.integers(1, 10**6))


def holding(longs: dict, shorts: dict) -> Holdings:
    holdings = Holdings(account())
    holdings.exposed = longs | shorts
    return holdings


@given(LONGS, SHORTS, BANDS)
def test_the_floor_is_the_result_at_the_worst_prices_that_the_bands_let_by(
    longs: dict, shorts: dict, bands: dict[int, int]
) -> None:
    holdings = holding(longs, shorts)

    holdings.note_bands(bands)

    assert holdings.floor_micros == sum(
        worst_ticks(slot, bands) * weight - cost
        for slot, (_, weight, cost) in holdings.exposed.items()
    )


@given(LONGS, SHORTS, BANDS, st.sampled_from([BID_FALLS, BID_RISES, ASK_FALLS, ASK_RISES]))
def test_a_band_that_is_lost_lowers_the_floor_as_if_it_had_never_stood(
    longs: dict, shorts: dict, bands: dict[int, int], queue: int
) -> None:
    slot = 1 * QUEUES + queue
    bands[slot] = 777
    holdings, without = holding(longs, shorts), holding(longs, shorts)
    holdings.note_bands(bands)

    holdings.lose_band(slot, bands)

    del bands[slot]
    without.note_bands(bands)
    assert holdings.floor_micros == without.floor_micros


def test_the_names_that_every_fill_needs_are_those_of_the_account() -> None:
    holdings = Holdings(account())

    assert (holdings.entity_head, holdings.ledger) == ("17-", "demo:client:17")
