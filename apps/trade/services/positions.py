"""Closes, reverses and re-margins open orders: from the request's numbers to a command, and to the contract's answer."""

from apps.market import facade as market
from apps.profile.facade import AccountInfo
from apps.trade.services import numbers
from apps.trade.services.answers import command_answer
from apps.trade.services.lookup import PositionUnknownError, account_of_order, order_place
from apps.trade.services.orders import quoted_price_ticks
from apps.trade.services.shapes import Shape
from engine.messages.commands import (
    AddMargin,
    CloseAll,
    CloseBy,
    ClosePosition,
    RemoveMargin,
    ReversePosition,
)
from engine.values import Direction, ProfitFilter, Side


async def _account_of(user_id: int, account_id: int | None, order_id: str) -> AccountInfo:
    return await account_of_order(user_id, account_id, order_id, unknown=PositionUnknownError)


async def position_close(
    *,
    user_id: int,
    account_id: int | None,
    request_id: str,
    order_id: str,
    quantity: str | None = None,
    slippage: str | None = None,
    expected_price: str | None = None,
) -> Shape:
    """Close an open order, whole or in part, and return what it brought; the same request id returns the same answer.

    Units: decimal text in the instrument's own quantity and price; slippage in per cent.
    Errors: as order_create; 404 for an order that is not the user's.
    """
    account = await _account_of(user_id, account_id, order_id)
    command = ClosePosition(
        request_id=request_id, user_id=user_id, account=account.id, position_id=order_id
    )
    if quantity is slippage is expected_price is None:
        # Nothing to convert, so nobody needs to be asked which instrument it is.
        return await command_answer(command)
    place = await order_place(account, order_id, unknown=PositionUnknownError)
    instrument = place.instrument
    slippage_ppm = numbers.slippage_ppm(slippage)
    return await command_answer(
        ClosePosition(
            request_id=request_id,
            user_id=user_id,
            account=account.id,
            position_id=order_id,
            quantity_units=None
            if quantity is None
            else numbers.quantity_units(instrument, quantity),
            expected_price_ticks=numbers.price_ticks(instrument, "expectedPrice", expected_price),
            quoted_price_ticks=None
            if slippage_ppm is None
            else quoted_price_ticks(place.symbol, buys=place.side is Side.SELL),
            slippage_ppm=slippage_ppm,
        ),
        symbol=place.symbol,
    )


async def positions_close_all(
    *,
    user_id: int,
    account: AccountInfo,
    request_id: str,
    symbol: str | None = None,
    side: Side | None = None,
    profit: ProfitFilter = ProfitFilter.ALL,
) -> Shape:
    """Close the account's open orders, or those of a symbol, side or sign of profit; errors as order_create.

    What cannot fill now is named and stays open.
    """
    direction = None
    if side is not None:
        direction = Direction.LONG if side is Side.BUY else Direction.SHORT
    return await command_answer(
        CloseAll(
            request_id=request_id,
            user_id=user_id,
            account=account.id,
            symbol=None if symbol is None else market.symbol_resolve(symbol),
            direction=direction,
            profit=profit,
        )
    )


async def positions_close_by(
    *,
    user_id: int,
    account_id: int | None,
    request_id: str,
    order_id: str,
    other_order_id: str,
) -> Shape:
    """Close two opposite open orders against each other; errors as position_close."""
    account = await _account_of(user_id, account_id, order_id)
    await _account_of(user_id, account.id, other_order_id)
    return await command_answer(
        CloseBy(
            request_id=request_id,
            user_id=user_id,
            account=account.id,
            position_id=order_id,
            other_position_id=other_order_id,
        )
    )


async def position_reverse(
    *, user_id: int, account_id: int | None, request_id: str, order_id: str
) -> Shape:
    """Close an open order and open its opposite, both or neither; errors as position_close."""
    account = await _account_of(user_id, account_id, order_id)
    return await command_answer(
        ReversePosition(
            request_id=request_id, user_id=user_id, account=account.id, position_id=order_id
        )
    )


async def position_margin_move(
    *,
    user_id: int,
    account_id: int | None,
    request_id: str,
    order_id: str,
    amount: str,
    is_removal: bool,
) -> Shape:
    """Move free margin into an isolated order, or out of it; errors as position_close.

    Units: decimal text in USD, above 0.
    """
    account = await _account_of(user_id, account_id, order_id)
    amount_micros = numbers.amount_micros(amount)
    place = await order_place(account, order_id, unknown=PositionUnknownError)
    kind = RemoveMargin if is_removal else AddMargin
    return await command_answer(
        kind(
            request_id=request_id,
            user_id=user_id,
            account=account.id,
            position_id=order_id,
            amount_micros=amount_micros,
        ),
        symbol=place.symbol,
    )
