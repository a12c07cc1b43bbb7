"""Routes of the market: the API's under /api/v1/, and the icons beside the pages."""

from django.urls import URLPattern, URLResolver, include, path

from apps.market.candle_views import CandleDiagnosticsView, CandleRefreshView
from apps.market.udf import udf_urlpatterns
from apps.market.views import (
    CandlesView,
    DayAgoPricesView,
    LatestPricesView,
    SupportedAssetsView,
    asset_icon,
)

urlpatterns = [
    path("supportedAssets", SupportedAssetsView.as_view(), name="supported-assets"),
    path("candles", CandlesView.as_view(), name="candles"),
    path("candles/diagnostics", CandleDiagnosticsView.as_view(), name="candles-diagnostics"),
    path("candles/refresh", CandleRefreshView.as_view(), name="candles-refresh"),
    path("prices/latest", LatestPricesView.as_view(), name="prices-latest"),
    path("prices/dayAgo", DayAgoPricesView.as_view(), name="prices-day-ago"),
]

page_urlpatterns: list[URLPattern | URLResolver] = [
    path("udf/", include(udf_urlpatterns)),
    path("assets/<str:base>.svg", asset_icon, name="asset-icon"),
]
