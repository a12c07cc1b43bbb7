"""Published margin cases, each through the product's own functions."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.core import margin, profiles
from engine.core.liquidation import liquidation_ticks, smallest_slice_units
from engine.messages.definitions import Tier
from engine.values import scaled_from_text
from tests.engine.unit.positions import position

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "margin.json").read_text())["vectors"]
# Price and quantity decimals that hold each model's numbers exactly; their sum is at most 6.
DECIMALS = {
    "binance_cross": (2, 3),
    "binance_isolated": (6, 0),
    "okx_isolated": (6, 0),
    "bybit_isolated": (2, 0),
    "bitmex_cross": (2, 0),
    "dydx": (2, 0),
}
Result = dict[str, Fraction]


def usd(text: str) -> int:
    return scaled_from_text(text, 6)


def from_micros(micros: int) -> Fraction:
    return Fraction(micros, 10**6)


def ppm(text: str) -> int:
    return scaled_from_text(text, 6)


def percent_bps(text: str) -> int:
    return scaled_from_text(text, 2)


class Case:
    """One case's inputs in the engine's units."""

    def __init__(self, model: str, inputs: dict[str, Any]) -> None:
        self.inputs = inputs
        self.price_decimals, self.quantity_decimals = DECIMALS.get(model, (4, 2))
        self.k = 10 ** (6 - self.price_decimals - self.quantity_decimals)

    def ticks(self, name: str) -> int:
        return scaled_from_text(self.inputs[name], self.price_decimals)

    def price(self, ticks: int) -> Fraction:
        return Fraction(ticks, 10**self.price_decimals)

    def units(self) -> int:
        return scaled_from_text(self.inputs["quantity"], self.quantity_decimals)

    def tiers(self) -> tuple[Tier, ...]:
        amount = usd(self.inputs.get("maintenance_amount", "0"))
        return (Tier(2**53 - 1, 100, ppm(self.inputs["maintenance_rate"]), amount),)

    def is_long(self) -> bool:
        return self.inputs["side"] == "long"

    def notional(self) -> int:
        return margin.notional_micros(self.ticks("price"), self.units(), self.k)


def binance_cross(case: Case) -> Result:
    found = profiles.binance_cross_liquidation_ticks(
        is_long=case.is_long(),
        entry_ticks=case.ticks("entry_price"),
        quantity_units=case.units(),
        wallet_micros=usd(case.inputs["wallet_balance"]),
        other_maintenance_micros=usd(case.inputs["other_maintenance_margin"]),
        other_unrealised_micros=usd(case.inputs["other_unrealised_pnl"]),
        tiers=case.tiers(),
        k=case.k,
    )
    return {"liquidation_price": case.price(found)}


def isolated(case: Case) -> Result:
    """Binance without and OKX with a closing fee: the form that the engine trades by."""
    found = liquidation_ticks(
        is_long=case.is_long(),
        entry_ticks=case.ticks("entry_price"),
        quantity_units=case.units(),
        margin_micros=usd(case.inputs["isolated_margin"]),
        tiers=case.tiers(),
        commission_ppm=ppm(case.inputs.get("closing_fee", "0")),
        k=case.k,
    )
    return {"liquidation_price": case.price(found)}


def entry_value(case: Case) -> Result:
    wallet = usd(case.inputs["wallet_balance"]) if "wallet_balance" in case.inputs else None
    found = profiles.entry_value_profile(
        is_long=case.is_long(),
        entry_ticks=case.ticks("entry_price"),
        quantity_units=case.units(),
        leverage=int(case.inputs["leverage"]),
        maintenance_ppm=ppm(case.inputs["maintenance_rate"]),
        money_micros=wallet,
        k=case.k,
    )
    return {
        "initial_margin": from_micros(found.initial_margin_micros),
        "maintenance_margin": from_micros(found.maintenance_margin_micros),
        "available": from_micros((wallet or 0) - found.initial_margin_micros),
        "liquidation_price": case.price(found.liquidation_ticks),
        "bankruptcy_price": case.price(found.bankruptcy_ticks),
    }


def dydx(case: Case) -> Result:
    found = profiles.dydx_liquidation_ticks(
        is_long=case.is_long(),
        price_ticks=case.ticks("price"),
        quantity_units=case.units(),
        equity_micros=usd(case.inputs["equity"]),
        maintenance_ppm=ppm(case.inputs["maintenance_rate"]),
        k=case.k,
    )
    return {"liquidation_price": case.price(found)}


def tier_amount(case: Case) -> Result:
    inputs = case.inputs
    if "notional" in inputs:
        found = margin.maintenance_margin(usd(inputs["notional"]), case.tiers()[0])
        return {"maintenance_margin": from_micros(found)}
    found = margin.maintenance_amount(
        usd(inputs["floor"]),
        ppm(inputs["rate"]),
        ppm(inputs["previous_rate"]),
        usd(inputs["previous_amount"]),
    )
    return {"maintenance_amount": from_micros(found)}


def initial_margin(case: Case) -> Result:
    found = margin.initial_margin(case.notional(), int(case.inputs["leverage"]))
    return {"initial_margin": from_micros(found)}


def account_level(case: Case) -> Result:
    balance = usd(case.inputs["balance"])
    # A margin rate of 2 % is a leverage of 1:50.
    used = margin.initial_margin(case.notional(), 10**6 // ppm(case.inputs["margin_rate"]))
    return {
        "used_margin": from_micros(used),
        "free_margin": from_micros(balance - used),
        "margin_level_percent": Fraction(margin.margin_level_bps(balance, used), 100),
    }


def close_out(case: Case) -> Result:
    used = usd(case.inputs["used_margin"])
    equity = profiles.close_out_equity_micros(used, percent_bps(case.inputs["stop_out_percent"]))
    loss = usd(case.inputs.get("balance", "0")) - equity
    return {"equity_at_stop_out": from_micros(equity), "loss_at_stop_out": from_micros(loss)}


def close_out_price(case: Case) -> Result:
    used = margin.initial_margin(case.notional(), int(case.inputs["leverage"]))
    found = profiles.close_out_ticks(
        is_long=True,
        entry_ticks=case.ticks("price"),
        quantity_units=case.units(),
        balance_micros=usd(case.inputs["balance"]),
        used_margin_micros=used,
        level_bps=percent_bps(case.inputs["stop_out_percent"]),
        k=case.k,
    )
    return {"initial_margin": from_micros(used), "stop_out_price_long": case.price(found)}


def account(case: Case) -> Result:
    if "margin_rate" in case.inputs:
        return account_level(case)
    return close_out_price(case) if "price" in case.inputs else close_out(case)


def swap_percent(case: Case) -> Result:
    rate = scaled_from_text(case.inputs["annual_percent"], 4)
    found = margin.swap_micros(case.notional(), rate, int(case.inputs["nights"]))
    return {"swap": from_micros(found)}


MODELS: dict[str, Callable[[Case], Result]] = {
    "binance_cross": binance_cross,
    "binance_isolated": isolated,
    "okx_isolated": isolated,
    "bybit_isolated": entry_value,
    "bitmex_cross": entry_value,
    "dydx": dydx,
    "tiers": tier_amount,
    "initial_margin": initial_margin,
    "account": account,
    "swap_percent": swap_percent,
}
# Their shape is a table or a story, so they have tests of their own.
STORIES = {"tier_table", "smallest_slice"}


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["model"] not in STORIES], ids=lambda vector: vector["id"]
)
def test_published_case_is_reproduced(vector: dict[str, Any]) -> None:
    case = Case(vector["model"], vector["inputs"])

    found = MODELS[vector["model"]](case)

    for name, expected in vector["expected"].items():
        assert abs(found[name] - Fraction(expected)) <= Fraction(vector["tolerance"]), name


def only(model: str) -> dict[str, Any]:
    (vector,) = [v for v in VECTORS if v["model"] == model]
    return vector


def test_published_tier_table_has_the_amounts_that_keep_maintenance_continuous() -> None:
    vector = only("tier_table")
    caps, rates = vector["inputs"]["caps"], vector["inputs"]["rates"]

    amounts = [0]
    for floor, previous, rate in zip(caps[:-1], rates[:-1], rates[1:], strict=True):
        amounts.append(margin.maintenance_amount(usd(floor), ppm(rate), ppm(previous), amounts[-1]))

    assert [from_micros(a) for a in amounts] == [Fraction(a) for a in vector["expected"]["amounts"]]


def test_smart_stop_out_closes_the_published_slice() -> None:
    vector = only("smallest_slice")
    inputs, expected = vector["inputs"], vector["expected"]
    leverage = int(inputs["leverage"])
    # Margin of a pair quoted against the dollar is its quantity in dollars, whatever the price.
    margins = [margin.initial_margin(usd(p["quantity"]), leverage) for p in inputs["positions"]]
    equity, used = usd(inputs["balance"]) + usd(inputs["unrealised_pnl"]), sum(margins)

    sliced = smallest_slice_units(
        position=position(
            quantity_units=int(inputs["positions"][0]["quantity"]), margin_micros=margins[0]
        ),
        closing_ticks=1,
        k=1_000_000,
        commission_ppm=0,
        equity=equity,
        used_margin=used,
        stop_out_bps=percent_bps(inputs["stop_out_percent"]),
        step_units=int(inputs["quantity_step"]),
        minimum_units=int(inputs["quantity_step"]),
    )

    after = used - margin.released_margin(
        margins[0], sliced, int(inputs["positions"][0]["quantity"])
    )
    assert from_micros(equity) == Fraction(expected["equity"])
    assert sliced == int(expected["slice_closed"])
    assert from_micros(after) == Fraction(expected["margin_after"])
    assert margin.margin_level_bps(equity, used) == percent_bps(
        expected["margin_level_percent_before"]
    )
    assert margin.margin_level_bps(equity, after) == percent_bps(
        expected["margin_level_percent_after"]
    )


def test_every_published_model_is_known() -> None:
    assert {v["model"] for v in VECTORS} == MODELS.keys() | STORIES
