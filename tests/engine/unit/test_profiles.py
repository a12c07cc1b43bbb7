"""Margin profiles on the side that their venues' examples leave out, and where no price is left."""

from engine.core import profiles
from engine.messages.definitions import Tier

USD = 1_000_000


def test_a_short_charged_on_its_entry_value_is_taken_over_above_its_entry() -> None:
    found = profiles.entry_value_profile(
        is_long=False,
        entry_ticks=20_000,
        quantity_units=1,
        leverage=50,
        maintenance_ppm=5_000,
        money_micros=None,
        k=USD,
    )

    assert found == profiles.Profile(400 * USD, 100 * USD, 20_300, 20_400)


def test_money_beyond_the_value_of_a_long_leaves_no_price() -> None:
    found = profiles.entry_value_profile(
        is_long=True,
        entry_ticks=1_000,
        quantity_units=20,
        leverage=50,
        maintenance_ppm=10_000,
        money_micros=30_000 * USD,
        k=USD,
    )

    assert (found.liquidation_ticks, found.bankruptcy_ticks) == (0, 0)


def test_a_dydx_long_is_liquidated_below_its_price() -> None:
    # (3 * 3 000 - 1 000) / (3 * 0.95) = 2 807.01...
    found = profiles.dydx_liquidation_ticks(
        is_long=True,
        price_ticks=3_000,
        quantity_units=3,
        equity_micros=1_000 * USD,
        maintenance_ppm=50_000,
        k=USD,
    )

    assert found == 2_807


def test_a_close_out_level_is_reached_at_its_equity_and_not_one_micro_above() -> None:
    assert profiles.close_out_equity_micros(3_333_333_333, 5_000) == 1_666_666_666


def test_a_short_is_closed_out_above_its_entry() -> None:
    # 10 000 of balance, 5 000 left at 50 % of 10 000 used: 5 000 of loss on one unit.
    found = profiles.close_out_ticks(
        is_long=False,
        entry_ticks=20_000,
        quantity_units=1,
        balance_micros=10_000 * USD,
        used_margin_micros=10_000 * USD,
        level_bps=5_000,
        k=USD,
    )

    assert found == 25_000


def test_what_the_other_positions_leave_stands_behind_a_binance_short() -> None:
    # (1 000 + 100) / (1 + 0.1) with 100 of wallet left by the others.
    found = profiles.binance_cross_liquidation_ticks(
        is_long=False,
        entry_ticks=1_000,
        quantity_units=1,
        wallet_micros=300 * USD,
        other_maintenance_micros=150 * USD,
        other_unrealised_micros=-50 * USD,
        tiers=(Tier(10**15, 10, 100_000, 0),),
        k=USD,
    )

    assert found == 1_000
