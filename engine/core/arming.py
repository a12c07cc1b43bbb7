"""Which trigger stands where: from a position or an order to its queue and price, and back (rules T1, T2).

A trigger is derived from the state: evolve.py arms and disarms as values change, and a popped entry is judged by asking
whether the state still has that value.
"""

from engine.core.bands import QUEUES
from engine.core.state import Instrument, PendingOrder, Position, State
from engine.core.triggers import (
    ASK_FALLS,
    ASK_RISES,
    BAND,
    BID_FALLS,
    BID_RISES,
    ENTRY,
    LIQUIDATION,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING,
    trigger_parts,
)
from engine.rounding import floor_div
from engine.values import OrderType

# A trailing stop moves when the price has gained this part of its distance.
_TRAILING_PARTS = 50


def trailing_threshold(position: Position) -> int:
    """Return the closing price at which a position's trailing stop moves, ticks; 0: no price does it.

    Source: docs/ENGINE.md, rule T3.
    """
    distance = position.trailing_ticks
    gain = distance + max(1, floor_div(distance, _TRAILING_PARTS))
    if position.is_long:
        return position.stop_loss_ticks + gain
    return max(0, position.stop_loss_ticks - gain)


def position_triggers(position: Position) -> tuple[tuple[int, int, int], ...]:
    """Return all triggers of a position as (queue, price in ticks, kind); price 0 is absent."""
    down, up = (BID_FALLS, BID_RISES) if position.is_long else (ASK_RISES, ASK_FALLS)
    return (
        (down, position.stop_loss_ticks, STOP_LOSS),
        (up, position.take_profit_ticks, TAKE_PROFIT),
        (down, position.liquidation_ticks, LIQUIDATION),
        (up, trailing_threshold(position) if position.trailing_ticks else 0, TRAILING),
    )


def order_trigger(order: PendingOrder) -> tuple[int, int]:
    """Return (queue, price in ticks) that a pending order waits for."""
    waits_for_stop = order.order_type is OrderType.STOP or (
        order.order_type is OrderType.STOP_LIMIT and not order.is_activated
    )
    if waits_for_stop:
        return (ASK_RISES if order.is_buy else BID_FALLS), order.stop_price_ticks
    return (ASK_FALLS if order.is_buy else BID_RISES), order.price_ticks


def arm(
    state: State,
    instrument: Instrument,
    queue: int,
    price_ticks: int,
    account: int,
    k: int,
    kind: int,
) -> None:
    """Queue one trigger; a queue that is more than half stale is compacted on the way."""
    queues = instrument.queues
    if queues.arm(queue, price_ticks, account, k, kind):
        standing = [key for key in queues.dump(queue) if stands(state, instrument, queue, key)]
        queues.load(queue, standing)


def arm_position(state: State, instrument: Instrument, position: Position) -> None:
    """Queue every trigger of a position."""
    account, k = position.account, position.k
    for queue, price_ticks, kind in position_triggers(position):
        if price_ticks:
            arm(state, instrument, queue, price_ticks, account, k, kind)


def disarm_position(instrument: Instrument, position: Position) -> None:
    """Count every trigger of a position as stale; call before its values change."""
    for queue, price_ticks, _ in position_triggers(position):
        if price_ticks:
            instrument.queues.disarm(queue)


def arm_order(state: State, instrument: Instrument, order: PendingOrder) -> None:
    """Queue the trigger of a pending order."""
    queue, price_ticks = order_trigger(order)
    arm(state, instrument, queue, price_ticks, order.account, order.k, ENTRY)


def disarm_order(instrument: Instrument, order: PendingOrder) -> None:
    """Count the trigger of a pending order as stale; call before its values change."""
    instrument.queues.disarm(order_trigger(order)[0])


def stands(state: State, instrument: Instrument, queue: int, key: int) -> bool:
    """Return whether a queue entry still is what the state says."""
    price_ticks, account_id, k, kind = trigger_parts(queue, key)
    if kind == BAND:
        bands = state.bands.get(account_id)
        return bands is not None and bands.get(instrument.index * QUEUES + queue) == price_ticks
    account = state.accounts[account_id]
    if kind == ENTRY:
        order = account.orders.get(k)
        return order is not None and order_trigger(order) == (queue, price_ticks)
    position = account.positions.get(k)
    if position is None:
        return False
    return (queue, price_ticks, kind) in position_triggers(position)
