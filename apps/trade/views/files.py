"""REST of statements and receipts: as JSON at once, as files at once or by a job."""

from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.engine_gateway import engine_gateway
from apps.common.envelope import success
from apps.common.key_access import READ_ONLY, Scope, account_require
from apps.common.openapi import enveloped, failures
from apps.common.quick_validation import validated
from apps.common.requests import REQUEST_ID_PATTERN, idempotency_key_of, user_id_of
from apps.common.views import ContractView
from apps.profile.facade import account_for
from apps.trade.serializers.inputs import OrderDetailSerializer
from apps.trade.serializers.statements import (
    PerformancePeriodSerializer,
    PerformanceSerializer,
    PeriodSerializer,
    StatementSerializer,
    StatementStateSerializer,
)
from apps.trade.services.history import history_reach
from apps.trade.services.receipts import order_detail
from apps.trade.services.statements import requests
from apps.trade.services.statements.at_once import (
    LINES_MAX,
    PAGES,
    STEPS_MAX,
    receipt_require,
    statement_lines,
    statement_size,
    turn_of,
)
from apps.trade.services.statements.collect import statement_collect
from apps.trade.services.statements.files import CONTENT_TYPES, receipt_pdf, statement_file
from apps.trade.services.statements.shape import performance_shape, statement_shape

# A statement reads a whole period, and pages are set by the process that orders wait for: each counts as so many requests
# (docs/API-KEYS.md, Limits).
_COST = 10
_COST_OF_PAGES = 100
_READ_FAILURES = (400, 401, 404, 429, 503)
_FILES = dict.fromkeys(
    [(200, kind.partition(";")[0]) for kind in CONTENT_TYPES.values()][1:], OpenApiTypes.BINARY
)
_IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, pattern=REQUEST_ID_PATTERN
)
_AT_ONCE = (
    "A statement of a day, a month or a range, as JSON or as a file. What is written at once is short: "
    + ", ".join(f"{name} has {count} lines at most" for name, count in LINES_MAX.items())
    + " (entries and days). Longer ones are made by `POST /accounts/{account_id}/statements`."
)


def _file(content: bytes, name: str, file_format: str) -> HttpResponse:
    response = HttpResponse(content, content_type=CONTENT_TYPES[file_format])
    response["Content-Disposition"] = f'attachment; filename="{name}.{file_format}"'
    response["Cache-Control"] = "private, no-store"
    return response


class StatementView(ContractView):
    """A statement of a day, a month or a range, as JSON or as a file."""

    parameters = None
    key_scopes: ClassVar[dict[str, Scope]] = READ_ONLY

    @property
    def request_cost(self) -> int:
        """Return as how many requests this one counts."""
        has_pages = self.request.query_params.get("fileFormat") in PAGES
        return _COST_OF_PAGES if has_pages else _COST

    @extend_schema(
        operation_id="account_statement",
        parameters=[PeriodSerializer],
        responses=enveloped(StatementSerializer, failures=(*_READ_FAILURES, 409)) | _FILES,
        description=_AT_ONCE,
        tags=["accounts"],
    )
    def get(self, request: Request, account_id: int) -> Response | HttpResponse:
        data = validated(PeriodSerializer, request.query_params.dict())
        account = account_for(user_id_of(request), account_require(request, account_id))
        period = requests.period_of(data)
        file_format = data["fileFormat"]
        lines = statement_lines(account_id=account.id, period=period, file_format=file_format)
        reach = engine_gateway().run(history_reach(account))
        with turn_of(file_format=file_format, lines=lines):
            statement = statement_collect(account_id=account.id, period=period)
            if file_format == "json":
                return Response(success(statement_shape(statement) | reach.shape()))
            content = statement_file(statement, file_format)
        name = f"statement-{account.id}-{period.text.replace(' ', '-')}"
        return _file(content, name, file_format)


class PerformanceView(ContractView):
    """What an account achieved in a day, a month or a range: the figures of its statement, without the entries."""

    parameters = None
    request_cost = _COST
    key_scopes: ClassVar[dict[str, Scope]] = READ_ONLY

    @extend_schema(
        operation_id="account_performance",
        parameters=[PerformancePeriodSerializer],
        responses=enveloped(PerformanceSerializer, failures=_READ_FAILURES),
        tags=["accounts"],
    )
    def get(self, request: Request, account_id: int) -> Response:
        data = validated(PerformancePeriodSerializer, request.query_params.dict())
        account = account_for(user_id_of(request), account_require(request, account_id))
        period = requests.period_of(data)
        lines = sum(statement_size(account_id=account.id, period=period))
        reach = engine_gateway().run(history_reach(account))
        with turn_of(file_format="json", lines=lines):
            statement = statement_collect(account_id=account.id, period=period)
            return Response(success(performance_shape(statement) | reach.shape()))


class StatementsView(ContractView):
    """Statements that the worker makes."""

    request_cost = _COST
    key_scopes: ClassVar[dict[str, Scope]] = {"POST": "read"}

    @extend_schema(
        operation_id="account_statement_request",
        parameters=[_IDEMPOTENCY],
        request=PeriodSerializer,
        responses=enveloped(
            StatementStateSerializer, status=202, failures=(*_READ_FAILURES, 409, 413, 415)
        ),
        tags=["accounts"],
    )
    def post(self, request: Request, account_id: int) -> Response:
        data = validated(PeriodSerializer, request.data)
        account = account_for(user_id_of(request), account_require(request, account_id))
        state = requests.statement_request(
            account=account,
            period=requests.period_of(data),
            file_format=data["fileFormat"],
            request_id=idempotency_key_of(request),
        )
        return Response(success(state), status=202)


class StatementStateView(ContractView):
    """Where the making of a statement stands."""

    key_scopes: ClassVar[dict[str, Scope]] = READ_ONLY

    @extend_schema(
        operation_id="account_statement_state",
        responses=enveloped(
            StatementStateSerializer, name="StatementProgress", failures=_READ_FAILURES
        ),
        tags=["accounts"],
    )
    def get(self, request: Request, account_id: int, statement_id: UUID) -> Response:
        account = account_for(user_id_of(request), account_require(request, account_id))
        row = requests.statement_find(account=account, statement_id=statement_id)
        return Response(success(requests.statement_state(row)))


class StatementFileView(ContractView):
    """A statement's file, once it has been made."""

    key_scopes: ClassVar[dict[str, Scope]] = READ_ONLY

    @extend_schema(
        operation_id="account_statement_file",
        responses={
            **_FILES,
            (200, "application/json"): OpenApiTypes.OBJECT,
            **failures(*_READ_FAILURES, 409),
        },
        tags=["accounts"],
    )
    def get(self, request: Request, account_id: int, statement_id: UUID) -> HttpResponse:
        account = account_for(user_id_of(request), account_require(request, account_id))
        row = requests.statement_find(account=account, statement_id=statement_id)
        content = requests.statement_content(row)
        return _file(content, f"statement-{account.id}", row.file_format)


class ReceiptView(ContractView):
    """An order with its receipts as a PDF."""

    parameters = None
    request_cost = _COST_OF_PAGES
    key_scopes: ClassVar[dict[str, Scope]] = READ_ONLY

    @extend_schema(
        operation_id="trade_order_receipt",
        parameters=[OrderDetailSerializer, OpenApiParameter("orderId", exclude=True)],
        responses={
            (200, "application/pdf"): OpenApiTypes.BINARY,
            **failures(*_READ_FAILURES, 409),
        },
        description=f"An order with its receipts as a PDF, of {STEPS_MAX} steps at most.",
        tags=["trade"],
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        data = validated(
            OrderDetailSerializer, {**request.query_params.dict(), "orderId": order_id}
        )
        account_id = account_require(request, data.get("accountId"))
        detail = engine_gateway().run(
            order_detail(user_id=user_id_of(request), account_id=account_id, order_id=order_id)
        )
        receipt_require(detail)
        with turn_of(file_format="pdf"):
            content = receipt_pdf(detail)
        return _file(content, f"order-{order_id}", "pdf")
