"""Closes positions, and tells which are open: both by the engine, which knows them now."""

from channels.db import database_sync_to_async

from apps.common.clock import datetime_from_us
from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.common.money import number_from_micros
from apps.common.outputs import Output
from apps.common.refusals import refusal_error
from apps.market import facade as market
from apps.market.facade import InstrumentInfo
from apps.profile import facade as profile
from apps.profile.facade import AccountInfo, AccountUnknownError
from apps.trade import selectors
from apps.trade.services import numbers
from apps.trade.services.orders import order_type_word
from engine.messages.commands import ClosePosition
from engine.messages.events import PositionClosed
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.messages.views import AccountView, PositionView
from engine.values import Direction


def order_unknown(order_id: str) -> ServiceError:
    """Return the error for an order that does not exist or is somebody else's: nobody learns which."""
    return ServiceError(
        RejectCode.POSITION_UNKNOWN.value,
        f"there is no open order {order_id} of yours",
        http_status=404,
        data={"orderId": order_id},
    )


async def position_close(
    *,
    user_id: int,
    account_id: int | None,
    request_id: str,
    order_id: str,
    quantity: str | None = None,
) -> dict[str, object]:
    """Close an open order, whole or in part, and return what it brought; the same request id returns the same answer.

    Units: decimal text in the instrument's own quantity.
    Errors: as order_create; 404 for an order that is not the user's.
    """
    account = await _account_of_order(user_id, account_id, order_id)
    units = None
    if quantity is not None:
        symbol = await _symbol_of(account, order_id)
        units = numbers.quantity_units(market.instrument_get(symbol), quantity)
    output = await engine_gateway().send(
        ClosePosition(
            request_id=request_id,
            user_id=user_id,
            account=account.id,
            position_id=order_id,
            quantity_units=units,
        )
    )
    if isinstance(output.reply, Rejected):
        raise await _refused(account, order_id, output.reply, request_id)
    closed = next((e for e in output.events if isinstance(e, PositionClosed)), None)
    if closed is None:
        # Only a foreign command under the same id could have such an answer, and other content is refused.
        raise ServiceError("INTERNAL", "the order was closed without a fill", http_status=500)
    return {
        "message": "Order closed successfully",
        "requestId": request_id,
        "order": _closed_shape(market.instrument_get(closed.symbol), closed, output),
    }


async def positions_open(*, account: AccountInfo, limit: int, offset: int) -> dict[str, object]:
    """Return an account's open orders with live figures, newest first.

    Errors: EngineBusyError.
    """
    view = await profile.account_view(account)
    newest_first = sorted(view.positions, key=_age, reverse=True)
    return {
        "message": [open_shape(view, p) for p in newest_first[offset : offset + limit]],
        "total": len(newest_first),
        "asOf": view.as_of,
    }


def _age(position: PositionView) -> tuple[int, int]:
    return position.opened_at_us, int(position.position_id.rpartition("-")[2])


async def _account_of_order(user_id: int, account_id: int | None, order_id: str) -> AccountInfo:
    # An order names its account, so that nobody has to send it along.
    named, _, _ = order_id.partition("-")
    is_number = named.isascii() and named.isdigit()
    if not is_number or account_id not in (None, int(named)):
        raise order_unknown(order_id)
    try:
        return await profile.account_for_async(user_id, int(named))
    except AccountUnknownError:
        raise order_unknown(order_id) from None


async def _symbol_of(account: AccountInfo, order_id: str) -> str:
    view = await profile.account_view(account)
    for position in view.positions:
        if position.position_id == order_id:
            return position.symbol
    # A repeat of the request that closed it: the read models still know it.
    read = database_sync_to_async(selectors.position_symbol, thread_sensitive=False)
    symbol = await read(position_id=order_id)
    if symbol is None:
        raise order_unknown(order_id)
    return symbol


async def _refused(
    account: AccountInfo, order_id: str, rejected: Rejected, request_id: str
) -> ServiceError:
    decimals = None
    if rejected.code is RejectCode.QUANTITY_INVALID:
        symbol = await _symbol_of(account, order_id)
        decimals = numbers.decimals_of(market.instrument_get(symbol))
    return refusal_error(rejected, request_id=request_id, decimals=decimals)


def _closed_shape(
    instrument: InstrumentInfo, closed: PositionClosed, output: Output
) -> dict[str, object]:
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
        "closeReason": closed.close_reason.value,
        "balance": number_from_micros(closed.balance_micros),
        "closedAt": datetime_from_us(closed.closed_at_us),
        "asOf": output.output_id,
    }


def open_shape(view: AccountView, position: PositionView) -> dict[str, object]:
    """Return an open order in the contract's shape."""
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
        "marginMode": position.margin_mode.value,
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
