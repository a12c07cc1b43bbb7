"""REST routes of trading."""

from django.urls import path

from apps.trade.views import CloseView, HelloView, OpenOrdersView, OrderCreateView

urlpatterns = [
    path("trade", HelloView.as_view(), name="trade"),
    path("trade/create", OrderCreateView.as_view(), name="trade-create"),
    path("trade/open", OpenOrdersView.as_view(), name="trade-open"),
    path("trade/close", CloseView.as_view(), name="trade-close"),
]
