"""Properties of margin: at the liquidation price the margin ratio is one; maintenance margin has no jumps."""

import itertools
import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.liquidation import liquidation_ticks
from engine.core.margin import initial_margin, maintenance_amount, maintenance_margin, tier_index
from engine.messages.definitions import Tier
from engine.values import SAFE_INTEGER_MAX

TABLE = Path(__file__).parents[4] / "shared" / "market" / "leverage_tiers.json"
MILLION = 10**6


@st.composite
def tier_tables(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Tables as venues publish them: rising caps, rising rates, falling leverage, continuous amounts."""
    caps = sorted(draw(st.sets(st.integers(1, 10**6), min_size=1, max_size=6)))
    rates = sorted(draw(st.lists(st.integers(1, 500), min_size=len(caps), max_size=len(caps))))
    rows, amount, floor, previous = [], 0, 0, rates[0] * 1000
    for cap, rate in zip(caps, (r * 1000 for r in rates), strict=True):
        amount = maintenance_amount(floor * MILLION, rate, previous, amount)
        rows.append(
            Tier(
                cap * MILLION, max(1, MILLION // (2 * rate)) if rate < MILLION else 1, rate, amount
            )
        )
        floor, previous = cap, rate
    return tuple(rows)


def maintenance_exactly(tiers: tuple[Tier, ...], notional: Fraction) -> Fraction:
    """Return maintenance margin by integrating the rates, which knows no amounts."""
    total, below = Fraction(0), Fraction(0)
    for number, tier in enumerate(tiers):
        is_last = number == len(tiers) - 1
        upper = notional if is_last else min(notional, Fraction(tier.notional_cap_micros))
        total += max(Fraction(0), upper - below) * Fraction(tier.maintenance_ppm, MILLION)
        below = max(below, upper)
    return total


@given(tier_tables())
def test_maintenance_margin_is_continuous_at_every_border(tiers: tuple[Tier, ...]) -> None:
    for lower, upper in itertools.pairwise(tiers):
        border = lower.notional_cap_micros

        assert maintenance_margin(border, lower) == maintenance_margin(border, upper)


@given(tier_tables(), st.integers(0, 10**13))
def test_maintenance_margin_is_the_sum_over_its_tiers(
    tiers: tuple[Tier, ...], notional: int
) -> None:
    found = maintenance_margin(notional, tiers[tier_index(tiers, notional)])

    assert 0 <= found - maintenance_exactly(tiers, Fraction(notional)) < 1


@given(
    tier_tables(),
    st.booleans(),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(1, 100),
    st.sampled_from([0, 1, 350, 100_000]),
    st.sampled_from([1, 10, 1000]),
    st.integers(0, 3),
)
def test_margin_ratio_is_one_at_the_liquidation_price(
    tiers: tuple[Tier, ...],
    is_long: bool,
    entry: int,
    units: int,
    leverage: int,
    commission_ppm: int,
    k: int,
    extra: int,
) -> None:
    sign = 1 if is_long else -1
    margin = initial_margin(entry * units * k, leverage) * (1 + extra)

    found = liquidation_ticks(
        is_long=is_long,
        entry_ticks=entry,
        quantity_units=units,
        margin_micros=margin,
        tiers=tiers,
        commission_ppm=commission_ppm,
        k=k,
    )

    def spare(price: int) -> Fraction:
        """Return what is left above maintenance and closing commission at a price."""
        notional = Fraction(price * units * k)
        left = margin + sign * (price - entry) * units * k
        return left - maintenance_exactly(tiers, notional) - notional * commission_ppm / MILLION

    assert found >= 0
    # On the tick it is used up, one tick nearer to the entry it is not: the exact price lies between.
    assert found == 0 or spare(found) <= 0
    assert spare(found + sign) > 0


@pytest.mark.skipif(not TABLE.exists(), reason="../shared is absent")
def test_every_shipped_tier_table_is_continuous_and_starts_at_zero() -> None:
    shipped = json.loads(TABLE.read_text(), parse_float=str)["tiers"]

    for symbol, rows in shipped.items():
        amount, floor, previous = Fraction(0), Fraction(0), Fraction(rows[0][2])
        for cap, _, rate, published in rows:
            amount += floor * (Fraction(rate) - previous)
            assert amount == Fraction(published), symbol
            assert amount * MILLION <= SAFE_INTEGER_MAX
            floor, previous = Fraction(cap), Fraction(rate)
