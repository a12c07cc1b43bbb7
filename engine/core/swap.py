"""What overnight financing does to one position (rule M7)."""

from typing import NamedTuple

from engine.core.margin import notional_micros, swap_micros
from engine.core.state import DAY_US, Instrument, Position


class Swap(NamedTuple):
    """Financing of one position, micro-USD."""

    # Signed; positive is paid to the client.
    amount: int
    # Part of a charge that exceeds an isolated position's margin.
    insured: int
    # The position's margin after it.
    margin: int


def is_due(position: Position, rollover_day: int) -> bool:
    """Return whether a position was open at a rollover that it was not charged for yet."""
    return position.opened_at_us < rollover_day * DAY_US and position.swap_day < rollover_day


def position_swap(
    instrument: Instrument, position: Position, price_ticks: int, nights: int
) -> Swap:
    """Return the financing of a position at a closing price.

    Rounding: down; what the client owes rounds up, what it receives rounds down.
    """
    spec = instrument.spec
    rate_ppm = spec.swap_long_ppm if position.is_long else spec.swap_short_ppm
    notional = notional_micros(price_ticks, position.quantity_units, instrument.k)
    amount = swap_micros(notional, rate_ppm, nights)
    if position.is_cross:
        return Swap(amount, 0, position.margin_micros)
    margin = position.margin_micros + amount
    return Swap(amount, max(0, -margin), max(0, margin))
