"""The shipped catalogue keeps the promises of docs/INSTRUMENTS.md."""

import csv
import json
from decimal import Decimal

import pytest

from engine.values import DECIMALS_MAX, text_from_scaled
from tests.apps.market.support import SHARED, shipped_instruments

INSTRUMENTS = list(shipped_instruments().values())


def _ids(info):
    return info.symbol


def test_ships_123_instruments_in_a_fixed_order():
    assert len(INSTRUMENTS) == 123
    assert [info.rank for info in INSTRUMENTS] == list(range(1, 124))


@pytest.mark.parametrize("info", INSTRUMENTS, ids=_ids)
def test_specification_is_consistent(info):
    assert info.price_decimals + info.quantity_decimals <= DECIMALS_MAX
    assert 1 == info.quantity_step_units <= info.quantity_min_units < info.quantity_max_units
    assert 1 <= info.spread_ticks <= info.stop_distance_ticks
    unit_micros = info.reference_price_ticks * 10 ** (
        DECIMALS_MAX - info.price_decimals - info.quantity_decimals
    )
    assert info.quantity_min_units * unit_micros >= 5_000_000
    assert info.quantity_max_units * unit_micros <= 1_000_000_000_000


@pytest.mark.parametrize("info", INSTRUMENTS, ids=_ids)
def test_maintenance_margin_is_continuous_at_every_tier_border(info):
    for lower, upper in zip(info.tiers, info.tiers[1:], strict=False):
        cap = lower.notional_cap_micros
        below = cap * lower.maintenance_ppm - lower.maintenance_amount_micros * 1_000_000
        above = cap * upper.maintenance_ppm - upper.maintenance_amount_micros * 1_000_000
        assert below == above
        assert cap < upper.notional_cap_micros
        assert lower.leverage_max >= upper.leverage_max


def test_public_maximum_leverage_is_100_and_only_three_reach_it():
    reaching = [info.symbol for info in INSTRUMENTS if info.leverage_max == 100]

    assert max(info.leverage_max for info in INSTRUMENTS) == 100
    assert reaching == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def test_documented_example_of_btc():
    btc = INSTRUMENTS[0]

    assert text_from_scaled(btc.quantity_min_units, btc.quantity_decimals) == "0.00010"
    assert text_from_scaled(btc.quantity_max_units, btc.quantity_decimals) == "10.00000"
    assert text_from_scaled(btc.spread_ticks, btc.price_decimals) == "0.8"
    assert btc.quote_age_us_max == 5_000_000


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared, absent in a plain clone")
def test_equals_the_list_that_it_was_made_of():
    with (SHARED / "market" / "instruments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    tiers = json.loads(
        (SHARED / "market" / "leverage_tiers.json").read_text(), parse_float=Decimal
    )["tiers"]

    for row, info in zip(rows, INSTRUMENTS, strict=True):
        assert (row["symbol"], row["base"], row["name"]) == (info.symbol, info.base, info.name)
        price = Decimal(text_from_scaled(info.reference_price_ticks, info.price_decimals))
        assert price == Decimal(row["reference_price_usd"])
        assert int(row["price_decimals"]) == info.price_decimals
        assert int(row["quantity_decimals"]) == info.quantity_decimals
        ours = [
            [t.notional_cap_micros, t.leverage_max, t.maintenance_ppm, t.maintenance_amount_micros]
            for t in info.tiers
        ]
        theirs = [
            [cap * 10**6, min(leverage, 100), rate * 10**6, amount * 10**6]
            for cap, leverage, rate, amount in tiers[row["symbol"]]
        ]
        assert ours == theirs
