"""PlaceOrder: what fills now is filled, what waits is queued, the rest is refused (rules P1, P2, O1-O4)."""

from engine.core.decide.checks import (
    check_leverage,
    check_may_open,
    check_mode_open,
    check_positions_limit,
    check_quantity,
    check_quote,
    check_slippage,
    check_stops,
)
from engine.core.decide.opening import Cost, Opening, check_opening, open_position
from engine.core.decide.pending import (
    Prices,
    check_price_shape,
    check_stop_price,
    is_marketable,
    resolve_expiry,
)
from engine.core.decide.work import Work, rejected
from engine.core.state import Account, Instrument, entity_id
from engine.messages.commands import PlaceOrder
from engine.messages.events import OrderPlaced
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import ORDERS_MAX, MarginMode, OrderType, Side, TimeInForce

# Reading a member off its enum costs as much as a call, and every order comes by here.
_MARKET = OrderType.MARKET
_LIMIT = OrderType.LIMIT
_BUY = Side.BUY
_CROSS = MarginMode.CROSS
_GTC = TimeInForce.GTC


def place_order(work: Work, account: Account, command: PlaceOrder) -> Accepted | Rejected:
    """Fill an order at once, queue it, or refuse it with the first reason that applies."""
    instrument = work.state.instrument_by_symbol.get(command.symbol)
    if instrument is None:
        return rejected(RejectCode.SYMBOL_UNKNOWN, symbol=command.symbol)
    opening = opening_of_command(account, command)
    cost = check_order(work, account, instrument, command, opening)
    if cost is None:
        return _queue(work, account, command, opening)
    if type(cost) is Rejected:
        return cost
    rule = "P1" if command.order_type is _MARKET else "O3"
    position_id = open_position(work, account, instrument, opening, cost, account.next_k, rule)
    return Accepted(created=(position_id,))


def check_order(
    work: Work, account: Account, instrument: Instrument, command: PlaceOrder, opening: Opening
) -> Cost | Rejected | None:
    """Refuse an order with the first reason that applies, or return what it costs if it fills now; else None.

    A preview asks the same question.
    """
    fills_now = fills_at_once(instrument, command)
    refusal = (
        check_may_open(work, account)
        or check_mode_open(instrument)
        or check_quantity(instrument, command.quantity_units)
        or check_leverage(account, command.leverage)
        or (check_positions_limit(account) if fills_now else _check_orders_limit(account))
        or _check_expiry(work, command)
        or check_quote(work, instrument)
        or check_prices(instrument, command)
    )
    if refusal or not fills_now:
        return refusal
    return check_opening(work.state, account, instrument, opening)


def fills_at_once(instrument: Instrument, command: PlaceOrder) -> bool:
    """Return whether an order is a market order or a limit order that the current quote reaches."""
    if command.order_type is _MARKET:
        return True
    return command.order_type is _LIMIT and is_marketable(instrument, _prices(command))


def opening_of_command(account: Account, command: PlaceOrder) -> Opening:
    """Return what an order opens."""
    mode = command.margin_mode
    return Opening(
        command.order_type,
        command.side is _BUY,
        account.is_cross if mode is None else mode is _CROSS,
        command.quantity_units,
        command.leverage,
        command.stop_loss_ticks or 0,
        command.take_profit_ticks or 0,
        command.trailing_ticks or 0,
    )


def check_prices(instrument: Instrument, command: PlaceOrder) -> Rejected | None:
    """Refuse prices of the wrong shape, passed stops, a moved price, and stops that do not fit (rules O1, O2, P2, R11)."""
    refusal = check_price_shape(command.order_type, command.price_ticks, command.stop_price_ticks)
    if refusal:
        return refusal
    is_buy = command.side is _BUY
    if command.order_type is _MARKET:
        opens_at, reference_ticks = (
            (instrument.ask, instrument.bid) if is_buy else (instrument.bid, instrument.ask)
        )
        refusal = check_slippage(
            is_buy=is_buy,
            price_ticks=opens_at,
            expected_ticks=command.expected_price_ticks or command.quoted_price_ticks,
            slippage_ppm=command.slippage_ppm,
        )
    else:
        prices = _prices(command)
        reference_ticks = prices.reference_ticks
        refusal = check_stop_price(instrument, prices)
    return refusal or check_stops(
        instrument,
        is_long=is_buy,
        reference_ticks=reference_ticks,
        stop_loss_ticks=command.stop_loss_ticks,
        take_profit_ticks=command.take_profit_ticks,
        trailing_ticks=command.trailing_ticks,
    )


def _prices(command: PlaceOrder) -> Prices:
    return Prices(
        command.order_type,
        command.side is _BUY,
        command.price_ticks or 0,
        command.stop_price_ticks or 0,
    )


def _check_orders_limit(account: Account) -> Rejected | None:
    if len(account.orders) < ORDERS_MAX:
        return None
    return rejected(RejectCode.ORDERS_LIMIT, orders_max=ORDERS_MAX)


def _check_expiry(work: Work, command: PlaceOrder) -> Rejected | None:
    """Refuse an end of life that does not fit; a market order takes none (rule O4)."""
    if command.time_in_force is _GTC and command.expires_at_us is None:
        return None
    if command.order_type is _MARKET and command.time_in_force is not _GTC:
        return rejected(
            RejectCode.EXPIRY_INVALID,
            order_type=command.order_type.value,
            time_in_force=command.time_in_force.value,
        )
    expires_at_us = resolve_expiry(work, command.time_in_force, command.expires_at_us)
    return expires_at_us if type(expires_at_us) is Rejected else None


def _queue(work: Work, account: Account, command: PlaceOrder, opening: Opening) -> Accepted:
    expires_at_us = resolve_expiry(work, command.time_in_force, command.expires_at_us)
    order_id = entity_id(account.account, account.next_k)
    work.emit(
        OrderPlaced(
            account=account.account,
            seq=account.seq + 1,
            order_id=order_id,
            symbol=command.symbol,
            side=command.side,
            order_type=command.order_type,
            quantity_units=command.quantity_units,
            leverage=command.leverage,
            margin_mode=MarginMode.CROSS if opening.is_cross else MarginMode.ISOLATED,
            price_ticks=command.price_ticks,
            stop_price_ticks=command.stop_price_ticks,
            time_in_force=command.time_in_force,
            expires_at_us=expires_at_us
            if isinstance(expires_at_us, int) and expires_at_us
            else None,
            stop_loss_ticks=command.stop_loss_ticks,
            take_profit_ticks=command.take_profit_ticks,
            trailing_ticks=command.trailing_ticks,
            placed_at_us=work.now_us,
        )
    )
    return Accepted(created=(order_id,))
