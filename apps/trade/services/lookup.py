"""Finds what an order id means: its account, and the instrument and state of the order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from channels.db import database_sync_to_async

from apps.common.errors import EngineBusyError, ServiceError
from apps.market import facade as market
from apps.market.facade import InstrumentInfo
from apps.profile import facade as profile
from apps.profile.facade import AccountInfo, AccountUnknownError
from apps.trade import selectors
from apps.trade.services.history import seq_is_projected
from apps.trade.services.shapes import order_type_word
from engine.messages.rejects import RejectCode
from engine.values import Side

_order_read = database_sync_to_async(selectors.order_by_id, thread_sensitive=False)


@dataclass(frozen=True, slots=True)
class OrderPlace:
    """Where an order stands."""

    symbol: str
    # Of the order that was placed, so that its close is on the other side.
    side: Side
    # Whether it waits for its price; False: it is open, or has ended.
    is_pending: bool

    @property
    def instrument(self) -> InstrumentInfo:
        """Return the instrument that the order is in."""
        return market.instrument_get(self.symbol)


class OrderUnknownError(ServiceError):
    """An order that does not exist or is somebody else's: nobody learns which."""

    reject: ClassVar[RejectCode] = RejectCode.ORDER_UNKNOWN
    words: ClassVar[str] = "there is no order {} of yours"

    def __init__(self, order_id: str, *, more: Mapping[str, object] | None = None) -> None:
        super().__init__(
            self.reject.value,
            self.words.format(order_id),
            http_status=404,
            data={"orderId": order_id, **(more or {})},
        )


class PositionUnknownError(OrderUnknownError):
    """The same where an open order is meant, in the words of the engine."""

    reject = RejectCode.POSITION_UNKNOWN
    words = "there is no open order {} of yours"


async def account_of_order(
    user_id: int,
    account_id: int | None,
    order_id: str,
    *,
    unknown: type[OrderUnknownError] = OrderUnknownError,
) -> AccountInfo:
    """Return the user's account that an order id names; `account_id` must be the same if it is given.

    Errors: the one that is named, the same for orders of others.
    """
    # An order names its account, so that nobody has to send it along.
    named, _, _ = order_id.partition("-")
    is_number = named.isascii() and named.isdigit()
    if not is_number or account_id not in (None, int(named)):
        raise unknown(order_id)
    try:
        return await profile.account_for_async(user_id, int(named))
    except AccountUnknownError:
        raise unknown(order_id) from None


async def order_place(
    account: AccountInfo,
    order_id: str,
    *,
    unknown: type[OrderUnknownError] = OrderUnknownError,
) -> OrderPlace:
    """Return where an order of the account stands, pending, open or ended.

    Errors: the one that is named; EngineBusyError, also while the read models do not know yet what has ended.
    """
    place, seq = await _place_now(account, order_id)
    if place is None:
        # Who asks whether the request that ended an order has arrived must not hear that there is no such order.
        if not await seq_is_projected(account.id, seq):
            raise EngineBusyError("what this account did last is not in the history yet")
        place = await _place_ended(order_id)
    if place is None:
        raise unknown(order_id)
    return place


async def order_symbol_now(account: AccountInfo, order_id: str) -> str:
    """Return the symbol of an order of the account; empty where nobody knows the order, or the history not yet.

    Errors: EngineBusyError.
    """
    place, _ = await _place_now(account, order_id)
    return "" if place is None else place.symbol


async def _place_now(account: AccountInfo, order_id: str) -> tuple[OrderPlace | None, int]:
    """Return where an order stands as far as it is known, and the account's newest event."""
    view = await profile.account_view(account)
    for position in view.positions:
        if position.position_id == order_id:
            side = Side(order_type_word(position.direction))
            return OrderPlace(position.symbol, side, is_pending=False), view.seq
    for order in view.orders:
        if order.order_id == order_id:
            return OrderPlace(order.symbol, order.side, is_pending=True), view.seq
    return await _place_ended(order_id), view.seq


async def _place_ended(order_id: str) -> OrderPlace | None:
    row = await _order_read(order_id=order_id)
    return None if row is None else OrderPlace(row.symbol, Side(row.side), is_pending=False)


async def order_symbol(order_id: str) -> str:
    """Return the symbol of an order that has been projected; empty for an unknown one."""
    row = await _order_read(order_id=order_id)
    return "" if row is None else row.symbol
