"""Events and views of the engine in the words of the public contract, with exact numbers."""

from typing import Final

from apps.common.clock import datetime_from_us
from apps.common.money import number_from_micros
from apps.common.outputs import Output
from apps.market import facade as market
from apps.trade.services import numbers
from engine.messages.events import OrderModified, OrderPlaced, PositionClosed, PositionOpened
from engine.messages.views import AccountView, OrderView, PositionView
from engine.values import Direction, Side

Shape = dict[str, object]

# Bound once: every look into an enumeration is a search of its class; so is `value` of a member, but not `_value_`.
_LONG: Final = Direction.LONG
_BUY: Final = Side.BUY.value
_SELL: Final = Side.SELL.value


def order_type_word(direction: Direction) -> str:
    """Return the contract's `type` of the order that opened a position."""
    return _BUY if direction is _LONG else _SELL


def opened_shape(opened: PositionOpened, output: Output) -> Shape:
    """Return an order that was filled."""
    instrument = market.instrument_get(opened.symbol)
    return {
        "status": "filled",
        "accountId": opened.account,
        "symbol": opened.symbol,
        "type": order_type_word(opened.direction),
        "orderType": opened.order_type._value_,
        "quantity": numbers.quantity_number(instrument, opened.quantity_units),
        "price": numbers.price_number(instrument, opened.price_ticks),
        "stopPrice": None,
        "leverage": opened.leverage,
        "marginMode": opened.margin_mode._value_,
        "margin": number_from_micros(opened.margin_micros),
        "commission": number_from_micros(opened.commission_micros),
        "stopLoss": numbers.price_number(instrument, opened.stop_loss_ticks),
        "takeProfit": numbers.price_number(instrument, opened.take_profit_ticks),
        "trailingDistance": numbers.price_number(instrument, opened.trailing_ticks),
        "timeInForce": None,
        "expiresAt": None,
        "liquidationPrice": numbers.price_number(instrument, opened.liquidation_ticks),
        "balance": number_from_micros(opened.balance_micros),
        "createdAt": datetime_from_us(opened.opened_at_us),
        "asOf": output.output_id,
    }


def placed_shape(placed: OrderPlaced, output: Output) -> Shape:
    """Return an order that waits for its price; what only a fill brings is null."""
    return {
        "status": "pending",
        "accountId": placed.account,
        **_waiting_terms(placed.symbol, placed),
        "margin": None,
        "commission": None,
        "liquidationPrice": None,
        "balance": None,
        "createdAt": datetime_from_us(placed.placed_at_us),
        "asOf": output.output_id,
    }


def pending_shape(account_id: int, order: OrderView) -> Shape:
    """Return a pending order as it stands."""
    return {
        "orderId": order.order_id,
        "accountId": account_id,
        "status": "pending",
        **_waiting_terms(order.symbol, order),
        "isActivated": order.is_activated,
        "createdAt": datetime_from_us(order.placed_at_us),
    }


def _waiting_terms(symbol: str, order: OrderPlaced | OrderView) -> Shape:
    instrument = market.instrument_get(symbol)
    return {
        "symbol": symbol,
        "type": order.side._value_,
        "orderType": order.order_type._value_,
        "leverage": order.leverage,
        "marginMode": order.margin_mode._value_,
        **modified_terms(symbol, order),
        "quantity": numbers.quantity_number(instrument, order.quantity_units),
    }


def modified_terms(symbol: str, order: OrderPlaced | OrderView | OrderModified) -> Shape:
    """Return those terms of a pending order that can be changed."""
    instrument = market.instrument_get(symbol)
    return {
        "quantity": numbers.quantity_number(instrument, order.quantity_units),
        "price": numbers.price_number(instrument, order.price_ticks),
        "stopPrice": numbers.price_number(instrument, order.stop_price_ticks),
        "timeInForce": order.time_in_force._value_,
        "expiresAt": datetime_from_us(order.expires_at_us) if order.expires_at_us else None,
        "stopLoss": numbers.price_number(instrument, order.stop_loss_ticks),
        "takeProfit": numbers.price_number(instrument, order.take_profit_ticks),
        "trailingDistance": numbers.price_number(instrument, order.trailing_ticks),
    }


def closed_shape(closed: PositionClosed, output: Output) -> Shape:
    """Return what a close brought."""
    instrument = market.instrument_get(closed.symbol)
    return {
        "orderId": closed.position_id,
        "accountId": closed.account,
        "symbol": closed.symbol,
        "type": order_type_word(closed.direction),
        "quantity": numbers.quantity_number(instrument, closed.quantity_units),
        "remainingQuantity": numbers.quantity_number(instrument, closed.remaining_units),
        "entryPrice": numbers.price_number(instrument, closed.entry_price_ticks),
        "closePrice": numbers.price_number(instrument, closed.price_ticks),
        "pnl": number_from_micros(closed.pnl_micros),
        "commission": number_from_micros(closed.commission_micros),
        "closeReason": closed.close_reason._value_,
        "balance": number_from_micros(closed.balance_micros),
        "closedAt": datetime_from_us(closed.closed_at_us),
        "asOf": output.output_id,
    }


def open_shape(view: AccountView, position: PositionView) -> Shape:
    """Return an open order with live figures."""
    instrument = market.instrument_get(position.symbol)
    return {
        "orderId": position.position_id,
        "accountId": view.account,
        "symbol": position.symbol,
        "type": order_type_word(position.direction),
        "quantity": numbers.quantity_number(instrument, position.quantity_units),
        "price": numbers.price_number(instrument, position.entry_price_ticks),
        "currentPrice": numbers.price_number(instrument, position.price_ticks),
        "leverage": position.leverage,
        "marginMode": position.margin_mode._value_,
        "margin": number_from_micros(position.margin_micros),
        "notional": number_from_micros(position.notional_micros),
        "pnl": number_from_micros(position.pnl_unrealised_micros),
        "commission": number_from_micros(position.commission_micros),
        "swap": number_from_micros(position.swap_micros),
        "stopLoss": numbers.price_number(instrument, position.stop_loss_ticks),
        "takeProfit": numbers.price_number(instrument, position.take_profit_ticks),
        "trailingDistance": numbers.price_number(instrument, position.trailing_ticks),
        "liquidationPrice": numbers.price_number(instrument, _liquidation_ticks(view, position)),
        "createdAt": datetime_from_us(position.opened_at_us),
    }


def _liquidation_ticks(view: AccountView, position: PositionView) -> int | None:
    """Return where an isolated position is liquidated, or where a cross account is stopped out if only this symbol moves."""
    if position.liquidation_ticks:
        return position.liquidation_ticks
    for price in view.stop_out_prices:
        if price.symbol == position.symbol:
            return price.bid_ticks if position.direction is Direction.LONG else price.ask_ticks
    return None
