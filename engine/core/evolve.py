"""How events change the state: one function per event, no branches of business, no refusals.

Plain orders and closes do the same at once, written out in plain_fills.py, and so do live quotes in decide/quotes.py; nothing else
changes the state.

Each event is the whole truth, so that a recorded history evolves to the same state under every later release. Triggers are
armed and disarmed here too: they are derived from the values that change here.
"""

from collections.abc import Callable
from typing import Any

from engine.core.arming import (
    arm_order,
    arm_position,
    disarm_order,
    disarm_position,
)
from engine.core.expiries import forget_expiry, queue_expiry
from engine.core.fills import close_fill, count_position, open_fill, remove_order
from engine.core.ledger import post
from engine.core.state import (
    Account,
    Instrument,
    PendingOrder,
    State,
    entity_k,
)
from engine.messages import events as ev
from engine.messages.commands import Quote, UpdateQuotes
from engine.values import (
    AccountStatus,
    CashKind,
    Direction,
    MarginMode,
    Side,
    check,
)

# Reading a member off its enum costs as much as a call, and every order comes by here.
_BUY = Side.BUY
_LONG = Direction.LONG
_CROSS = MarginMode.CROSS


def evolve(state: State, event: ev.AnyEvent) -> None:
    """Apply one event.

    Errors: InvariantError when the event contradicts the state, which is a bug or a foreign log.
    """
    handler = _ACCOUNT_HANDLERS.get(type(event))
    if handler is None:
        _HANDLERS[type(event)](state, event)
        return
    of_account: Any = event
    account = state.accounts.by_id[of_account.account]
    seq = account.seq + 1
    check(of_account.seq == seq, "account event out of sequence")
    account.seq = seq
    handler(state, account, event)


def write_quote(instrument: Instrument, quote: Quote, entry: UpdateQuotes) -> None:
    """Take an accepted quote; the one before stays for receipts."""
    instrument.previous = instrument.quote
    instrument.bid = bid = quote.bid_ticks
    instrument.ask = ask = quote.ask_ticks
    instrument.ts_us = ts_us = quote.ts_us
    instrument.quote = ev.ReceiptQuote(
        quote.symbol,
        bid,
        ask,
        ts_us,
        entry.source,
        entry.source_class,
        entry.feed_epoch,
        entry.sequence,
    )


def _account_opened(state: State, event: ev.AccountOpened) -> None:
    check(event.account not in state.accounts, "account opened twice")
    check(event.seq == 1, "account event out of sequence")
    state.add_account(
        Account(
            account=event.account,
            owner_id=event.owner_id,
            kind=event.kind,
            status=AccountStatus.ACTIVE,
            is_cross=event.margin_mode is _CROSS,
            leverage_cap=event.leverage_cap,
            terms=event.terms,
            seq=1,
        )
    )


def _terms_changed(state: State, account: Account, event: ev.AccountTermsChanged) -> None:
    account.terms = event.terms
    for position_id, liquidation_ticks in event.liquidations:
        position = account.positions[entity_k(account.account, position_id)]
        instrument = state.instruments[position.instrument]
        disarm_position(instrument, position)
        position.liquidation_ticks = liquidation_ticks
        arm_position(state, instrument, position)


def _status_changed(_: State, account: Account, event: ev.AccountStatusChanged) -> None:
    account.status = event.status


def _leverage_cap_changed(_: State, account: Account, event: ev.AccountLeverageCapChanged) -> None:
    account.leverage_cap = event.leverage_cap


def _cash_posted(state: State, account: Account, event: ev.CashPosted) -> None:
    account.cash_seq = event.cash_seq
    if event.kind is CashKind.WITHDRAWAL:
        account.cash_pending_micros += event.amount_micros
    elif event.kind in (CashKind.SETTLE, CashKind.RETURN):
        account.cash_pending_micros -= event.amount_micros
    post(state, account, event.postings, event.balance_micros)


def _cash_refused(_: State, account: Account, event: ev.CashRefused) -> None:
    account.cash_seq = event.cash_seq


def _order_placed(state: State, account: Account, event: ev.OrderPlaced) -> None:
    instrument = state.instrument_by_symbol[event.symbol]
    k = entity_k(account.account, event.order_id)
    check(k == account.next_k, "order id out of sequence")
    account.next_k = k + 1
    order = PendingOrder(
        account=account.account,
        k=k,
        instrument=instrument.index,
        is_buy=event.side is _BUY,
        is_cross=event.margin_mode is _CROSS,
        order_type=event.order_type,
        quantity_units=event.quantity_units,
        leverage=event.leverage,
        price_ticks=event.price_ticks or 0,
        stop_price_ticks=event.stop_price_ticks or 0,
        is_activated=False,
        time_in_force=event.time_in_force,
        expires_at_us=event.expires_at_us or 0,
        stop_loss_ticks=event.stop_loss_ticks or 0,
        take_profit_ticks=event.take_profit_ticks or 0,
        trailing_ticks=event.trailing_ticks or 0,
        placed_at_us=event.placed_at_us,
    )
    account.orders[k] = order
    instrument.open_count += 1
    arm_order(state, instrument, order)
    queue_expiry(state, order)


def _order_modified(state: State, account: Account, event: ev.OrderModified) -> None:
    order = account.orders[entity_k(account.account, event.order_id)]
    instrument = state.instruments[order.instrument]
    disarm_order(instrument, order)
    order.quantity_units = event.quantity_units
    order.price_ticks = event.price_ticks or 0
    order.stop_price_ticks = event.stop_price_ticks or 0
    order.time_in_force = event.time_in_force
    expires_at_us = event.expires_at_us or 0
    # An end of life that stays is queued already: a change of the price alone must not make the queue longer.
    if expires_at_us != order.expires_at_us:
        forget_expiry(state, order)
        order.expires_at_us = expires_at_us
        queue_expiry(state, order)
    order.stop_loss_ticks = event.stop_loss_ticks or 0
    order.take_profit_ticks = event.take_profit_ticks or 0
    order.trailing_ticks = event.trailing_ticks or 0
    arm_order(state, instrument, order)


def _stop_limit_activated(state: State, account: Account, event: ev.StopLimitActivated) -> None:
    order = account.orders[entity_k(account.account, event.order_id)]
    instrument = state.instruments[order.instrument]
    disarm_order(instrument, order)
    order.is_activated = True
    arm_order(state, instrument, order)


def _order_gone(
    state: State, account: Account, event: ev.OrderCancelled | ev.OrderExpired | ev.OrderRejected
) -> None:
    remove_order(state, account, entity_k(account.account, event.order_id))


def _position_opened(state: State, account: Account, event: ev.PositionOpened) -> None:
    k = entity_k(account.account, event.position_id)
    open_fill(state, account, state.instrument_by_symbol[event.symbol], k, event)


def _position_modified(state: State, account: Account, event: ev.PositionModified) -> None:
    position = account.positions[entity_k(account.account, event.position_id)]
    instrument = state.instruments[position.instrument]
    disarm_position(instrument, position)
    position.stop_loss_ticks = event.stop_loss_ticks or 0
    position.take_profit_ticks = event.take_profit_ticks or 0
    position.trailing_ticks = event.trailing_ticks or 0
    arm_position(state, instrument, position)


def _trailing_moved(state: State, account: Account, event: ev.TrailingStopMoved) -> None:
    position = account.positions[entity_k(account.account, event.position_id)]
    instrument = state.instruments[position.instrument]
    disarm_position(instrument, position)
    position.stop_loss_ticks = event.stop_loss_ticks
    arm_position(state, instrument, position)


def _position_closed(state: State, account: Account, event: ev.PositionClosed) -> None:
    position = account.positions[entity_k(account.account, event.position_id)]
    close_fill(state, account, state.instruments[position.instrument], position, event)


def _margin_changed(state: State, account: Account, event: ev.PositionMarginChanged) -> None:
    position = account.positions[entity_k(account.account, event.position_id)]
    instrument = state.instruments[position.instrument]
    disarm_position(instrument, position)
    count_position(state, instrument, position, -1)
    position.margin_micros = event.margin_micros
    count_position(state, instrument, position, 1)
    position.liquidation_ticks = event.liquidation_ticks
    arm_position(state, instrument, position)


def _swap_charged(state: State, account: Account, event: ev.SwapCharged) -> None:
    position = account.positions[entity_k(account.account, event.position_id)]
    instrument = state.instruments[position.instrument]
    disarm_position(instrument, position)
    position.swap_day = event.rollover_day
    position.swap_micros += event.amount_micros
    count_position(state, instrument, position, -1)
    position.margin_micros = event.margin_micros
    count_position(state, instrument, position, 1)
    position.liquidation_ticks = event.liquidation_ticks
    arm_position(state, instrument, position)
    post(state, account, event.postings, event.balance_micros)


def _call_raised(_: State, account: Account, __: ev.MarginCallRaised) -> None:
    account.is_margin_call = True


def _call_cleared(_: State, account: Account, __: ev.MarginCallCleared) -> None:
    account.is_margin_call = False


def _stop_out_started(_: State, __: Account, ___: ev.StopOutStarted) -> None:
    """Change nothing: what a stop-out does are events of their own."""


def _stop_out_pending(_: State, account: Account, __: ev.StopOutPending) -> None:
    account.is_stop_out_pending = True


def _stop_out_resumed(_: State, account: Account, __: ev.StopOutResumed) -> None:
    account.is_stop_out_pending = False


def _negative_covered(state: State, account: Account, event: ev.NegativeBalanceCovered) -> None:
    post(state, account, event.postings, event.balance_micros)


def _instrument_defined(state: State, event: ev.InstrumentDefined) -> None:
    instrument = state.instrument_by_symbol.get(event.spec.symbol)
    if instrument is None:
        index = len(state.instruments)
        state.add_instrument(Instrument(index, event.spec, event.trading_mode, event.source_class))
    else:
        instrument.define(event.spec)


def _trading_mode_set(state: State, event: ev.TradingModeSet) -> None:
    state.instrument_by_symbol[event.symbol].trading_mode = event.trading_mode


def _price_source_set(state: State, event: ev.PriceSourceSet) -> None:
    state.instrument_by_symbol[event.symbol].source_class = event.source_class


def _group_defined(state: State, event: ev.GroupDefined) -> None:
    state.groups[event.spec.name] = event.spec


def _nothing(_: State, __: ev.QuoteRefused | ev.EntrySkipped) -> None:
    """Change nothing: the event records that something did not happen."""


def _resharded(_state: State, _event: ev.Resharded) -> None:
    check(False, "a layout begins with the snapshots of its reshard, not with its first output")  # noqa: FBT003 - always wrong.


_ACCOUNT_HANDLERS: dict[type, Callable[[State, Account, Any], None]] = {
    ev.AccountTermsChanged: _terms_changed,
    ev.AccountStatusChanged: _status_changed,
    ev.AccountLeverageCapChanged: _leverage_cap_changed,
    ev.CashPosted: _cash_posted,
    ev.CashRefused: _cash_refused,
    ev.OrderPlaced: _order_placed,
    ev.OrderModified: _order_modified,
    ev.StopLimitActivated: _stop_limit_activated,
    ev.OrderCancelled: _order_gone,
    ev.OrderExpired: _order_gone,
    ev.OrderRejected: _order_gone,
    ev.PositionOpened: _position_opened,
    ev.PositionModified: _position_modified,
    ev.TrailingStopMoved: _trailing_moved,
    ev.PositionClosed: _position_closed,
    ev.PositionMarginChanged: _margin_changed,
    ev.MarginCallRaised: _call_raised,
    ev.MarginCallCleared: _call_cleared,
    ev.StopOutStarted: _stop_out_started,
    ev.StopOutPending: _stop_out_pending,
    ev.StopOutResumed: _stop_out_resumed,
    ev.NegativeBalanceCovered: _negative_covered,
    ev.SwapCharged: _swap_charged,
}
_HANDLERS: dict[type, Callable[[State, Any], None]] = {
    ev.AccountOpened: _account_opened,
    ev.InstrumentDefined: _instrument_defined,
    ev.TradingModeSet: _trading_mode_set,
    ev.PriceSourceSet: _price_source_set,
    ev.GroupDefined: _group_defined,
    ev.Resharded: _resharded,
    ev.QuoteRefused: _nothing,
    ev.EntrySkipped: _nothing,
}
