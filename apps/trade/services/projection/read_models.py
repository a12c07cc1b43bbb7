"""What each event does to the read models: one function per event, no decisions.

A rebuild runs the same functions over the journal, so the tables come out equal. Enumerations are texts, and are put down as they are:
`value` is a property written in Python.
"""

from collections.abc import Callable, Sequence
from typing import Any

from apps.common.outputs import Output
from apps.trade.choices import OrderState
from apps.trade.models import Account, Order, Position
from apps.trade.services.projection.days import DayBook, day_of, scales_apply
from apps.trade.services.projection.rows import BatchRows, row_new
from engine.messages import events as ev
from engine.values import AccountStatus, Direction, InvariantError, Side, TimeInForce, entry_time_us


def read_models_apply(layout: int, outputs: Sequence[Output]) -> dict[int, int]:
    """Apply the account events of some outputs, in the caller's transaction; return the owners of these accounts.

    Errors: InvariantError when an event does not follow from the rows.
    """
    found = [
        (output, index, event, day_of(output.entry_id))
        for output in outputs
        for index, event in enumerate(output.events)
        if isinstance(event, ev.AccountEvent)
    ]
    # Decimals never change while a position is open, so all definitions of a batch may come first.
    scales_apply(outputs)
    if not found:
        return {}
    rows = BatchRows([event for _, _, event, _ in found])
    days = DayBook(found, rows)
    for place, (output, index, event, day) in enumerate(found):
        before = rows.accounts.find(event.account)
        before_micros = before.balance_micros if before else 0
        account = _apply(rows, output, event)
        amount_micros = account.balance_micros - before_micros
        _history_add(rows, layout, output, index, event, account, amount_micros)
        days.take(place, day, event, account, before_micros)
    rows.write()
    days.write()
    return {row.account: row.owner_id for row in rows.accounts.all()}


def _history_add(
    rows: BatchRows,
    layout: int,
    output: Output,
    index: int,
    event: ev.AccountEvent,
    account: Account,
    amount_micros: int,
) -> None:
    order_id = getattr(event, "position_id", "") or getattr(event, "order_id", "")
    about = rows.positions.find(order_id) or (rows.orders.get(order_id) if order_id else None)
    # In the order of rows.HISTORY.
    rows.history.append(
        (
            event.account,
            event.seq,
            layout,
            output.shard,
            output.n,
            index,
            type(event).__name__,
            order_id,
            about.symbol if about else "",
            amount_micros,
            account.balance_micros,
            entry_time_us(output.entry_id),
        )
    )


def _apply(rows: BatchRows, output: Output, event: ev.AccountEvent) -> Account:
    """Let an event change the rows, and return that of its account."""
    if type(event) is ev.AccountOpened:
        return _account_opened(rows, event)
    account = rows.accounts.get(event.account)
    if event.seq != account.seq + 1:
        raise InvariantError(f"event {event.seq} of account {event.account} is out of turn")
    account.seq = event.seq
    # Every event that moves money states the balance after it.
    account.balance_micros = getattr(event, "balance_micros", account.balance_micros)
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(rows, output, event, account)
    return account


# --- accounts ---------------------------------------------------------------------------------------------------------


def _account_opened(rows: BatchRows, event: ev.AccountOpened) -> Account:
    account = row_new(
        Account,
        account=event.account,
        owner_id=event.owner_id,
        kind=event.kind,
        group=event.terms.group,
        status=AccountStatus.ACTIVE,
        margin_mode=event.margin_mode,
        leverage_cap=event.leverage_cap,
        balance_micros=0,
        seq=event.seq,
        cash_seq=0,
        is_margin_call=False,
        is_stop_out_pending=False,
        opened_at_us=event.opened_at_us,
    )
    rows.accounts.add(event.account, account)
    return account


def _terms_changed(
    rows: BatchRows, _: Output, event: ev.AccountTermsChanged, account: Account
) -> None:
    account.group = event.terms.group
    for position_id, liquidation_ticks in event.liquidations:
        rows.positions.get(position_id).liquidation_ticks = liquidation_ticks


def _status_changed(
    _rows: BatchRows, _: Output, event: ev.AccountStatusChanged, account: Account
) -> None:
    account.status = event.status


def _leverage_cap_changed(
    _rows: BatchRows, _: Output, event: ev.AccountLeverageCapChanged, account: Account
) -> None:
    account.leverage_cap = event.leverage_cap


def _cash_decided(
    _rows: BatchRows, _: Output, event: ev.CashPosted | ev.CashRefused, account: Account
) -> None:
    account.cash_seq = event.cash_seq


def _margin_call_raised(_rows: BatchRows, _: Output, _event: ev.AnyEvent, account: Account) -> None:
    account.is_margin_call = True


def _margin_call_cleared(
    _rows: BatchRows, _: Output, _event: ev.AnyEvent, account: Account
) -> None:
    account.is_margin_call = False


def _stop_out_pending(_rows: BatchRows, _: Output, _event: ev.AnyEvent, account: Account) -> None:
    account.is_stop_out_pending = True


def _stop_out_resumed(_rows: BatchRows, _: Output, _event: ev.AnyEvent, account: Account) -> None:
    account.is_stop_out_pending = False


# --- orders -----------------------------------------------------------------------------------------------------------


def _order_placed(rows: BatchRows, _: Output, event: ev.OrderPlaced, _account: Account) -> None:
    rows.orders.add(
        event.order_id,
        row_new(
            Order,
            order_id=event.order_id,
            account=event.account,
            symbol=event.symbol,
            side=event.side,
            order_type=event.order_type,
            quantity_units=event.quantity_units,
            leverage=event.leverage,
            margin_mode=event.margin_mode,
            price_ticks=event.price_ticks,
            stop_price_ticks=event.stop_price_ticks,
            time_in_force=event.time_in_force,
            expires_at_us=event.expires_at_us,
            stop_loss_ticks=event.stop_loss_ticks,
            take_profit_ticks=event.take_profit_ticks,
            trailing_ticks=event.trailing_ticks,
            state=OrderState.PENDING,
            placed_at_us=event.placed_at_us,
        ),
    )


def _order_modified(rows: BatchRows, _: Output, event: ev.OrderModified, _account: Account) -> None:
    order = rows.orders.get(event.order_id)
    order.quantity_units = event.quantity_units
    order.price_ticks = event.price_ticks
    order.stop_price_ticks = event.stop_price_ticks
    order.time_in_force = event.time_in_force
    order.expires_at_us = event.expires_at_us
    order.stop_loss_ticks = event.stop_loss_ticks
    order.take_profit_ticks = event.take_profit_ticks
    order.trailing_ticks = event.trailing_ticks


def _stop_limit_activated(
    rows: BatchRows, _: Output, event: ev.StopLimitActivated, _account: Account
) -> None:
    rows.orders.get(event.order_id).is_activated = True


def _order_cancelled(
    rows: BatchRows, _: Output, event: ev.OrderCancelled, _account: Account
) -> None:
    order = rows.orders.get(event.order_id)
    order.state = OrderState.CANCELLED
    order.end_reason = event.cancel_reason


def _order_expired(rows: BatchRows, _: Output, event: ev.OrderExpired, _account: Account) -> None:
    rows.orders.get(event.order_id).state = OrderState.EXPIRED


def _order_rejected(rows: BatchRows, _: Output, event: ev.OrderRejected, _account: Account) -> None:
    order = rows.orders.get(event.order_id)
    order.state = OrderState.REJECTED
    order.end_reason = event.code


# --- positions --------------------------------------------------------------------------------------------------------


def _position_opened(
    rows: BatchRows, output: Output, event: ev.PositionOpened, _account: Account
) -> None:
    side = Side.BUY if event.direction is Direction.LONG else Side.SELL
    order = rows.orders.find(event.position_id)
    if order is None:
        # A market order never waits, so its fill is the first that is heard of it.
        order = row_new(
            Order,
            order_id=event.position_id,
            account=event.account,
            symbol=event.symbol,
            side=side,
            order_type=event.order_type,
            quantity_units=event.quantity_units,
            leverage=event.leverage,
            margin_mode=event.margin_mode,
            time_in_force=TimeInForce.GTC,
            stop_loss_ticks=event.stop_loss_ticks,
            take_profit_ticks=event.take_profit_ticks,
            trailing_ticks=event.trailing_ticks,
            placed_at_us=event.opened_at_us,
        )
        rows.orders.add(event.position_id, order)
    order.state = OrderState.FILLED
    rows.positions.add(
        event.position_id,
        row_new(
            Position,
            position_id=event.position_id,
            account=event.account,
            symbol=event.symbol,
            direction=event.direction,
            quantity_units=event.quantity_units,
            open_units=event.quantity_units,
            entry_price_ticks=event.price_ticks,
            leverage=event.leverage,
            margin_mode=event.margin_mode,
            margin_micros=event.margin_micros,
            commission_micros=event.commission_micros,
            pnl_micros=0,
            swap_micros=0,
            stop_loss_ticks=event.stop_loss_ticks,
            take_profit_ticks=event.take_profit_ticks,
            trailing_ticks=event.trailing_ticks,
            liquidation_ticks=event.liquidation_ticks,
            opened_at_us=event.opened_at_us,
        ),
    )
    _fill_add(rows, output, event, side, is_closing=False, at_us=event.opened_at_us)


def _position_closed(
    rows: BatchRows, output: Output, event: ev.PositionClosed, _account: Account
) -> None:
    position = rows.positions.get(event.position_id)
    position.open_units = event.remaining_units
    position.margin_micros = event.margin_micros
    position.liquidation_ticks = event.liquidation_ticks
    position.pnl_micros += event.pnl_micros
    position.commission_micros += event.commission_micros
    if not event.remaining_units:
        position.closed_at_us = event.closed_at_us
    side = Side.SELL if event.direction is Direction.LONG else Side.BUY
    _fill_add(rows, output, event, side, is_closing=True, at_us=event.closed_at_us)
    # In the order of rows.CLOSED_TRADE.
    rows.closed_trades.append(
        (
            event.fill_id,
            event.account,
            event.position_id,
            event.symbol,
            event.direction,
            event.quantity_units,
            event.entry_price_ticks,
            event.price_ticks,
            event.pnl_micros,
            event.commission_micros,
            event.insured_micros,
            event.close_reason,
            position.opened_at_us,
            event.closed_at_us,
            event.seq,
        )
    )


def _fill_add(
    rows: BatchRows,
    output: Output,
    event: ev.PositionOpened | ev.PositionClosed,
    side: Side,
    *,
    is_closing: bool,
    at_us: int,
) -> None:
    # In the order of rows.FILL.
    rows.fills.append(
        (
            event.fill_id,
            event.account,
            event.position_id,
            event.symbol,
            side,
            is_closing,
            event.quantity_units,
            event.price_ticks,
            event.commission_micros,
            at_us,
            output.shard,
            output.n,
        )
    )


def _position_modified(
    rows: BatchRows, _: Output, event: ev.PositionModified, _account: Account
) -> None:
    position = rows.positions.get(event.position_id)
    position.stop_loss_ticks = event.stop_loss_ticks
    position.take_profit_ticks = event.take_profit_ticks
    position.trailing_ticks = event.trailing_ticks


def _trailing_stop_moved(
    rows: BatchRows, _: Output, event: ev.TrailingStopMoved, _account: Account
) -> None:
    rows.positions.get(event.position_id).stop_loss_ticks = event.stop_loss_ticks


def _margin_changed(
    rows: BatchRows,
    _: Output,
    event: ev.PositionMarginChanged | ev.SwapCharged,
    _account: Account,
) -> None:
    position: Position = rows.positions.get(event.position_id)
    position.margin_micros = event.margin_micros
    position.liquidation_ticks = event.liquidation_ticks
    if type(event) is ev.SwapCharged:
        position.swap_micros += event.amount_micros


# Events without an entry change nothing but the account's seq and balance.
_HANDLERS: dict[type[ev.AccountEvent], Callable[[BatchRows, Output, Any, Account], None]] = {
    ev.AccountTermsChanged: _terms_changed,
    ev.AccountStatusChanged: _status_changed,
    ev.AccountLeverageCapChanged: _leverage_cap_changed,
    ev.CashPosted: _cash_decided,
    ev.CashRefused: _cash_decided,
    ev.MarginCallRaised: _margin_call_raised,
    ev.MarginCallCleared: _margin_call_cleared,
    ev.StopOutPending: _stop_out_pending,
    ev.StopOutResumed: _stop_out_resumed,
    ev.OrderPlaced: _order_placed,
    ev.OrderModified: _order_modified,
    ev.StopLimitActivated: _stop_limit_activated,
    ev.OrderCancelled: _order_cancelled,
    ev.OrderExpired: _order_expired,
    ev.OrderRejected: _order_rejected,
    ev.PositionOpened: _position_opened,
    ev.PositionClosed: _position_closed,
    ev.PositionModified: _position_modified,
    ev.TrailingStopMoved: _trailing_stop_moved,
    ev.PositionMarginChanged: _margin_changed,
    ev.SwapCharged: _margin_changed,
}
