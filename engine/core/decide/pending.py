"""Pending orders: place, modify, cancel, expire (rules O1-O6)."""

from heapq import heappop
from typing import NamedTuple

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
from engine.core.decide.opening import Opening, check_fill, open_position
from engine.core.decide.work import Work, rejected
from engine.core.evolve import expiry_parts
from engine.core.state import Account, Instrument, PendingOrder, entity_id, next_midnight_us
from engine.messages import commands as cmd
from engine.messages.events import OrderCancelled, OrderExpired, OrderModified
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import Actor, CancelReason, OrderType, Side, TimeInForce


class Prices(NamedTuple):
    """The prices of a pending order and what its type makes of them; 0 is absent."""

    order_type: OrderType
    is_buy: bool
    price_ticks: int
    stop_price_ticks: int
    # A stop-limit whose stop was reached is judged as the limit order that it is now.
    is_activated: bool = False

    @property
    def reference_ticks(self) -> int:
        """Return the order's own price, against which its stops are judged."""
        return self.price_ticks or self.stop_price_ticks

    @property
    def waits_for_stop(self) -> bool:
        """Return whether a stop price must be reached first."""
        return self.stop_price_ticks > 0 and not self.is_activated


def check_price_shape(
    order_type: OrderType, price_ticks: int | None, stop_price_ticks: int | None
) -> Rejected | None:
    """Refuse prices that the order type does not take, or lacks (rule O1)."""
    needs_price = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    needs_stop = order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    if needs_price == (price_ticks is not None) and needs_stop == (stop_price_ticks is not None):
        return None
    return rejected(
        RejectCode.PRICE_INVALID,
        order_type=order_type.value,
        price_ticks=price_ticks or 0,
        stop_price_ticks=stop_price_ticks or 0,
    )


def check_stop_price(instrument: Instrument, prices: Prices) -> Rejected | None:
    """Refuse a stop price that the market has passed already (rule O2)."""
    if not prices.waits_for_stop:
        return None
    stop = prices.stop_price_ticks
    is_passed = instrument.ask >= stop if prices.is_buy else instrument.bid <= stop
    if not is_passed:
        return None
    return rejected(
        RejectCode.PRICE_INVALID,
        order_type=prices.order_type.value,
        stop_price_ticks=stop,
        bid_ticks=instrument.bid,
        ask_ticks=instrument.ask,
    )


def is_marketable(instrument: Instrument, prices: Prices) -> bool:
    """Return whether a limit price is reached by the current quote (rule O3)."""
    if prices.waits_for_stop:
        return False
    if prices.is_buy:
        return instrument.ask <= prices.price_ticks
    return instrument.bid >= prices.price_ticks


def resolve_expiry(
    work: Work, time_in_force: TimeInForce, expires_at_us: int | None
) -> int | Rejected:
    """Return when an order expires, microseconds (0: never), or refuse a time that does not fit (rule O4)."""
    if time_in_force is TimeInForce.GTD:
        if expires_at_us is not None and expires_at_us > work.now_us:
            return expires_at_us
    elif expires_at_us is None:
        return next_midnight_us(work.now_us) if time_in_force is TimeInForce.DAY else 0
    return rejected(
        RejectCode.EXPIRY_INVALID,
        time_in_force=time_in_force.value,
        expires_at_us=expires_at_us or 0,
        now_us=work.now_us,
    )


def modify_order(work: Work, account: Account, command: cmd.ModifyOrder) -> Accepted | Rejected:
    """Change a pending order; what becomes marketable by it is filled at once, or the change is refused (rule O5)."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    order = find_order(account, command.order_id)
    if isinstance(order, Rejected):
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
        or (expires_at_us if isinstance(expires_at_us, Rejected) else None)
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
    is_filled_now = refusal is None and is_marketable(instrument, prices)
    if is_filled_now:
        refusal = (
            check_may_open(work, account)
            or check_mode_open(instrument)
            or check_fill(work, account, instrument, opening)
        )
    if refusal:
        return refusal
    work.emit(_with_expiry(change, expires_at_us))
    if is_filled_now:
        open_position(work, account, instrument, opening, order.k, "O5")
    return Accepted()


def _merged(work: Work, order: PendingOrder, command: cmd.ModifyOrder) -> OrderModified:
    """Return the order's terms after the change, before they are judged."""
    account = work.state.accounts[order.account]

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


def cancel_order(work: Work, account: Account, command: cmd.CancelOrder) -> Accepted | Rejected:
    """Cancel one pending order (rule O6)."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    order = find_order(account, command.order_id)
    if isinstance(order, Rejected):
        return order
    _cancel(work, account, order, command.actor)
    return Accepted()


def cancel_all(work: Work, account: Account, command: cmd.CancelAll) -> Accepted | Rejected:
    """Cancel every pending order that passes the filters, by id (rule O6)."""
    if command.symbol is not None and command.symbol not in work.state.instrument_by_symbol:
        return rejected(RejectCode.SYMBOL_UNKNOWN, symbol=command.symbol)
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    for k in sorted(account.orders):
        order = account.orders[k]
        symbol = work.state.instruments[order.instrument].spec.symbol
        is_meant = command.symbol in (None, symbol) and (
            command.side is None or (command.side is Side.BUY) == order.is_buy
        )
        if is_meant:
            _cancel(work, account, order, command.actor)
    return Accepted()


def _cancel(work: Work, account: Account, order: PendingOrder, actor: Actor) -> None:
    reason = CancelReason.CLIENT if actor is Actor.CLIENT else CancelReason.OPERATOR
    work.emit(
        OrderCancelled(
            account=account.account,
            seq=account.seq + 1,
            order_id=entity_id(account.account, order.k),
            cancel_reason=reason,
        )
    )


def expire_orders(work: Work) -> None:
    """End every order whose time has come: by time, account, id (rule O4; first step of every entry)."""
    expiries = work.state.expiries
    while expiries:
        expires_at_us, account_id, k = expiry_parts(expiries[0])
        if expires_at_us > work.now_us:
            return
        heappop(expiries)
        account = work.state.accounts[account_id]
        order = account.orders.get(k)
        if order is not None and order.expires_at_us == expires_at_us:
            work.emit(
                OrderExpired(
                    account=account_id,
                    seq=account.seq + 1,
                    order_id=entity_id(account_id, k),
                    expires_at_us=expires_at_us,
                )
            )
