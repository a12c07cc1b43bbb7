"""Pending orders: place, modify, cancel, expire (rules O1-O6)."""

import msgspec

from engine.core.decide.checks import (
    check_may_reduce,
    find_order,
)
from engine.core.decide.work import Work, rejected
from engine.core.expiries import next_due
from engine.core.state import Account, Instrument, PendingOrder, entity_id, next_midnight_us
from engine.messages import commands as cmd
from engine.messages.events import OrderCancelled, OrderExpired
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import Actor, CancelReason, OrderType, Side, TimeInForce

_MARKET = OrderType.MARKET
_WITH_PRICE = (OrderType.LIMIT, OrderType.STOP_LIMIT)
_WITH_STOP = (OrderType.STOP, OrderType.STOP_LIMIT)


class Prices(msgspec.Struct, frozen=True, gc=False):
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
    if order_type is _MARKET and price_ticks is None and stop_price_ticks is None:
        return None
    needs_price = order_type in _WITH_PRICE
    needs_stop = order_type in _WITH_STOP
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


def cancel_order(work: Work, account: Account, command: cmd.CancelOrder) -> Accepted | Rejected:
    """Cancel one pending order (rule O6)."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    order = find_order(account, command.order_id)
    if type(order) is Rejected:
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
    while (order := next_due(work.state)) is not None:
        account = work.state.accounts.by_id[order.account]
        work.emit(
            OrderExpired(
                account=order.account,
                seq=account.seq + 1,
                order_id=entity_id(order.account, order.k),
                expires_at_us=order.expires_at_us,
            )
        )
