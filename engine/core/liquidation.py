"""Isolated liquidation prices and the choice of what a stop-out closes, as pure functions (rules M8, L3)."""

from engine.core.margin import BPS, PPM, initial_margin, is_at_or_below, notional_micros, tier_index
from engine.core.state import Position
from engine.core.triggers import PRICE_MAX
from engine.messages.definitions import Tier
from engine.rounding import ceil_div, floor_div


def liquidation_ticks(
    *,
    is_long: bool,
    entry_ticks: int,
    quantity_units: int,
    margin_micros: int,
    tiers: tuple[Tier, ...],
    commission_ppm: int,
    k: int,
) -> int:
    """Return the price at which an isolated position is liquidated, ticks; 0: there is none.

    The margin left at that price, after the closing commission, equals the maintenance margin. The tier is that of the
    position's own notional at the price found: it is sought again until it stands.
    Rounding: down for longs, up for shorts, away from the entry: the client keeps the last tick.
    Source: docs/ENGINE.md, rule M8; the form LP = (WB + cum - s*Q*EP) / (Q*(MMR + f) - s*Q).
    """
    index = tier_index(tiers, notional_micros(entry_ticks, quantity_units, k))
    price_ticks = 0
    for _ in tiers:
        tier = tiers[index]
        own = margin_micros + tier.maintenance_amount_micros
        value = notional_micros(entry_ticks, quantity_units, k)
        rate_ppm = tier.maintenance_ppm + commission_ppm
        scale = quantity_units * k
        if is_long:
            price_ticks = max(0, floor_div((value - own) * PPM, scale * (PPM - rate_ppm)))
        else:
            price_ticks = ceil_div((value + own) * PPM, scale * (PPM + rate_ppm))
        found = tier_index(tiers, notional_micros(price_ticks, quantity_units, k))
        if found == index:
            break
        index = found
    # No quote comes up to PRICE_MAX: there is no such price.
    return price_ticks if price_ticks < PRICE_MAX else 0


def is_crossed(*, is_long: bool, closing_ticks: int, liquidation_ticks: int) -> bool:
    """Return whether a closing price has reached a liquidation price (0: there is none)."""
    if liquidation_ticks == 0:
        return False
    return closing_ticks <= liquidation_ticks if is_long else closing_ticks >= liquidation_ticks


def margin_kept(entry_ticks: int, quantity_units: int, leverage: int, k: int) -> int:
    """Return the initial margin that an isolated position must keep, micro-USD."""
    return initial_margin(notional_micros(entry_ticks, quantity_units, k), leverage)


def largest_loss(candidates: list[tuple[int, Position]]) -> Position:
    """Return the position with the worst unrealised P&L; candidates are (P&L, position), ties go to the lowest id.

    Source: docs/ENGINE.md, rule L3 (largest_loss).
    """
    return min(candidates, key=lambda candidate: (candidate[0], candidate[1].k))[1]


def largest_margin(candidates: list[tuple[int, Position]]) -> Position:
    """Return the position with the largest margin; ties go to the lowest id.

    Source: docs/ENGINE.md, rule L3 (smallest_slice).
    """
    return min(candidates, key=lambda candidate: (-candidate[1].margin_micros, candidate[1].k))[1]


def smallest_slice_units(
    *,
    position: Position,
    closing_ticks: int,
    k: int,
    commission_ppm: int,
    equity: int,
    used_margin: int,
    stop_out_bps: int,
    step_units: int,
    minimum_units: int,
) -> int:
    """Return how much of a position to close so that the level is restored: the smallest such step, or all of it.

    1. Closing q units costs ceil(commission) of equity and frees floor(margin * q / Q) of used margin.
    2. Without rounding that is a straight line in q; its root is a lower bound of the answer.
    3. Rounding can take at most one micro-USD from each term, so a few steps above the root decide exactly.
    Rounding: as the close itself will round.
    Source: docs/ENGINE.md, rule L3 (smallest_slice).
    """
    whole = position.quantity_units
    notional_unit = closing_ticks * k
    # Line through the deficit: gain per unit, scaled by BPS * PPM * whole to stay in integers.
    slope = (
        stop_out_bps * position.margin_micros * PPM - BPS * commission_ppm * notional_unit * whole
    )
    deficit = stop_out_bps * used_margin - equity * BPS
    if slope <= 0:
        return whole
    root_units = ceil_div(max(0, deficit) * PPM * whole, slope)
    units = max(1, ceil_div(root_units, step_units)) * step_units
    while units < whole:
        cost = ceil_div(notional_unit * units * commission_ppm, PPM)
        freed = floor_div(position.margin_micros * units, whole)
        if not is_at_or_below(equity - cost, used_margin - freed, stop_out_bps):
            return units if whole - units >= minimum_units else whole
        units += step_units
    return whole
