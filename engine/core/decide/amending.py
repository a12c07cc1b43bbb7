"""ModifyOrder: new terms for a pending order, judged as a whole before anything changes (rule O5)."""

import msgspec
from msgspec import UNSET, UnsetType

from engine.core.decide.checks import (
    check_may_open,
    check_may_reduce,
    check_mode_open,
    check_not_halted,
    check_quantity,
    check_quote,
    check_stops,
    find_order,
)
from engine.core.decide.opening import Cost, Opening, check_fill, open_position
from engine.core.decide.pending import (
    Prices,
    check_price_shape,
    check_stop_price,
    is_marketable,
    resolve_expiry,
)
from engine.core.decide.work import Work, rejected
from engine.core.state import Account, Instrument, PendingOrder
from engine.messages import commands as cmd
from engine.messages.events import OrderModified
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import TimeInForce


def modify_order(work: Work, account: Account, command: cmd.ModifyOrder) -> Accepted | Rejected:
    """Change a pending order; what becomes marketable by it is filled at once, or the change is refused (rule O5)."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    order = find_order(account, command.order_id)
    if type(order) is Rejected:
        return order
    instrument = work.state.instruments[order.instrument]
    refusal = check_not_halted(instrument)
    if refusal:
        return refusal
    change = _merged(work, order, command)
    prices = Prices(
        order.order_type,
        order.is_buy,
        change.price_ticks or 0,
        change.stop_price_ticks or 0,
        order.is_activated,
    )
    opening = Opening(
        order.order_type,
        order.is_buy,
        order.is_cross,
        change.quantity_units,
        order.leverage,
        change.stop_loss_ticks or 0,
        change.take_profit_ticks or 0,
        change.trailing_ticks or 0,
    )
    expires_at_us = _modified_expiry(work, order, command, change)
    refusal = (
        check_quantity(instrument, change.quantity_units)
        or (expires_at_us if type(expires_at_us) is Rejected else None)
        or check_quote(work, instrument)
        or _check_modified_prices(instrument, order, command, prices)
        or check_stops(
            instrument,
            is_long=order.is_buy,
            reference_ticks=prices.reference_ticks,
            stop_loss_ticks=change.stop_loss_ticks,
            take_profit_ticks=change.take_profit_ticks,
            trailing_ticks=change.trailing_ticks,
        )
    )
    if refusal:
        return refusal
    cost: Cost | None = None
    if is_marketable(instrument, prices):
        found = (
            check_may_open(work, account)
            or check_mode_open(instrument)
            or check_fill(work, account, instrument, opening)
        )
        if type(found) is Rejected:
            return found
        cost = found
    change = _with_expiry(change, expires_at_us)
    if _differs(order, change):
        work.emit(change)
    if cost is not None:
        open_position(work, account, instrument, opening, cost, order.k, "O5")
    return Accepted()


def _merged(work: Work, order: PendingOrder, command: cmd.ModifyOrder) -> OrderModified:
    """Return the order's terms after the change, before they are judged."""
    account = work.state.accounts.by_id[order.account]

    def value(new: int | UnsetType | None, old: int) -> int | None:
        return (old or None) if isinstance(new, UnsetType) else new

    return OrderModified(
        account=account.account,
        seq=account.seq + 1,
        order_id=command.order_id,
        quantity_units=value(command.quantity_units, order.quantity_units) or 0,
        price_ticks=value(command.price_ticks, order.price_ticks),
        stop_price_ticks=value(command.stop_price_ticks, order.stop_price_ticks),
        time_in_force=(
            order.time_in_force if command.time_in_force is UNSET else command.time_in_force
        ),
        expires_at_us=value(command.expires_at_us, order.expires_at_us),
        stop_loss_ticks=value(command.stop_loss_ticks, order.stop_loss_ticks),
        take_profit_ticks=value(command.take_profit_ticks, order.take_profit_ticks),
        trailing_ticks=value(command.trailing_ticks, order.trailing_ticks),
    )


def _modified_expiry(
    work: Work, order: PendingOrder, command: cmd.ModifyOrder, change: OrderModified
) -> int | Rejected:
    """Return the new end of life; untouched fields keep the old one."""
    if command.time_in_force is UNSET and command.expires_at_us is UNSET:
        return order.expires_at_us
    given = None if command.expires_at_us is UNSET else command.expires_at_us
    if given is None and change.time_in_force is TimeInForce.GTD:
        given = order.expires_at_us if order.time_in_force is TimeInForce.GTD else None
    return resolve_expiry(work, change.time_in_force, given)


def _check_modified_prices(
    instrument: Instrument, order: PendingOrder, command: cmd.ModifyOrder, prices: Prices
) -> Rejected | None:
    """Refuse prices that the type lacks, a new stop of an order whose stop was reached, and passed stops."""
    refusal = check_price_shape(
        order.order_type, prices.price_ticks or None, prices.stop_price_ticks or None
    )
    if refusal is None and order.is_activated and command.stop_price_ticks is not UNSET:
        return rejected(
            RejectCode.PRICE_INVALID,
            order_type=order.order_type.value,
            stop_price_ticks=prices.stop_price_ticks,
        )
    return refusal or check_stop_price(instrument, prices)


def _with_expiry(change: OrderModified, expires_at_us: int | Rejected) -> OrderModified:
    """Return the change with its resolved end of life."""
    end_us = expires_at_us if isinstance(expires_at_us, int) and expires_at_us else None
    return msgspec.structs.replace(change, expires_at_us=end_us)


def _differs(order: PendingOrder, change: OrderModified) -> bool:
    present = (
        order.quantity_units,
        order.price_ticks or None,
        order.stop_price_ticks or None,
        order.time_in_force,
        order.expires_at_us or None,
        order.stop_loss_ticks or None,
        order.take_profit_ticks or None,
        order.trailing_ticks or None,
    )
    return present != (
        change.quantity_units,
        change.price_ticks,
        change.stop_price_ticks,
        change.time_in_force,
        change.expires_at_us,
        change.stop_loss_ticks,
        change.take_profit_ticks,
        change.trailing_ticks,
    )
