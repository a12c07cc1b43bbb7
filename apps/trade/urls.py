"""REST routes of trading."""

from django.urls import path, register_converter

from apps.common.requests import REQUEST_ID
from apps.trade.serializers.inputs import ORDER_ID
from apps.trade.views import files
from apps.trade.views import operations as views


class OrderIdConverter:
    """An order id in an address; anything else is no address."""

    regex = ORDER_ID.pattern.removeprefix(r"\A").removesuffix(r"\Z")

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class RequestIdConverter(OrderIdConverter):
    """A request id in an address."""

    regex = REQUEST_ID.pattern.removeprefix(r"\A").removesuffix(r"\Z")


register_converter(OrderIdConverter, "order")
register_converter(RequestIdConverter, "request")

urlpatterns = [
    path("trade", views.HelloView.as_view(), name="trade"),
    path("trade/create", views.OrderCreateView.as_view(), name="trade-create"),
    path("trade/open", views.OpenOrdersView.as_view(), name="trade-open"),
    path("trade/close", views.CloseView.as_view(), name="trade-close"),
    path("trade/preview", views.PreviewView.as_view(), name="trade-preview"),
    path("trade/modify", views.ModifyView.as_view(), name="trade-modify"),
    path("trade/reverse", views.ReverseView.as_view(), name="trade-reverse"),
    path("trade/cancel", views.CancelView.as_view(), name="trade-cancel"),
    path("trade/cancelAll", views.CancelAllView.as_view(), name="trade-cancel-all"),
    path("trade/closeAll", views.CloseAllView.as_view(), name="trade-close-all"),
    path("trade/closeBy", views.CloseByView.as_view(), name="trade-close-by"),
    path("trade/margin", views.MarginView.as_view(), name="trade-margin"),
    path("trade/pending", views.PendingOrdersView.as_view(), name="trade-pending"),
    path("trade/orders", views.OrdersView.as_view(), name="trade-orders"),
    path("trade/orders/<order:order_id>", views.OrderDetailView.as_view(), name="trade-order"),
    path(
        "trade/requests/<request:request_id>",
        views.RequestDetailView.as_view(),
        name="trade-request",
    ),
    path(
        "trade/orders/<order:order_id>/receipt.pdf",
        files.ReceiptView.as_view(),
        name="trade-order-receipt",
    ),
    path(
        "accounts/<int:account_id>/statement",
        files.StatementView.as_view(),
        name="account-statement",
    ),
    path(
        "accounts/<int:account_id>/performance",
        files.PerformanceView.as_view(),
        name="account-performance",
    ),
    path(
        "accounts/<int:account_id>/statements",
        files.StatementsView.as_view(),
        name="account-statements",
    ),
    path(
        "accounts/<int:account_id>/statements/<uuid:statement_id>",
        files.StatementStateView.as_view(),
        name="account-statement-state",
    ),
    path(
        "accounts/<int:account_id>/statements/<uuid:statement_id>/file",
        files.StatementFileView.as_view(),
        name="account-statement-file",
    ),
    path("accounts/<int:account_id>/ledger", views.LedgerView.as_view(), name="account-ledger"),
    path("accounts/<int:account_id>/events", views.EventsView.as_view(), name="account-events"),
]
