"""What plain fills do to the state: fills.py for a cross position that comes and a whole one that goes, written out.

Calls are what an order costs, and here are none but those that arm. Tests compare every byte with what fills.py does.
"""

from engine.core.arming import compact, disarm_position
from engine.core.bands import QUEUES
from engine.core.state import NO_BANDS, Account, Holdings, Instrument, Position, State
from engine.core.triggers import (
    ASK_FALLS,
    ASK_RISES,
    BID_FALLS,
    BID_RISES,
    PRICE_MAX,
    STOP_LOSS,
    TAKE_PROFIT,
    owner_of,
)


def hold(
    state: State, account: Account, holdings: Holdings, instrument: Instrument, position: Position
) -> None:
    """Keep the position, the sums that it changes and its triggers, as fills.open_fill() does."""
    account_id, k, price = position.account, position.k, position.price_ticks
    stop_loss, take_profit = position.stop_loss_ticks, position.take_profit_ticks
    account.positions[k] = position
    instrument.open_count += 1
    bands = state.bands.get(account_id, NO_BANDS)
    units = position.quantity_units
    weight = units * instrument.k
    slot = position.instrument * QUEUES
    if position.is_long:
        instrument.net_units += units
        worst = bands.get(slot, -1) + 1
        loss, gain = BID_FALLS, BID_RISES
    else:
        instrument.net_units -= units
        slot += ASK_RISES
        worst = bands.get(slot, PRICE_MAX + 1) - 1
        weight = -weight
        loss, gain = ASK_RISES, ASK_FALLS
    cost = weight * price
    holdings.used_margin += position.margin_micros
    holdings.floor_micros += worst * weight - cost
    exposed = holdings.exposed
    if before := exposed.get(slot):
        exposed[slot] = (instrument, before[1] + weight, before[2] + cost)
    else:
        exposed[slot] = (instrument, weight, cost)
    owner = owner_of(account_id, k)
    queues = instrument.queues
    if stop_loss and queues.arm(loss, stop_loss, owner, STOP_LOSS):
        compact(state, instrument, loss)
    if take_profit and queues.arm(gain, take_profit, owner, TAKE_PROFIT):
        compact(state, instrument, gain)


def let_go(
    state: State, account: Account, holdings: Holdings, instrument: Instrument, position: Position
) -> None:
    """Give a whole position, the sums that it changes and its triggers up, as fills.close_fill() does."""
    account_id, units = position.account, position.quantity_units
    del account.positions[position.k]
    instrument.open_count -= 1
    bands = state.bands.get(account_id, NO_BANDS)
    weight = units * instrument.k
    slot = position.instrument * QUEUES
    if position.is_long:
        instrument.net_units -= units
        worst = bands.get(slot, -1) + 1
        loss, gain = BID_FALLS, BID_RISES
    else:
        instrument.net_units += units
        slot += ASK_RISES
        worst = bands.get(slot, PRICE_MAX + 1) - 1
        weight = -weight
        loss, gain = ASK_RISES, ASK_FALLS
    if position.trailing_ticks or position.liquidation_ticks:
        disarm_position(instrument, position)
    else:
        # Written out: most positions have nothing but stops.
        stale = instrument.queues.stale
        if position.stop_loss_ticks:
            stale[loss] += 1
        if position.take_profit_ticks:
            stale[gain] += 1
    if not position.is_cross:
        holdings.add(instrument, position, -1, bands)
        return
    cost = position.price_ticks * weight
    holdings.used_margin -= position.margin_micros
    holdings.floor_micros -= worst * weight - cost
    _, held, held_cost = holdings.exposed[slot]
    if held == weight:
        del holdings.exposed[slot]
    else:
        holdings.exposed[slot] = (instrument, held - weight, held_cost - cost)
