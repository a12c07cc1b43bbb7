"""Every operation of trading once: its name, the shape of its request, and the service behind it.

REST views, the lean paths and the socket all read this table, so none of them can do what the others cannot.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from msgspec import UNSET, Struct

from apps.common.errors import ServiceError
from apps.common.requests import REQUEST_ID, REQUEST_ID_WORDS, request_id_make
from apps.common.serializers import StrictSerializer
from apps.profile.facade import AccountInfo, account_for_async
from apps.trade.serializers import inputs
from apps.trade.services import history, listings, orders, positions, receipts
from apps.trade.services.listings import Page
from apps.trade.services.orders import OrderChanges, OrderWish
from apps.trade.services.outcomes import account_of_request, request_outcome
from apps.trade.services.preview import order_preview
from apps.trade.services.shapes import Shape
from engine.values import MarginMode, OrderType, ProfitFilter, Side, TimeInForce

Data = dict[str, Any]
T = TypeVar("T")


class Asked(Struct, frozen=True):
    """A validated request and who sends it."""

    user_id: int
    # The client's id of the request, or one that was made for it.
    request_id: str
    data: Data
    # Whether the client chose the id, so that the request may have been sent before.
    is_repeatable: bool = False

    @property
    def account_id(self) -> int | None:
        """Return the account that was named, None for the default one."""
        return self.data.get("accountId")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation."""

    # Name on the socket, and method and route over REST; braces stand for a part of the address.
    op: str
    rest: str
    shape: type[StrictSerializer]
    run: Callable[[Asked], Awaitable[Shape]]
    # Whether it may change something.
    is_write: bool


# --- writes -----------------------------------------------------------------------------------------------------------


async def _account_of(asked: Asked) -> AccountInfo:
    account = await account_for_async(asked.user_id, asked.account_id)
    if account.default_since_us and asked.account_id is None and asked.is_repeatable:
        # No name meant another account before, perhaps to this very request.
        return await account_of_request(default=account, request_id=asked.request_id)
    return account


async def _create(asked: Asked) -> Shape:
    return await orders.order_create(
        user_id=asked.user_id,
        account=await _account_of(asked),
        request_id=asked.request_id,
        wish=_wish(asked.data),
    )


async def _preview(asked: Asked) -> Shape:
    return await order_preview(
        user_id=asked.user_id,
        account=await account_for_async(asked.user_id, asked.account_id),
        wish=_wish(asked.data),
    )


# By their words, which costs a tenth of asking the enumeration; None is a word that was left out.
_SIDES: Final[dict[str, Side]] = {side.value: side for side in Side}
_ORDER_TYPES: Final[dict[str | None, OrderType]] = {
    None: OrderType.MARKET,
    **{kind.value: kind for kind in OrderType},
}
_TIMES_IN_FORCE: Final[dict[str | None, TimeInForce]] = {
    None: TimeInForce.GTC,
    **{time.value: time for time in TimeInForce},
}


def _wish(data: Data) -> OrderWish:
    mode = data.get("marginMode")
    return OrderWish(
        symbol=data["symbol"],
        side=_SIDES[data["type"]],
        quantity=data["quantity"],
        leverage=data["leverage"],
        order_type=_ORDER_TYPES[data.get("orderType")],
        price=data.get("price"),
        stop_price=data.get("stopPrice"),
        time_in_force=_TIMES_IN_FORCE[data.get("timeInForce")],
        expires_at_us=_end_us(data.get("expiresAt")),
        margin_mode=MarginMode(mode) if mode else None,
        slippage=data.get("slippage"),
        expected_price=data.get("expectedPrice"),
        stop_loss=data.get("stopLoss"),
        take_profit=data.get("takeProfit"),
        trailing_distance=data.get("trailingDistance"),
    )


def _end_us(at_us: T) -> T | int:
    # Messages know no moment 0; the microsecond after it is as long ago, and the engine says so.
    return 1 if at_us == 0 else at_us


async def _close(asked: Asked) -> Shape:
    data = asked.data
    # Each by its name, not by _of_order(): closes are half of all orders, and a call with `**` takes several times as long.
    return await positions.position_close(
        user_id=asked.user_id,
        account_id=data.get("accountId"),
        request_id=asked.request_id,
        order_id=data["orderId"],
        quantity=data.get("quantity"),
        slippage=data.get("slippage"),
        expected_price=data.get("expectedPrice"),
    )


async def _modify(asked: Asked) -> Shape:
    data = asked.data
    in_force = data.get("timeInForce", UNSET)
    changes = OrderChanges(
        stop_loss=data.get("stopLoss", UNSET),
        take_profit=data.get("takeProfit", UNSET),
        trailing_distance=data.get("trailingDistance", UNSET),
        quantity=data.get("quantity", UNSET),
        price=data.get("price", UNSET),
        stop_price=data.get("stopPrice", UNSET),
        time_in_force=UNSET if in_force is UNSET else TimeInForce(in_force),
        expires_at_us=_end_us(data.get("expiresAt", UNSET)),
    )
    return await orders.order_modify(**_of_order(asked), changes=changes)


async def _cancel(asked: Asked) -> Shape:
    return await orders.order_cancel(**_of_order(asked))


async def _reverse(asked: Asked) -> Shape:
    return await positions.position_reverse(**_of_order(asked))


async def _close_by(asked: Asked) -> Shape:
    return await positions.positions_close_by(
        **_of_order(asked), other_order_id=asked.data["otherOrderId"]
    )


async def _margin(asked: Asked) -> Shape:
    return await positions.position_margin_move(
        **_of_order(asked),
        amount=asked.data["amount"],
        is_removal=asked.data.get("action") == "remove",
    )


async def _cancel_all(asked: Asked) -> Shape:
    return await orders.orders_cancel_all(**(await _of_account(asked)))


async def _close_all(asked: Asked) -> Shape:
    profit = ProfitFilter(asked.data.get("profit") or ProfitFilter.ALL)
    return await positions.positions_close_all(**(await _of_account(asked)), profit=profit)


def _of_order(asked: Asked) -> Data:
    return {
        "user_id": asked.user_id,
        "account_id": asked.account_id,
        "request_id": asked.request_id,
        "order_id": asked.data["orderId"],
    }


async def _of_account(asked: Asked) -> Data:
    side = asked.data.get("type")
    return {
        "user_id": asked.user_id,
        "account": await _account_of(asked),
        "request_id": asked.request_id,
        "symbol": asked.data.get("symbol"),
        "side": None if side is None else Side(side),
    }


# --- reads ------------------------------------------------------------------------------------------------------------


def _times_require(data: Data) -> None:
    start_us, end_us = data.get("startTime"), data.get("endTime")
    if start_us is not None and end_us is not None and end_us < start_us:
        # As of candles: an empty list would look like one of a quiet time.
        text = f"expected at least startTime {start_us // 1000}, found {end_us // 1000}"
        raise ServiceError("INVALID", f"endTime: {text}", data={"fields": {"endTime": text}})


def _page(data: Data) -> Page:
    _times_require(data)
    side = data.get("type")
    return Page(
        limit=data["limit"],
        offset=data["offset"],
        sort=data["sort"],
        symbol=data.get("symbol"),
        side=None if side is None else Side(side),
        start_us=data.get("startTime"),
        end_us=data.get("endTime"),
    )


async def _open(asked: Asked) -> Shape:
    account = await account_for_async(asked.user_id, asked.account_id)
    return await listings.positions_open(account=account, page=_page(asked.data))


async def _pending(asked: Asked) -> Shape:
    account = await account_for_async(asked.user_id, asked.account_id)
    return await listings.orders_pending(account=account, page=_page(asked.data))


async def _closed(asked: Asked) -> Shape:
    account = await account_for_async(asked.user_id, asked.account_id)
    return await history.closed_orders(
        account=account, page=_page(asked.data), close_reason=asked.data.get("closeReason")
    )


async def _orders(asked: Asked) -> Shape:
    account = await account_for_async(asked.user_id, asked.account_id)
    return await history.orders_history(
        account=account, page=_page(asked.data), state=asked.data.get("state")
    )


async def _order(asked: Asked) -> Shape:
    return await receipts.order_detail(
        user_id=asked.user_id, account_id=asked.account_id, order_id=asked.data["orderId"]
    )


async def _request(asked: Asked) -> Shape:
    request_id: str = asked.data["requestId"]
    account = await account_for_async(asked.user_id, asked.account_id)
    if asked.account_id is None:
        account = await account_of_request(default=account, request_id=request_id)
    return await request_outcome(account=account, request_id=request_id)


async def _ledger(asked: Asked) -> Shape:
    data = asked.data
    _times_require(data)
    cursor = data.get("cursor")
    return await history.ledger_page(
        account=await account_for_async(asked.user_id, asked.account_id),
        limit=data["limit"],
        before_seq=None if cursor is None else int(cursor),
        kind=data.get("kind"),
        symbol=data.get("symbol"),
        start_us=data.get("startTime"),
        end_us=data.get("endTime"),
    )


async def _events(asked: Asked) -> Shape:
    return await history.events_after(
        account=await account_for_async(asked.user_id, asked.account_id),
        seq=asked.data["after"],
        limit=asked.data["limit"],
    )


def request_id_choose(*, header: str | None, body: str | None) -> tuple[str, bool]:
    """Return the id of a REST request, and whether it is the client's: that of the header or of the body, which must not differ.

    Errors: ServiceError INVALID.
    """
    if header is not None and not REQUEST_ID.fullmatch(header):
        raise ServiceError(
            "INVALID",
            f"Idempotency-Key: expected {REQUEST_ID_WORDS}, found {header!r:.70}",
            data={"field": "Idempotency-Key"},
        )
    if header and body and header != body:
        raise ServiceError(
            "INVALID",
            "Idempotency-Key and clientOrderId are both given and differ: send one of them",
        )
    # A request without an id cannot be asked again; it still gets one, so that its outcome can be found.
    chosen = header or body
    return (chosen, True) if chosen else (request_id_make(), False)


# --- the table --------------------------------------------------------------------------------------------------------

ORDER_CREATE: Final = Operation(
    "order.create", "POST trade/create", inputs.OrderCreateSerializer, _create, is_write=True
)
ORDER_CLOSE: Final = Operation(
    "order.close", "POST trade/close", inputs.OrderCloseSerializer, _close, is_write=True
)
ORDER_MODIFY: Final = Operation(
    "order.modify", "POST trade/modify", inputs.OrderModifySerializer, _modify, is_write=True
)
ORDER_CANCEL: Final = Operation(
    "order.cancel", "POST trade/cancel", inputs.OrderCancelSerializer, _cancel, is_write=True
)
ORDER_CANCEL_ALL: Final = Operation(
    "order.cancelAll",
    "POST trade/cancelAll",
    inputs.CancelAllSerializer,
    _cancel_all,
    is_write=True,
)
ORDER_CLOSE_ALL: Final = Operation(
    "order.closeAll", "POST trade/closeAll", inputs.CloseAllSerializer, _close_all, is_write=True
)
ORDER_CLOSE_BY: Final = Operation(
    "order.closeBy", "POST trade/closeBy", inputs.CloseBySerializer, _close_by, is_write=True
)
ORDER_REVERSE: Final = Operation(
    "order.reverse", "POST trade/reverse", inputs.OrderReverseSerializer, _reverse, is_write=True
)
ORDER_MARGIN: Final = Operation(
    "order.margin", "POST trade/margin", inputs.MarginSerializer, _margin, is_write=True
)
PREVIEW: Final = Operation(
    "preview", "POST trade/preview", inputs.OrderPreviewSerializer, _preview, is_write=False
)
ORDERS_OPEN: Final = Operation(
    "orders.open", "GET trade/open", inputs.OpenPageSerializer, _open, is_write=False
)
ORDERS_PENDING: Final = Operation(
    "orders.pending", "GET trade/pending", inputs.PendingPageSerializer, _pending, is_write=False
)
ORDERS_CLOSED: Final = Operation(
    "orders.closed", "GET trade/close", inputs.ClosedPageSerializer, _closed, is_write=False
)
ORDERS: Final = Operation(
    "orders.list", "GET trade/orders", inputs.OrderPageSerializer, _orders, is_write=False
)
ORDER_DETAIL: Final = Operation(
    "order.get", "GET trade/orders/{orderId}", inputs.OrderDetailSerializer, _order, is_write=False
)
REQUEST_DETAIL: Final = Operation(
    "request.get",
    "GET trade/requests/{requestId}",
    inputs.RequestDetailSerializer,
    _request,
    is_write=False,
)
LEDGER: Final = Operation(
    "account.ledger",
    "GET accounts/{accountId}/ledger",
    inputs.LedgerPageSerializer,
    _ledger,
    is_write=False,
)
EVENTS: Final = Operation(
    "account.events",
    "GET accounts/{accountId}/events",
    inputs.EventsSerializer,
    _events,
    is_write=False,
)

OPERATIONS: Final = (
    ORDER_CREATE,
    ORDER_CLOSE,
    ORDER_MODIFY,
    ORDER_CANCEL,
    ORDER_CANCEL_ALL,
    ORDER_CLOSE_ALL,
    ORDER_CLOSE_BY,
    ORDER_REVERSE,
    ORDER_MARGIN,
    PREVIEW,
    ORDERS_OPEN,
    ORDERS_PENDING,
    ORDERS_CLOSED,
    ORDERS,
    ORDER_DETAIL,
    REQUEST_DETAIL,
    LEDGER,
    EVENTS,
)
