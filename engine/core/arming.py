"""Which trigger stands where: from a position or an order to its queue and price, and back (rules T1, T2).

A trigger is derived from the state: evolve.py arms and disarms as values change, and a popped entry is judged by asking
whether the state still has that value.
"""

from engine.core.bands import QUEUES
from engine.core.state import NO_BANDS, Instrument, PendingOrder, Position, State
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
    owner_of,
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


def position_triggers(position: Position) -> list[tuple[int, int, int]]:
    """Return the triggers of a position as (queue, price in ticks, kind)."""
    if position.is_long:
        loss, gain = BID_FALLS, BID_RISES
    else:
        loss, gain = ASK_RISES, ASK_FALLS
    found = []
    if position.stop_loss_ticks:
        found.append((loss, position.stop_loss_ticks, STOP_LOSS))
    if position.take_profit_ticks:
        found.append((gain, position.take_profit_ticks, TAKE_PROFIT))
    if position.liquidation_ticks:
        found.append((loss, position.liquidation_ticks, LIQUIDATION))
    if position.trailing_ticks and (threshold := trailing_threshold(position)):
        found.append((gain, threshold, TRAILING))
    return found


def order_trigger(order: PendingOrder) -> tuple[int, int]:
    """Return (queue, price in ticks) that a pending order waits for."""
    waits_for_stop = order.order_type is OrderType.STOP or (
        order.order_type is OrderType.STOP_LIMIT and not order.is_activated
    )
    if waits_for_stop:
        return (ASK_RISES if order.is_buy else BID_FALLS), order.stop_price_ticks
    return (ASK_FALLS if order.is_buy else BID_RISES), order.price_ticks


def compact(state: State, instrument: Instrument, queue: int) -> None:
    """Drop the stale entries of a queue; arming asks for it when they are more than half.

    A price that somebody changes and changes back is queued twice, and both entries stand: one of them stays. Nobody sets a band,
    and they are most of a queue: they are not compared.
    """
    queues = instrument.queues
    bands, slot = state.bands, instrument.index * QUEUES + queue
    standing: list[int] = []
    others: dict[int, None] = {}
    for key in queues.entries(queue):
        parts = trigger_parts(queue, key)
        price_ticks, account_id, _, kind = parts
        # stands(), written out for bands: they are most of what becomes stale.
        if kind == BAND:
            if bands.get(account_id, NO_BANDS).get(slot) == price_ticks:
                standing.append(key)
        elif stands(state, instrument, queue, parts):
            others[key] = None
    standing += others
    queues.load(queue, standing)


def arm(
    state: State, instrument: Instrument, queue: int, price_ticks: int, owner: int, kind: int
) -> None:
    """Queue one trigger of an owner_of(), and compact the queue when most of it is stale."""
    if instrument.queues.arm(queue, price_ticks, owner, kind):
        compact(state, instrument, queue)


def arm_position(state: State, instrument: Instrument, position: Position) -> None:
    """Queue every trigger of a position: those of position_triggers(), without a list of them."""
    loss, gain = (BID_FALLS, BID_RISES) if position.is_long else (ASK_RISES, ASK_FALLS)
    owner = owner_of(position.account, position.k)
    if position.stop_loss_ticks:
        arm(state, instrument, loss, position.stop_loss_ticks, owner, STOP_LOSS)
    if position.take_profit_ticks:
        arm(state, instrument, gain, position.take_profit_ticks, owner, TAKE_PROFIT)
    if position.liquidation_ticks:
        arm(state, instrument, loss, position.liquidation_ticks, owner, LIQUIDATION)
    if position.trailing_ticks and (threshold := trailing_threshold(position)):
        arm(state, instrument, gain, threshold, owner, TRAILING)


def disarm_position(instrument: Instrument, position: Position) -> None:
    """Count every trigger of a position as stale; call before its values change."""
    loss, gain = (BID_FALLS, BID_RISES) if position.is_long else (ASK_RISES, ASK_FALLS)
    stale = instrument.queues.stale
    if position.stop_loss_ticks:
        stale[loss] += 1
    if position.take_profit_ticks:
        stale[gain] += 1
    if position.liquidation_ticks:
        stale[loss] += 1
    if position.trailing_ticks and trailing_threshold(position):
        stale[gain] += 1


def arm_order(state: State, instrument: Instrument, order: PendingOrder) -> None:
    """Queue the trigger of a pending order."""
    queue, price_ticks = order_trigger(order)
    arm(state, instrument, queue, price_ticks, owner_of(order.account, order.k), ENTRY)


def disarm_order(instrument: Instrument, order: PendingOrder) -> None:
    """Count the trigger of a pending order as stale; call before its values change."""
    instrument.queues.disarm(order_trigger(order)[0])


def stands(
    state: State, instrument: Instrument, queue: int, parts: tuple[int, int, int, int]
) -> bool:
    """Return whether a queue entry, as trigger_parts() reads it, still is what the state says."""
    price_ticks, account_id, k, kind = parts
    if kind == BAND:
        bands = state.bands.get(account_id)
        return bands is not None and bands.get(instrument.index * QUEUES + queue) == price_ticks
    account = state.accounts.by_id[account_id]
    if kind == ENTRY:
        order = account.orders.get(k)
        return order is not None and order_trigger(order) == (queue, price_ticks)
    position = account.positions.get(k)
    if position is None:
        return False
    if kind == STOP_LOSS:
        return price_ticks == position.stop_loss_ticks
    if kind == TAKE_PROFIT:
        return price_ticks == position.take_profit_ticks
    if kind == LIQUIDATION:
        return price_ticks == position.liquidation_ticks
    return position.trailing_ticks > 0 and price_ticks == trailing_threshold(position)
