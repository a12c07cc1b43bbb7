"""REST of trading: one view for each operation; what it does is in operations.py."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.engine_gateway import engine_gateway
from apps.common.envelope import success
from apps.common.key_access import READ_AND_TRADE, Scope, account_require
from apps.common.openapi import enveloped
from apps.common.requests import REQUEST_ID_PATTERN, user_id_of
from apps.common.views import ContractView
from apps.trade import operations
from apps.trade.operations import Asked, Operation, request_id_choose
from apps.trade.serializers import answers, records

_IN_BRACES = re.compile(r"\{(\w+)\}")
_READ_FAILURES = (400, 401, 404, 503)
_WRITE_FAILURES = (400, 401, 404, 408, 409, 413, 415, 429, 503)
_IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    pattern=REQUEST_ID_PATTERN,
    description="Your id of this request; the same as clientOrderId. The same id and content is answered once.",
)


class HelloView(ContractView):
    """Tells that the trading interface is there."""

    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(
        responses=enveloped(serializers.CharField(), name="Hello", failures=()), tags=["trade"]
    )
    def get(self, _request: Request) -> Response:
        return Response(success("Hello Trade"))


class OperationView(ContractView):
    """Runs one operation for each method that it names."""

    # Whose form the browsable API shows.
    form: ClassVar[Operation | None] = None
    key_scopes: ClassVar[dict[str, Scope]] = READ_AND_TRADE
    # Its operation's shape refuses them.
    parameters = None

    def _run(self, request: Request, operation: Operation, data: Any) -> Response:
        gateway = engine_gateway()
        serializer = operation.shape(data=data)
        serializer.is_valid(raise_exception=True)
        data = _bound(request, serializer.validated_data)
        request_id, is_repeatable = "", False
        if operation.is_write:
            request_id, is_repeatable = request_id_choose(
                header=request.headers.get("Idempotency-Key"), body=data.get("clientOrderId")
            )
        asked = Asked(user_id_of(request), request_id, data, is_repeatable)
        return Response(success(gateway.run(_coroutine(operation, asked))))

    def get_serializer(self, *args: Any, **kwargs: Any) -> serializers.Serializer[Any]:
        """Return the form that the browsable API shows."""
        shape = self.form.shape if self.form else serializers.Serializer
        return shape(*args, **kwargs)


async def _coroutine(operation: Operation, asked: Asked) -> object:
    return await operation.run(asked)


def _query(request: Request, **path: object) -> dict[str, Any]:
    # A parameter that is given twice has the value of its last mention.
    return request.query_params.dict() | path


def _bound(request: Request, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data with the account that is meant; a key may name no other than its own, nor an order of another.

    Errors: ServiceError KEY_ACCOUNT_FORBIDDEN.
    """
    account_id = account_require(request, data.get("accountId"))
    if account_id is None:
        return dict(data)
    for name in ("orderId", "otherOrderId"):
        if name in data:
            account_require(request, int(data[name].partition("-")[0]))
    return {**data, "accountId": account_id}


def _write(
    operation: Operation, answer: type[serializers.Serializer[Any]], operation_id: str
) -> Any:
    return extend_schema(
        operation_id=operation_id,
        parameters=[_IDEMPOTENCY],
        request=operation.shape,
        responses=enveloped(answer, failures=_WRITE_FAILURES),
        tags=["trade"],
    )


def _read(
    operation: Operation,
    answer: type[serializers.Serializer[Any]],
    operation_id: str,
    *,
    tag: str = "trade",
) -> Any:
    # What the address names, the query does not.
    of_address = [OpenApiParameter(n, exclude=True) for n in _IN_BRACES.findall(operation.rest)]
    return extend_schema(
        operation_id=operation_id,
        parameters=[operation.shape, *of_address],
        responses=enveloped(answer, failures=_READ_FAILURES),
        tags=[tag],
    )


class OrderCreateView(OperationView):
    """Places an order: at the market, or pending until its price."""

    form = operations.ORDER_CREATE

    @_write(operations.ORDER_CREATE, answers.CreatedOrderSerializer, "trade_create")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_CREATE, request.data)


class CloseView(OperationView):
    """Closes an order, and lists what was closed."""

    form = operations.ORDER_CLOSE

    @_write(operations.ORDER_CLOSE, answers.CloseResultSerializer, "trade_close")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_CLOSE, request.data)

    @_read(operations.ORDERS_CLOSED, answers.ClosedOrdersSerializer, "trade_closed")
    def get(self, request: Request) -> Response:
        return self._run(request, operations.ORDERS_CLOSED, _query(request))


class ModifyView(OperationView):
    """Changes a pending order, or the stops of an open one."""

    form = operations.ORDER_MODIFY

    @_write(operations.ORDER_MODIFY, answers.ModifiedSerializer, "trade_modify")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_MODIFY, request.data)


class CancelView(OperationView):
    """Cancels a pending order."""

    form = operations.ORDER_CANCEL

    @_write(operations.ORDER_CANCEL, answers.CancelledSerializer, "trade_cancel")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_CANCEL, request.data)


class CancelAllView(OperationView):
    """Cancels pending orders."""

    form = operations.ORDER_CANCEL_ALL

    @_write(operations.ORDER_CANCEL_ALL, answers.AllCancelledSerializer, "trade_cancel_all")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_CANCEL_ALL, request.data)


class CloseAllView(OperationView):
    """Closes open orders."""

    form = operations.ORDER_CLOSE_ALL

    @_write(operations.ORDER_CLOSE_ALL, answers.AllClosedSerializer, "trade_close_all")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_CLOSE_ALL, request.data)


class CloseByView(OperationView):
    """Closes two opposite orders against each other."""

    form = operations.ORDER_CLOSE_BY

    @_write(operations.ORDER_CLOSE_BY, answers.ClosedBySerializer, "trade_close_by")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_CLOSE_BY, request.data)


class ReverseView(OperationView):
    """Closes an order and opens its opposite, both or neither."""

    form = operations.ORDER_REVERSE

    @_write(operations.ORDER_REVERSE, answers.ReversedSerializer, "trade_reverse")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_REVERSE, request.data)


class MarginView(OperationView):
    """Moves margin into an isolated order, or out of it."""

    form = operations.ORDER_MARGIN

    @_write(operations.ORDER_MARGIN, answers.MarginMovedSerializer, "trade_margin")
    def post(self, request: Request) -> Response:
        return self._run(request, operations.ORDER_MARGIN, request.data)


class PreviewView(OperationView):
    """Tells what an order would cost; nothing is placed."""

    form = operations.PREVIEW
    key_scopes: ClassVar[dict[str, Scope]] = {"POST": "read"}

    @extend_schema(
        operation_id="trade_preview",
        request=operations.PREVIEW.shape,
        responses=enveloped(
            answers.PreviewSerializer, failures=(400, 401, 404, 413, 415, 429, 503)
        ),
        tags=["trade"],
    )
    def post(self, request: Request) -> Response:
        return self._run(request, operations.PREVIEW, request.data)


class OpenOrdersView(OperationView):
    """Open orders with live figures, newest first."""

    @_read(operations.ORDERS_OPEN, answers.OpenOrdersSerializer, "trade_open")
    def get(self, request: Request) -> Response:
        return self._run(request, operations.ORDERS_OPEN, _query(request))


class PendingOrdersView(OperationView):
    """Pending orders, newest first."""

    @_read(operations.ORDERS_PENDING, answers.PendingOrdersSerializer, "trade_pending")
    def get(self, request: Request) -> Response:
        return self._run(request, operations.ORDERS_PENDING, _query(request))


class OrdersView(OperationView):
    """All orders, whatever became of them, newest first."""

    @_read(operations.ORDERS, answers.OrdersSerializer, "trade_orders")
    def get(self, request: Request) -> Response:
        return self._run(request, operations.ORDERS, _query(request))


class OrderDetailView(OperationView):
    """One order with everything on record: fills, closings, and a receipt for every step."""

    @_read(operations.ORDER_DETAIL, records.OrderDetailAnswerSerializer, "trade_order")
    def get(self, request: Request, order_id: str) -> Response:
        return self._run(request, operations.ORDER_DETAIL, _query(request, orderId=order_id))


class RequestDetailView(OperationView):
    """What became of a request, by the id that the client gave it."""

    @_read(operations.REQUEST_DETAIL, records.RequestOutcomeSerializer, "trade_request")
    def get(self, request: Request, request_id: str) -> Response:
        return self._run(request, operations.REQUEST_DETAIL, _query(request, requestId=request_id))


class LedgerView(OperationView):
    """What moved an account's money, newest first, with its postings."""

    @_read(operations.LEDGER, records.LedgerSerializer, "account_ledger", tag="accounts")
    def get(self, request: Request, account_id: int) -> Response:
        return self._run(request, operations.LEDGER, _query(request, accountId=account_id))


class EventsView(OperationView):
    """An account's events after the last one that was seen, as the socket tells them."""

    @_read(operations.EVENTS, records.EventsAnswerSerializer, "account_events", tag="accounts")
    def get(self, request: Request, account_id: int) -> Response:
        return self._run(request, operations.EVENTS, _query(request, accountId=account_id))
