"""Live figures of an account, from its positions and the last accepted quotes (rules M3, M4)."""

import msgspec

from engine.core.margin import notional_micros, pnl_micros
from engine.core.state import Account, Instrument, Position, State


class Figures(msgspec.Struct, frozen=True, gc=False):
    """Sums over the positions of one account, micro-USD."""

    # Balance - isolated margin + unrealised P&L of cross positions.
    cross_equity: int
    # Initial margins of cross positions.
    used_margin: int
    # Margins of isolated positions, part of the balance.
    isolated_margin: int
    # Unrealised P&L of cross positions, and of isolated ones.
    cross_unrealised: int
    isolated_unrealised: int

    @property
    def free_margin(self) -> int:
        """Return what orders of both modes and AddMargin may use."""
        return self.cross_equity - self.used_margin


def closing_ticks(instrument: Instrument, *, is_long: bool) -> int:
    """Return the price that a position would be closed at: bid for longs, ask for shorts; 0 without a quote."""
    return instrument.bid if is_long else instrument.ask


def unrealised_micros(instrument: Instrument, position: Position) -> int:
    """Return the result of a position if closed now, before commission; 0 without a quote."""
    price_ticks = instrument.bid if position.is_long else instrument.ask
    if price_ticks == 0:
        return 0
    return pnl_micros(
        is_long=position.is_long,
        entry_ticks=position.price_ticks,
        price_ticks=price_ticks,
        quantity_units=position.quantity_units,
        k=instrument.k,
    )


def figures(state: State, account: Account) -> Figures:
    """Return the live figures of an account."""
    instruments = state.instruments
    used = isolated = cross_unrealised = isolated_unrealised = 0
    for position in account.positions.values():
        instrument = instruments[position.instrument]
        if position.is_long:
            move = instrument.bid - position.price_ticks if instrument.bid else 0
        else:
            move = position.price_ticks - instrument.ask if instrument.ask else 0
        unrealised = move * position.quantity_units * instrument.k
        if position.is_cross:
            used += position.margin_micros
            cross_unrealised += unrealised
        else:
            isolated += position.margin_micros
            isolated_unrealised += unrealised
    equity = account.balance_micros - isolated + cross_unrealised
    return Figures(equity, used, isolated, cross_unrealised, isolated_unrealised)


def gross_notional(account: Account, instrument: Instrument) -> int:
    """Return the account's gross open notional in a symbol at current closing prices, micro-USD."""
    total = 0
    for position in account.positions.values():
        if position.instrument == instrument.index:
            price_ticks = closing_ticks(instrument, is_long=position.is_long)
            total += notional_micros(price_ticks, position.quantity_units, instrument.k)
    return total
