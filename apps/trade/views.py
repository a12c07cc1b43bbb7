"""REST of trading: reads the request, calls one service, writes the envelope."""

from typing import Any
from uuid import uuid4

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.engine_gateway import engine_gateway
from apps.common.envelope import success
from apps.common.errors import ServiceError
from apps.common.openapi import enveloped
from apps.common.requests import user_id_of
from apps.profile.facade import account_for
from apps.trade.serializers import (
    REQUEST_ID,
    REQUEST_ID_WORDS,
    ClosedOrdersSerializer,
    CloseResultSerializer,
    CreatedOrderSerializer,
    OpenOrdersSerializer,
    OrderCloseSerializer,
    OrderCreateSerializer,
    PageSerializer,
    order_arguments,
)
from apps.trade.services.history import closed_orders
from apps.trade.services.orders import order_create
from apps.trade.services.positions import position_close, positions_open
from engine.values import MarginMode, Side

_WRITE_FAILURES = (400, 401, 404, 408, 409, 503)
_IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Your id of this request; the same as clientOrderId. The same id and content is answered once.",
)


class HelloView(APIView):
    """Tells that the trading interface is there."""

    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(
        responses=enveloped(serializers.CharField(), name="Hello", failures=()), tags=["trade"]
    )
    def get(self, _request: Request) -> Response:
        return Response(success("Hello Trade"))


class OrderCreateView(APIView):
    """Buys or sells at the market."""

    @extend_schema(
        operation_id="trade_create",
        parameters=[_IDEMPOTENCY],
        request=OrderCreateSerializer,
        responses=enveloped(CreatedOrderSerializer, failures=_WRITE_FAILURES),
        tags=["trade"],
    )
    def post(self, request: Request) -> Response:
        gateway = engine_gateway()
        data = _validated(OrderCreateSerializer, request.data)
        user_id = user_id_of(request)
        mode = data.get("marginMode")
        work = order_create(
            user_id=user_id,
            account=account_for(user_id, data.get("accountId")),
            request_id=_request_id(request, data),
            side=Side(data["type"]),
            margin_mode=MarginMode(mode) if mode else None,
            **order_arguments(data),
        )
        return Response(success(gateway.run(work)))

    def get_serializer(self, *args: Any, **kwargs: Any) -> OrderCreateSerializer:
        """Return the form that the browsable API shows."""
        return OrderCreateSerializer(*args, **kwargs)


class OpenOrdersView(APIView):
    """Open orders with live figures, newest first."""

    @extend_schema(
        operation_id="trade_open",
        parameters=[PageSerializer],
        responses=enveloped(OpenOrdersSerializer),
        tags=["trade"],
    )
    def get(self, request: Request) -> Response:
        gateway = engine_gateway()
        page = _validated(PageSerializer, request.query_params)
        account = account_for(user_id_of(request), page.get("accountId"))
        work = positions_open(account=account, limit=page["limit"], offset=page["offset"])
        return Response(success(gateway.run(work)))


class CloseView(APIView):
    """Closes an order, and lists what was closed."""

    @extend_schema(
        operation_id="trade_close",
        parameters=[_IDEMPOTENCY],
        request=OrderCloseSerializer,
        responses=enveloped(CloseResultSerializer, failures=_WRITE_FAILURES),
        tags=["trade"],
    )
    def post(self, request: Request) -> Response:
        gateway = engine_gateway()
        data = _validated(OrderCloseSerializer, request.data)
        work = position_close(
            user_id=user_id_of(request),
            account_id=data.get("accountId"),
            request_id=_request_id(request, data),
            order_id=data["orderId"],
            quantity=data.get("quantity"),
        )
        return Response(success(gateway.run(work)))

    @extend_schema(
        operation_id="trade_closed",
        parameters=[PageSerializer],
        responses=enveloped(ClosedOrdersSerializer),
        tags=["trade"],
    )
    def get(self, request: Request) -> Response:
        gateway = engine_gateway()
        page = _validated(PageSerializer, request.query_params)
        account = account_for(user_id_of(request), page.get("accountId"))
        work = closed_orders(account=account, limit=page["limit"], offset=page["offset"])
        return Response(success(gateway.run(work)))

    def get_serializer(self, *args: Any, **kwargs: Any) -> OrderCloseSerializer:
        """Return the form that the browsable API shows."""
        return OrderCloseSerializer(*args, **kwargs)


def _validated(shape: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    serializer = shape(data=data)
    serializer.is_valid(raise_exception=True)
    validated: dict[str, Any] = serializer.validated_data
    return validated


def _request_id(request: Request, data: dict[str, Any]) -> str:
    header = request.headers.get("Idempotency-Key")
    if header is not None and not REQUEST_ID.fullmatch(header):
        raise ServiceError(
            "INVALID",
            f"Idempotency-Key: expected {REQUEST_ID_WORDS}",
            data={"field": "Idempotency-Key"},
        )
    body = data.get("clientOrderId")
    if header and body and header != body:
        raise ServiceError(
            "INVALID",
            "Idempotency-Key and clientOrderId are both given and differ: send one of them",
        )
    # A request without an id cannot be asked again; it still gets one, so that its outcome can be found.
    return header or body or uuid4().hex
