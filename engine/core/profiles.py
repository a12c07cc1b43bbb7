"""Margin profiles of other venues, by name: published ways to margin that the engine does not trade by.

They stand beside margin.py so that a group may be offered one later; each reproduces its venue's own examples
(tests/vectors/margin.json). Units as in margin.py: micro-USD, ticks, units, ``k`` micro-USD per tick and unit.
Liquidation prices round down for longs and up for shorts, as liquidation.py does: the client keeps the last tick.
"""

from typing import NamedTuple

from engine.core.liquidation import liquidation_ticks
from engine.core.margin import BPS, PPM, initial_margin, notional_micros
from engine.messages.definitions import Tier
from engine.rounding import ceil_div, floor_div


class Profile(NamedTuple):
    """What a profile says about one position, micro-USD and ticks."""

    # Margin locked at entry, and margin that must be left.
    initial_margin_micros: int
    maintenance_margin_micros: int
    # Price at which the venue takes the position over, and at which its margin is exhausted; 0: there is none.
    liquidation_ticks: int
    bankruptcy_ticks: int


def _price_after_loss(
    *, is_long: bool, entry_ticks: int, loss_micros: int, quantity_units: int, k: int
) -> int:
    """Return the price at which a position has lost an amount, ticks; 0: no positive price does it."""
    if is_long:
        return max(0, floor_div(entry_ticks * quantity_units * k - loss_micros, quantity_units * k))
    return ceil_div(entry_ticks * quantity_units * k + loss_micros, quantity_units * k)


def entry_value_profile(
    *,
    is_long: bool,
    entry_ticks: int,
    quantity_units: int,
    leverage: int,
    maintenance_ppm: int,
    money_micros: int | None,
    k: int,
) -> Profile:
    """Return the margins and prices of a venue that charges maintenance margin on the entry value.

    The price then follows from the loss alone: LP = EP -/+ (money - maintenance) / Q. ``money_micros`` is what stands
    behind the position: None is its own initial margin (Bybit, isolated), the wallet balance is BitMEX cross.
    Rounding: margins up, prices away from the entry.
    Source: Bybit help, Liquidation Price (USDT Contract); BitMEX, isolated and cross margin examples.
    """
    value = notional_micros(entry_ticks, quantity_units, k)
    initial = initial_margin(value, leverage)
    maintenance = ceil_div(value * maintenance_ppm, PPM)
    money = initial if money_micros is None else money_micros
    prices = [
        _price_after_loss(
            is_long=is_long,
            entry_ticks=entry_ticks,
            loss_micros=loss,
            quantity_units=quantity_units,
            k=k,
        )
        for loss in (money - maintenance, money)
    ]
    return Profile(initial, maintenance, prices[0], prices[1])


def dydx_liquidation_ticks(
    *,
    is_long: bool,
    price_ticks: int,
    quantity_units: int,
    equity_micros: int,
    maintenance_ppm: int,
    k: int,
) -> int:
    """Return the price at which the account's equity equals the maintenance margin of the value at that price.

    LP = (equity - s*Q*P) / (Q * (MMR - s)), from the equity at the present price P.
    Rounding: down for longs, up for shorts; 0: there is none.
    Source: dYdX documentation, liquidations.
    """
    value = notional_micros(price_ticks, quantity_units, k)
    if is_long:
        return max(
            0,
            floor_div((value - equity_micros) * PPM, quantity_units * k * (PPM - maintenance_ppm)),
        )
    return ceil_div((value + equity_micros) * PPM, quantity_units * k * (PPM + maintenance_ppm))


def binance_cross_liquidation_ticks(
    *,
    is_long: bool,
    entry_ticks: int,
    quantity_units: int,
    wallet_micros: int,
    other_maintenance_micros: int,
    other_unrealised_micros: int,
    tiers: tuple[Tier, ...],
    k: int,
) -> int:
    """Return the liquidation price of one position of a cross wallet while the other positions stand still.

    What the others leave of the wallet stands behind this one, as an isolated position's margin would.
    Rounding: as liquidation_ticks.
    Source: Binance support, liquidation price of USD-M futures.
    """
    return liquidation_ticks(
        is_long=is_long,
        entry_ticks=entry_ticks,
        quantity_units=quantity_units,
        margin_micros=wallet_micros - other_maintenance_micros + other_unrealised_micros,
        tiers=tiers,
        commission_ppm=0,
        k=k,
    )


def close_out_equity_micros(used_margin_micros: int, level_bps: int) -> int:
    """Return the equity at which an account reaches a close-out level, micro-USD.

    Rounding: down; at this equity the level is reached, one micro-USD above the exact value it is not.
    Source: ESMA product intervention, margin close-out rule.
    """
    return floor_div(used_margin_micros * level_bps, BPS)


def close_out_ticks(
    *,
    is_long: bool,
    entry_ticks: int,
    quantity_units: int,
    balance_micros: int,
    used_margin_micros: int,
    level_bps: int,
    k: int,
) -> int:
    """Return the closing price at which a lone cross position brings its account to a close-out level, ticks.

    Rounding: away from the entry; 0: there is none.
    Source: ESMA product intervention, margin close-out rule.
    """
    return _price_after_loss(
        is_long=is_long,
        entry_ticks=entry_ticks,
        loss_micros=balance_micros - close_out_equity_micros(used_margin_micros, level_bps),
        quantity_units=quantity_units,
        k=k,
    )
