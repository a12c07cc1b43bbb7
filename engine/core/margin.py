"""Margin arithmetic as pure functions of integers (rules M1-M8). Money in micro-USD, prices in ticks.

``k`` is the micro-USD per tick and unit of an instrument, so notional and P&L are exact.
"""

from engine.messages.definitions import Tier
from engine.rounding import ceil_div, floor_div

PPM = 1_000_000
BPS = 10_000
DAYS_PER_YEAR = 360
# Points above the call level at which a margin call is cleared.
RECOVERY_BPS = 500


def notional_micros(price_ticks: int, quantity_units: int, k: int) -> int:
    """Return price x quantity, micro-USD.

    Rounding: none.
    Source: docs/ENGINE.md, rule N3.
    """
    return price_ticks * quantity_units * k


def pnl_micros(
    is_long: bool,  # noqa: FBT001 - keywords cost, and every close comes by here
    entry_ticks: int,
    price_ticks: int,
    quantity_units: int,
    k: int,
) -> int:
    """Return the result of a position at a closing price, before commission, micro-USD.

    Rounding: none.
    Source: docs/ENGINE.md, rule N3.
    """
    move = price_ticks - entry_ticks if is_long else entry_ticks - price_ticks
    return move * quantity_units * k


def initial_margin(notional: int, leverage: int) -> int:
    """Return the margin that a new position locks, micro-USD; leverage 100 means 1:100.

    Rounding: up, so that the locked amount is never below the exact quotient.
    Source: docs/ENGINE.md, rule M1.
    """
    return ceil_div(notional, leverage)


def commission_micros(notional: int, commission_ppm: int) -> int:
    """Return the commission of one side, micro-USD.

    Rounding: up; the client owes it.
    Source: docs/ENGINE.md, rule M6.
    """
    return ceil_div(notional * commission_ppm, PPM)


def released_margin(margin: int, quantity_units: int, open_units: int) -> int:
    """Return the margin that a partial close frees, micro-USD; a whole close frees all of it.

    Rounding: down, so that what stays locked is never below its share.
    Source: docs/ENGINE.md, rule M5.
    """
    return floor_div(margin * quantity_units, open_units)


def swap_micros(notional: int, rate_ppm: int, nights: int) -> int:
    """Return overnight financing, micro-USD; positive is paid to the client.

    Rounding: down (towards minus infinity): what we pay is never above, what the client owes never below the exact figure.
    Source: docs/ENGINE.md, rule M7.
    """
    return floor_div(notional * rate_ppm * nights, PPM * DAYS_PER_YEAR)


def margin_level_bps(equity: int, used_margin: int) -> int:
    """Return equity / used margin in basis points, for display; decisions compare products instead.

    Rounding: down.
    Errors: ZeroDivisionError without used margin, where the level is undefined.
    Source: docs/ENGINE.md, rule M3.
    """
    return floor_div(equity * BPS, used_margin)


def is_at_or_below(equity: int, used_margin: int, level_bps: int) -> bool:
    """Return whether the margin level is at or below a level, exactly; without used margin it never is.

    Source: docs/ENGINE.md, rule M3.
    """
    return used_margin > 0 and equity * BPS <= level_bps * used_margin


def is_recovered(equity: int, used_margin: int, call_level_bps: int) -> bool:
    """Return whether a margin call is over: five points above its level, or nothing left to margin.

    Source: docs/ENGINE.md, rule L1.
    """
    return used_margin == 0 or equity * BPS >= (call_level_bps + RECOVERY_BPS) * used_margin


def withdrawable_micros(
    balance: int, isolated_margin: int, cross_unrealised: int, used_margin: int
) -> int:
    """Return what may leave the account now, micro-USD; never negative, open profits do not count.

    Source: docs/ENGINE.md, rule M4.
    """
    return max(0, balance - isolated_margin + min(0, cross_unrealised) - used_margin)


def tier_index(tiers: tuple[Tier, ...], notional: int) -> int:
    """Return the index of the tier that a notional falls into; above the last cap the last one.

    Source: docs/ENGINE.md, rule M2.
    """
    for index, tier in enumerate(tiers):
        if notional <= tier.notional_cap_micros:
            return index
    return len(tiers) - 1


def maintenance_margin(notional: int, tier: Tier) -> int:
    """Return the maintenance margin of a notional in its tier, micro-USD.

    Rounding: up; it is what the client must keep.
    Source: docs/ENGINE.md, rule M2.
    """
    return ceil_div(notional * tier.maintenance_ppm, PPM) - tier.maintenance_amount_micros


def maintenance_amount(
    floor_notional: int, rate_ppm: int, previous_rate_ppm: int, previous_amount: int
) -> int:
    """Return the amount that keeps maintenance margin continuous at a tier's lower border, micro-USD.

    Rounding: down, in the client's disfavour by less than one micro-USD.
    Source: docs/ENGINE.md, rule M2.
    """
    return previous_amount + floor_div(floor_notional * (rate_ppm - previous_rate_ppm), PPM)
