"""Places, changes and cancels orders: from the request's numbers to a command, and to the contract's answer."""

from dataclasses import dataclass
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from apps.common.errors import STORE_AWAY, EngineTimeoutError, ServiceError
from apps.market import facade as market
from apps.market.facade import InstrumentInfo
from apps.profile.facade import AccountInfo
from apps.trade.services import numbers
from apps.trade.services.answers import command_answer
from apps.trade.services.history import PROJECTED_WAIT_S
from apps.trade.services.lookup import OrderPlace, account_of_order, order_place, order_symbol_now
from apps.trade.services.shapes import Shape
from engine.messages.commands import (
    CancelAll,
    CancelOrder,
    ModifyOrder,
    ModifyPosition,
    PlaceOrder,
)
from engine.messages.rejects import RejectCode
from engine.values import MarginMode, OrderType, Side, TimeInForce

_CONFLICT: Final = RejectCode.EXISTS_WITH_DIFFERENT_CONTENT.value

# A wish about a field that may also be left as it is.
Change = str | None | UnsetType


class OrderWish(Struct, frozen=True, kw_only=True, gc=False):
    """An order as the client words it: numbers are decimal text, absent ones None."""

    symbol: str
    side: Side
    quantity: str
    leverage: str
    order_type: OrderType = OrderType.MARKET
    # Limit price and stop price.
    price: str | None = None
    stop_price: str | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    # End of a gtd order, microseconds UTC.
    expires_at_us: int | None = None
    # None: the account's default.
    margin_mode: MarginMode | None = None
    # Per cent.
    slippage: str | None = None
    expected_price: str | None = None
    stop_loss: str | None = None
    take_profit: str | None = None
    trailing_distance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanges:
    """What shall become of an order's terms; UNSET leaves one as it is, None takes a stop away."""

    stop_loss: Change = UNSET
    take_profit: Change = UNSET
    trailing_distance: Change = UNSET
    # Of pending orders only.
    quantity: str | UnsetType = UNSET
    price: str | UnsetType = UNSET
    stop_price: str | UnsetType = UNSET
    time_in_force: TimeInForce | UnsetType = UNSET
    # Microseconds UTC.
    expires_at_us: int | UnsetType = UNSET

    @property
    def is_of_pending(self) -> bool:
        """Return whether only a pending order can be meant."""
        return any(
            value is not UNSET
            for value in (
                self.quantity,
                self.price,
                self.stop_price,
                self.time_in_force,
                self.expires_at_us,
            )
        )


async def order_create(
    *, user_id: int, account: AccountInfo, request_id: str, wish: OrderWish
) -> Shape:
    """Place an order and return its fill, or the order that waits now; the same request id returns the same answer.

    Errors: ServiceError with the code of the engine's refusal or of a number that is none; EngineTimeoutError (408), the outcome
    is unknown and the same id asks again; EngineBusyError (503), nothing was sent.
    """
    return await command_answer(
        order_command(user_id=user_id, account=account, request_id=request_id, wish=wish)
    )


def order_command(
    *, user_id: int, account: AccountInfo, request_id: str, wish: OrderWish
) -> PlaceOrder:
    """Return the command that a wish means.

    Errors: ServiceError with the code of a number that is none.
    """
    instrument = market.instrument_get(wish.symbol)
    slippage_ppm = numbers.slippage_ppm(wish.slippage)
    order = PlaceOrder(
        request_id=request_id,
        user_id=user_id,
        account=account.id,
        symbol=instrument.symbol,
        side=wish.side,
        quantity_units=numbers.quantity_units(instrument, wish.quantity),
        leverage=numbers.leverage_whole(wish.leverage),
        order_type=wish.order_type,
        margin_mode=wish.margin_mode,
        time_in_force=wish.time_in_force,
        expires_at_us=wish.expires_at_us,
        quoted_price_ticks=None
        if slippage_ppm is None
        else quoted_price_ticks(instrument.symbol, buys=wish.side is Side.BUY),
        slippage_ppm=slippage_ppm,
    )
    prices = _prices_of(instrument, wish)
    # Most orders name none, and a call with all these keywords takes Python eight times as long as one with a few.
    return replace(order, **prices) if prices else order


def _prices_of(instrument: InstrumentInfo, wish: OrderWish) -> dict[str, int | None]:
    """Return the prices of a wish as fields of the command; none at all if it names none."""
    stops = wish.stop_loss is wish.take_profit is wish.trailing_distance is None
    if stops and wish.price is wish.stop_price is wish.expected_price is None:
        return {}
    return {
        "price_ticks": numbers.price_ticks(instrument, "price", wish.price),
        "stop_price_ticks": numbers.price_ticks(instrument, "stopPrice", wish.stop_price),
        "stop_loss_ticks": numbers.stop_ticks(instrument, "stopLoss", wish.stop_loss),
        "take_profit_ticks": numbers.stop_ticks(instrument, "takeProfit", wish.take_profit),
        "trailing_ticks": numbers.stop_ticks(
            instrument, "trailingDistance", wish.trailing_distance
        ),
        "expected_price_ticks": numbers.price_ticks(
            instrument, "expectedPrice", wish.expected_price
        ),
    }


def quoted_price_ticks(symbol: str, *, buys: bool) -> int | None:
    """Return the last price that this process has for one who buys or sells; None without any."""
    quote = market.quote_latest(symbol)
    if quote is None:
        return None
    return quote.ask_ticks if buys else quote.bid_ticks


async def order_modify(
    *,
    user_id: int,
    account_id: int | None,
    request_id: str,
    order_id: str,
    changes: OrderChanges,
) -> Shape:
    """Change the terms of a pending order or the stops of an open one; the same request id returns the same answer.

    Errors: as order_create; 404 for an order that is not the user's; INVALID when nothing is to be changed.
    """
    if changes == OrderChanges():
        raise ServiceError("INVALID", "nothing is to be changed: name at least one new term")
    account = await account_of_order(user_id, account_id, order_id)
    place = await order_place(account, order_id)
    modify = _Modification(user_id, account.id, request_id, order_id, place, changes)
    if changes.is_of_pending:
        return await command_answer(modify.of_order(), symbol=place.symbol)
    likely, other = (
        (modify.of_order(), modify.of_position())
        if place.is_pending
        else (modify.of_position(), modify.of_order())
    )
    try:
        return await command_answer(likely, symbol=place.symbol)
    except ServiceError as conflict:
        if conflict.code != _CONFLICT:
            raise
        # The same wish may have been sent before the order was filled, as the other command: then that was the first answer.
        try:
            return await command_answer(other, symbol=place.symbol)
        except ServiceError as second:
            raise conflict if second.code == _CONFLICT else second from None


@dataclass(frozen=True, slots=True)
class _Modification:
    """The same wish as either of the two commands that it can mean."""

    user_id: int
    account_id: int
    request_id: str
    order_id: str
    place: OrderPlace
    changes: OrderChanges

    def of_position(self) -> ModifyPosition:
        instrument, changes = self.place.instrument, self.changes
        return ModifyPosition(
            request_id=self.request_id,
            user_id=self.user_id,
            account=self.account_id,
            position_id=self.order_id,
            stop_loss_ticks=numbers.change_ticks(instrument, "stopLoss", changes.stop_loss),
            take_profit_ticks=numbers.change_ticks(instrument, "takeProfit", changes.take_profit),
            trailing_ticks=numbers.change_ticks(
                instrument, "trailingDistance", changes.trailing_distance
            ),
        )

    def of_order(self) -> ModifyOrder:
        instrument, changes = self.place.instrument, self.changes
        return ModifyOrder(
            request_id=self.request_id,
            user_id=self.user_id,
            account=self.account_id,
            order_id=self.order_id,
            price_ticks=_price_change(instrument, "price", changes.price),
            stop_price_ticks=_price_change(instrument, "stopPrice", changes.stop_price),
            quantity_units=UNSET
            if isinstance(changes.quantity, UnsetType)
            else numbers.quantity_units(instrument, changes.quantity),
            stop_loss_ticks=numbers.change_ticks(instrument, "stopLoss", changes.stop_loss),
            take_profit_ticks=numbers.change_ticks(instrument, "takeProfit", changes.take_profit),
            trailing_ticks=numbers.change_ticks(
                instrument, "trailingDistance", changes.trailing_distance
            ),
            time_in_force=changes.time_in_force,
            expires_at_us=changes.expires_at_us,
        )


def _price_change(instrument: InstrumentInfo, name: str, text: str | UnsetType) -> int | UnsetType:
    if isinstance(text, UnsetType):
        return UNSET
    return numbers.price_ticks(instrument, name, text) or UNSET


async def order_cancel(
    *, user_id: int, account_id: int | None, request_id: str, order_id: str
) -> Shape:
    """Cancel a pending order; errors as order_modify."""
    account = await account_of_order(user_id, account_id, order_id)
    command = CancelOrder(
        request_id=request_id, user_id=user_id, account=account.id, order_id=order_id
    )
    symbol = await order_symbol_now(account, order_id)
    answer = await command_answer(command, symbol=symbol)
    if symbol:
        return answer
    # Accepted though the order is unknown: it was cancelled by this very request before, and the history is about to have it.
    try:
        place = await order_place(account, order_id)
        return await command_answer(command, symbol=place.symbol)
    except (ServiceError, *STORE_AWAY) as error:
        # Whatever is missing for the answer: the cancel has been carried out, and no answer may read as if it had not.
        raise EngineTimeoutError(
            request_id=request_id, timeout_ms=round(PROJECTED_WAIT_S * 1000)
        ) from error


async def orders_cancel_all(
    *,
    user_id: int,
    account: AccountInfo,
    request_id: str,
    symbol: str | None = None,
    side: Side | None = None,
) -> Shape:
    """Cancel the account's pending orders, or those of a symbol or side; errors as order_create."""
    return await command_answer(
        CancelAll(
            request_id=request_id,
            user_id=user_id,
            account=account.id,
            symbol=None if symbol is None else market.symbol_resolve(symbol),
            side=side,
        )
    )
