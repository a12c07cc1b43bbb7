"""Isolated liquidation prices and the choice of what a stop-out closes, with worked numbers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import liquidation
from engine.core.margin import is_at_or_below
from engine.core.triggers import PRICE_MAX
from engine.messages.definitions import Tier
from tests.engine.unit.positions import position

USD = 1_000_000
FLAT = (Tier(10**15, 100, 5_000, 0),)
STEEP = (Tier(5_000 * USD, 100, 4_000, 0), Tier(10**15, 50, 10_000, 30 * USD))


def found(**changes: Any) -> int:
    fields: dict[str, Any] = {
        "is_long": True,
        "entry_ticks": 20_000,
        "quantity_units": 1,
        "margin_micros": 400 * USD,
        "tiers": FLAT,
        "commission_ppm": 0,
        "k": 1_000_000,
    }
    return liquidation.liquidation_ticks(**(fields | changes))


def test_a_long_at_fifty_times_is_liquidated_two_per_cent_lower() -> None:
    # (20 000 - 400) / (1 - 0.005) = 19 698.49...
    assert found() == 19_698


def test_a_short_at_fifty_times_is_liquidated_two_per_cent_higher() -> None:
    # (20 000 + 400) / (1 + 0.005) = 20 298.50...
    assert found(is_long=False) == 20_299


def test_the_closing_commission_brings_it_nearer() -> None:
    # (20 000 - 400) / (1 - 0.005 - 0.001) = 19 718.30...
    assert found(commission_ppm=1_000) == 19_718


def test_a_long_with_all_its_value_as_margin_has_none() -> None:
    assert found(margin_micros=20_000 * USD) == 0
    assert found(margin_micros=50_000 * USD) == 0


def test_the_tier_is_that_of_the_notional_at_the_price_found() -> None:
    # Entered at 5 200 in the second tier, liquidated at about 4 704 in the first: (5 200 - 520) / (1 - 0.004) = 4 698.8
    assert found(entry_ticks=5_200, margin_micros=520 * USD, tiers=STEEP) == 4_698
    # Entered at 4 900 in the first, liquidated above 5 000 in the second: (4 900 + 490 + 30) / (1 + 0.01) = 5 366.3
    assert found(is_long=False, entry_ticks=4_900, margin_micros=490 * USD, tiers=STEEP) == 5_367


def test_a_short_that_no_quote_can_reach_has_none() -> None:
    # A margin of one dollar moves the price by one tick: 20 000 + margin, without maintenance.
    free = (Tier(10**15, 100, 0, 0),)
    last = PRICE_MAX - 1

    assert found(is_long=False, margin_micros=(last - 20_000) * USD, tiers=free) == last
    assert found(is_long=False, margin_micros=(last - 19_999) * USD, tiers=free) == 0


@given(st.booleans(), st.integers(4_000, 6_500), st.integers(1, 3_000 * USD))
def test_the_search_for_the_tier_ends_wherever_it_began(
    is_long: bool, entry: int, margin: int
) -> None:
    price = found(is_long=is_long, entry_ticks=entry, margin_micros=margin, tiers=STEEP)
    near = [
        found(is_long=is_long, entry_ticks=entry, margin_micros=margin, tiers=(tier,))
        for tier in STEEP
    ]

    assert price in near


def test_the_search_for_the_tier_ends_even_where_tiers_contradict_each_other() -> None:
    # Without its amount the second tier asks for more at once: each tier's price lies in the other one.
    torn = (Tier(5_000 * USD, 100, 4_000, 0), Tier(10**15, 50, 10_000, 0))

    first, second, ended = [
        found(is_long=False, entry_ticks=4_900, margin_micros=127 * USD, tiers=tiers)
        for tiers in (torn[:1], torn[1:], torn)
    ]

    assert second <= 5_000 < first
    assert ended in (first, second)


@pytest.mark.parametrize(
    ("is_long", "closing", "is_crossed"),
    [
        (True, 99, True),
        (True, 100, True),
        (True, 101, False),
        (False, 101, True),
        (False, 100, True),
        (False, 99, False),
    ],
)
def test_a_liquidation_price_is_crossed_when_it_is_reached(
    is_long: bool, closing: int, is_crossed: bool
) -> None:
    assert (
        liquidation.is_crossed(is_long=is_long, closing_ticks=closing, liquidation_ticks=100)
        is is_crossed
    )


@pytest.mark.parametrize("is_long", [True, False])
def test_no_liquidation_price_is_never_crossed(is_long: bool) -> None:
    assert not liquidation.is_crossed(is_long=is_long, closing_ticks=1, liquidation_ticks=0)


def test_the_margin_to_keep_is_the_initial_margin_of_what_is_open() -> None:
    assert liquidation.margin_kept(600_000, 10, 7, 1_000) == 857_142_858


def test_the_worst_loss_goes_first_and_the_lowest_id_among_equals() -> None:
    candidates = [(-5, position(k=3)), (-9, position(k=4)), (-9, position(k=2)), (7, position(k=1))]

    assert liquidation.largest_loss(candidates).k == 2


def test_the_largest_margin_is_sliced_first_and_the_lowest_id_among_equals() -> None:
    margins = {3: 5, 4: 9, 2: 9}
    candidates = [(0, position(k=k, margin_micros=m)) for k, m in margins.items()]

    assert liquidation.largest_margin(candidates).k == 2


def slice_of(**changes: Any) -> int:
    fields: dict[str, Any] = {
        "position": position(quantity_units=200, margin_micros=400),
        "closing_ticks": 1,
        "k": 1_000,
        "commission_ppm": 0,
        "equity": 240,
        "used_margin": 500,
        "stop_out_bps": 5_000,
        "step_units": 1,
        "minimum_units": 1,
    }
    return liquidation.smallest_slice_units(**(fields | changes))


def test_the_slice_is_the_smallest_that_lifts_the_level_above() -> None:
    # 240 / (500 - 2 * q) > 50 %: q = 10 reaches exactly 50 %, which is not above.
    assert slice_of() == 11
    assert slice_of(step_units=4) == 12


def test_at_the_level_itself_one_step_is_enough() -> None:
    assert slice_of(equity=250) == 1
    assert slice_of(equity=250, step_units=4) == 4


def test_a_remainder_below_the_minimum_is_closed_too() -> None:
    assert slice_of(minimum_units=190) == 200
    assert slice_of(minimum_units=189) == 11


def test_a_loss_that_no_slice_cures_closes_the_whole_position() -> None:
    assert slice_of(equity=-1) == 200


def test_the_slice_pays_for_its_own_commission() -> None:
    # 27 leave 223 / 446 = 50 %, 28 leave 223 / 444: of 1.35 and 1.4 micro-USD of commission both pay 2.
    assert slice_of(equity=225, commission_ppm=50) == 28


def test_a_commission_above_the_gain_closes_the_whole_position() -> None:
    # Each unit frees 2 of margin, worth 1 of equity at 50 %, and costs 1 in commission.
    assert slice_of(commission_ppm=1_000) == 200


@given(
    st.integers(2, 400),
    st.integers(1, 5_000),
    st.integers(-500, 3_000),
    st.integers(0, 3_000),
    st.sampled_from([0, 1, 150, 900]),
    st.integers(1, 7),
    st.integers(1, 9),
)
def test_the_slice_is_what_trying_every_step_finds(
    whole: int, margin: int, equity: int, other: int, commission_ppm: int, step: int, minimum: int
) -> None:
    used = margin + other

    units = slice_of(
        position=position(quantity_units=whole, margin_micros=margin),
        equity=equity,
        used_margin=used,
        commission_ppm=commission_ppm,
        step_units=step,
        minimum_units=minimum,
    )

    def restores(tried: int) -> bool:
        fee = -(-tried * 1_000 * commission_ppm // 1_000_000)
        return not is_at_or_below(equity - fee, used - margin * tried // whole, 5_000)

    # A stop-out asks for a slice only at or below its level.
    if restores(0):
        return
    first = next((tried for tried in range(step, whole, step) if restores(tried)), whole)
    assert units == (first if whole - first >= minimum else whole)
