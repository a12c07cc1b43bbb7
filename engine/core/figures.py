"""Live figures of an account, from its positions and the last accepted quotes (rules M3, M4)."""

import msgspec

from engine.core.bands import QUEUES, Exposure
from engine.core.margin import pnl_micros
from engine.core.state import Account, Holdings, Instrument, Position, State
from engine.core.triggers import ASK_RISES


class Figures(msgspec.Struct, frozen=True, gc=False):
    """Sums over the positions of one account, micro-USD."""

    # Balance - isolated margin + unrealised P&L of cross positions.
    cross_equity: int
    # Initial margins of cross positions.
    used_margin: int
    # Margins of isolated positions, part of the balance.
    isolated_margin: int
    # Unrealised P&L of cross positions.
    cross_unrealised: int
    # Their notional at the closing prices.
    gross: int
    # Cross exposures, one per symbol and direction, at the closing prices.
    held: list[Exposure]

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
        position.is_long, position.price_ticks, price_ticks, position.quantity_units, instrument.k
    )


def figures(state: State, account: Account) -> Figures:
    """Return the live figures of an account."""
    holdings = state.holdings_of(account)
    unrealised = gross = 0
    held = []
    for instrument, weight, cost in holdings.exposed.values():
        price_ticks = instrument.bid if weight > 0 else instrument.ask
        held.append((instrument.index, weight, price_ticks))
        if price_ticks:
            worth = price_ticks * weight
            unrealised += worth - cost
            gross += worth if weight > 0 else -worth
    isolated = holdings.isolated_margin
    equity = account.balance_micros - isolated + unrealised
    return Figures(equity, holdings.used_margin, isolated, unrealised, gross, held)


def gross_notional(holdings: Holdings, instrument: Instrument) -> int:
    """Return the account's gross open notional in a symbol at current closing prices, micro-USD."""
    exposed, isolated = holdings.exposed, holdings.isolated
    long_slot = instrument.index * QUEUES
    short_slot = long_slot + ASK_RISES
    long = isolated.get(long_slot, 0)
    short = isolated.get(short_slot, 0)
    if long_slot in exposed:
        long += exposed[long_slot][1]
    if short_slot in exposed:
        short += exposed[short_slot][1]
    return long * instrument.bid - short * instrument.ask


def floor_margin(holdings: Holdings, account: Account) -> int:
    """Return a free margin that the account has at every price its bands let by, micro-USD, without looking at a price.

    Sound while no band is hit: between entries, and for commands. A quote's entry has to hit its bands first.
    Source: docs/ENGINE.md, rule B2.
    """
    equity = account.balance_micros - holdings.isolated_margin + holdings.floor_micros
    return equity - holdings.used_margin
