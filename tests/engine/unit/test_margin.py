"""Margin arithmetic with worked numbers: which way each division rounds, and where each border lies."""

import pytest

from engine.core import margin
from engine.messages.definitions import Tier

USD = 1_000_000
TIERS = (
    Tier(5_000 * USD, 100, 4_000, 0),
    Tier(20_000 * USD, 50, 10_000, 30 * USD),
    Tier(100_000 * USD, 20, 25_000, 330 * USD),
)


def test_initial_margin_of_a_tenth_of_a_bitcoin() -> None:
    # 0.10 BTC at 60 010.00, 1:100 -> 60.01
    notional = margin.notional_micros(6_001_000, 10, 100)

    assert notional == 6_001 * USD
    assert margin.initial_margin(notional, 100) == 60_010_000


@pytest.mark.parametrize(
    ("notional", "leverage", "expected"), [(100, 3, 34), (99, 3, 33), (1, 100, 1), (0, 7, 0)]
)
def test_initial_margin_rounds_up(notional: int, leverage: int, expected: int) -> None:
    assert margin.initial_margin(notional, leverage) == expected


@pytest.mark.parametrize(
    ("notional", "ppm", "expected"), [(1_000_000, 350, 350), (1, 1, 1), (0, 350, 0), (9, 0, 0)]
)
def test_commission_rounds_up(notional: int, ppm: int, expected: int) -> None:
    assert margin.commission_micros(notional, ppm) == expected


@pytest.mark.parametrize(("part", "expected"), [(1, 33), (2, 66), (3, 100)])
def test_a_part_releases_its_share_rounded_down(part: int, expected: int) -> None:
    assert margin.released_margin(100, part, 3) == expected


@pytest.mark.parametrize(
    ("rate_ppm", "nights", "expected"),
    [(-190_000, 1, -3_008_334), (190_000, 1, 3_008_333), (-360_000, 3, -17_100_000)],
)
def test_swap_rounds_against_the_client(rate_ppm: int, nights: int, expected: int) -> None:
    assert margin.swap_micros(5_700 * USD, rate_ppm, nights) == expected


@pytest.mark.parametrize(
    ("is_long", "price", "expected"),
    [(True, 110, 1_000), (True, 90, -1_000), (False, 110, -1_000), (False, 90, 1_000)],
)
def test_longs_gain_on_the_way_up_and_shorts_on_the_way_down(
    is_long: bool, price: int, expected: int
) -> None:
    assert margin.pnl_micros(is_long, 100, price, 10, 10) == expected


@pytest.mark.parametrize(
    ("equity", "used", "is_reached"),
    [
        (50, 100, True),
        (51, 100, False),
        (49, 100, True),
        (-1, 100, True),
        (0, 1, True),
        (0, 0, False),
        (-5, 0, False),
    ],
)
def test_a_level_is_reached_at_and_below_it_and_never_without_margin(
    equity: int, used: int, is_reached: bool
) -> None:
    assert margin.is_at_or_below(equity, used, 5_000) is is_reached


@pytest.mark.parametrize(
    ("equity", "used", "is_over"),
    [(105, 100, True), (104, 100, False), (0, 0, True), (-1, 0, True)],
)
def test_a_call_ends_five_points_above_its_level_or_without_margin(
    equity: int, used: int, is_over: bool
) -> None:
    assert margin.is_recovered(equity, used, 10_000) is is_over


def test_the_level_shown_rounds_down() -> None:
    assert margin.margin_level_bps(149_999, 100_000) == 14_999
    assert margin.margin_level_bps(-1, 100_000) == -1


@pytest.mark.parametrize(
    ("balance", "isolated", "unrealised", "used", "expected"),
    [
        (100, 0, 0, 0, 100),
        (100, 20, -30, 40, 10),
        (100, 20, 30, 40, 40),
        (100, 60, -30, 40, 0),
        (-5, 0, 0, 0, 0),
    ],
)
def test_open_losses_and_margin_cannot_leave_and_open_profits_do_not_count(
    balance: int, isolated: int, unrealised: int, used: int, expected: int
) -> None:
    assert margin.withdrawable_micros(balance, isolated, unrealised, used) == expected


@pytest.mark.parametrize(
    ("notional", "index"),
    [(0, 0), (5_000 * USD, 0), (5_000 * USD + 1, 1), (20_000 * USD, 1), (100_000 * USD + 1, 2)],
)
def test_a_cap_belongs_to_its_tier_and_the_last_tier_goes_on(notional: int, index: int) -> None:
    assert margin.tier_index(TIERS, notional) == index


@pytest.mark.parametrize(
    ("notional", "tier", "expected"),
    [
        (5_000 * USD, 0, 20 * USD),
        (5_000 * USD, 1, 20 * USD),
        (1, 0, 1),
        (20_000 * USD, 2, 170 * USD),
    ],
)
def test_maintenance_margin_meets_itself_at_each_border(
    notional: int, tier: int, expected: int
) -> None:
    assert margin.maintenance_margin(notional, TIERS[tier]) == expected


def test_the_amounts_of_the_tiers_follow_from_their_rates() -> None:
    second = margin.maintenance_amount(5_000 * USD, 10_000, 4_000, 0)
    third = margin.maintenance_amount(20_000 * USD, 25_000, 10_000, second)

    assert (second, third) == (30 * USD, 330 * USD)
