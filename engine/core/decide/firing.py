"""What prices set off: fixed-price triggers until none fires (rules T1-T5), and bands that mark accounts."""

from engine.core.arming import stands
from engine.core.bands import QUEUES
from engine.core.decide.checks import can_fill, check_may_fill, check_mode_open
from engine.core.decide.closing import close_plainly
from engine.core.decide.opening import (
    Cost,
    check_fill,
    open_position,
    opening_of,
    trailing_stop_loss,
)
from engine.core.decide.work import Work, receipt
from engine.core.figures import closing_ticks
from engine.core.margin import notional_micros, tier_index
from engine.core.rearm import spend_band
from engine.core.state import Account, Instrument, PendingOrder, Position, entity_id
from engine.core.triggers import (
    BAND,
    BID_RISES,
    ENTRY,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING,
    trigger_parts,
)
from engine.messages.events import OrderRejected, StopLimitActivated, TrailingStopMoved
from engine.values import CloseReason, OrderType, TradingMode

_HALTED = TradingMode.HALTED
_QUEUES = tuple(range(QUEUES))
_STOP_RULES = {
    STOP_LOSS: (CloseReason.STOP_LOSS, "T1"),
    TAKE_PROFIT: (CloseReason.TAKE_PROFIT, "T2"),
}


def fire_triggers(work: Work, instruments: list[Instrument]) -> None:
    """Fire every trigger that the current quotes of these instruments reach, until a whole pass fires nothing.

    1. Instruments in the order given, queues in their order, nearest to the previous quote first, then id.
    2. A trigger armed meanwhile takes part; hence the passes.
    3. On a halted instrument only bands count; its fixed-price triggers wait for the first quote after the halt.
    4. After a command only triggers of the accounts that it touched fire: nobody's waiting stop hangs on another's order.
       Pending orders wait for a quote, so that a command brings no more events than a page has room for.
    Source: docs/ENGINE.md, rules T4 and T5.
    """
    while True:
        fired = False
        for instrument in instruments:
            # A quote may fire what its entry accepted; after a command the last quote may be too old for it.
            if instrument.queues.is_touched(instrument.bid, instrument.ask) and (
                work.is_quotes or can_fill(work, instrument)
            ):
                fired = _fire_instrument(work, instrument) or fired
        # What fired may have filled orders, whose stops wait in the same instruments.
        if not fired:
            return


def _fire_instrument(work: Work, instrument: Instrument) -> bool:
    fired = False
    queues, by_id = instrument.queues, work.state.accounts.by_id
    is_quotes, touched = work.is_quotes, work.touched
    is_halted = instrument.trading_mode is _HALTED
    bid, ask, tops = instrument.bid, instrument.ask, queues.tops
    waiting: list[int] = []
    for queue in _QUEUES:
        price = bid if queue <= BID_RISES else ask
        # What pop_reached() asks first, for all but one queue in vain.
        while price >= tops[queue] if queue & 1 else price <= tops[queue]:
            key = queues.pop_reached(queue, bid, ask)
            parts = price_ticks, account_id, k, kind = trigger_parts(queue, key)
            may_fire = not is_halted and (is_quotes or account_id in touched)
            if kind <= TAKE_PROFIT:
                # stands() and _fire(), written out: nearly all that fires are stops.
                account = by_id.get(account_id) or by_id[account_id]
                position = account.positions.get(k)
                if position is not None and price_ticks == (
                    position.take_profit_ticks if kind else position.stop_loss_ticks
                ):
                    if may_fire:
                        reason, rule = _STOP_RULES[kind]
                        inputs = {"threshold_ticks": price_ticks}
                        close_plainly(work, account, position, reason, rule, inputs)
                        fired = True
                    else:
                        waiting.append(key)
            elif stands(work.state, instrument, queue, parts):
                if kind == BAND:
                    _mark(work, instrument, queue, account_id)
                elif may_fire and (is_quotes or kind != ENTRY):
                    _fire(work, instrument, by_id[account_id], k, kind, price_ticks)
                    fired = True
                else:
                    waiting.append(key)
        while waiting:
            queues.push_back(queue, waiting.pop())
    return fired


def _mark(work: Work, instrument: Instrument, queue: int, account_id: int) -> None:
    """Note that an account's band was hit; the band is spent."""
    spend_band(work.state, instrument, queue, account_id)
    work.touch(work.state.accounts.by_id[account_id], may_stop_out=work.is_quotes)


def _fire(
    work: Work, instrument: Instrument, account: Account, k: int, kind: int, price_ticks: int
) -> None:
    if kind == ENTRY:
        _fire_entry(work, account, instrument, account.orders[k], price_ticks)
        return
    position = account.positions[k]
    if kind == TRAILING:
        _move_trailing(work, account, instrument, position, price_ticks)
        return
    inputs = {"threshold_ticks": price_ticks}
    if position.margin_micros:
        notional = notional_micros(price_ticks, position.quantity_units, instrument.k)
        inputs["margin_micros"] = position.margin_micros
        inputs["tier"] = tier_index(instrument.spec.tiers, notional) + 1
    close_plainly(work, account, position, CloseReason.LIQUIDATION, "L5", inputs)


def _move_trailing(
    work: Work, account: Account, instrument: Instrument, position: Position, price_ticks: int
) -> None:
    work.emit(
        TrailingStopMoved(
            account=account.account,
            seq=account.seq + 1,
            position_id=entity_id(account.account, position.k),
            stop_loss_ticks=trailing_stop_loss(
                is_long=position.is_long,
                closing_ticks=closing_ticks(instrument, is_long=position.is_long),
                trailing_ticks=position.trailing_ticks,
            ),
            receipt=receipt(
                "T3",
                instrument,
                threshold_ticks=price_ticks,
                trailing_ticks=position.trailing_ticks,
                previous_stop_loss_ticks=position.stop_loss_ticks,
            ),
        )
    )


def _fire_entry(
    work: Work, account: Account, instrument: Instrument, order: PendingOrder, price_ticks: int
) -> None:
    """Fill a pending order whose price was reached, or say why not (rule P3)."""
    order_id = entity_id(account.account, order.k)
    if order.order_type is OrderType.STOP_LIMIT and not order.is_activated:
        work.emit(
            StopLimitActivated(
                account=account.account,
                seq=account.seq + 1,
                order_id=order_id,
                receipt=receipt("P3", instrument, threshold_ticks=price_ticks),
            )
        )
        return
    opening = opening_of(order)
    found = (
        check_may_fill(account)
        or check_mode_open(instrument)
        or check_fill(work, account, instrument, opening)
    )
    if isinstance(found, Cost):
        open_position(work, account, instrument, opening, found, order.k, "P3")
        return
    work.emit(
        OrderRejected(
            account=account.account,
            seq=account.seq + 1,
            order_id=order_id,
            code=found.code,
            data=found.data,
            receipt=receipt("P3", instrument, threshold_ticks=price_ticks),
        )
    )
