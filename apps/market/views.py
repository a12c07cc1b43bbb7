"""Public reads of the market: instruments, newest prices, icons. From memory; nothing here waits for a database."""

from datetime import timedelta

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.envelope import success
from apps.common.exact_json import json_decode
from apps.common.money import number_from_micros, number_from_scaled
from apps.common.openapi import whole_type
from apps.common.views import ContractView
from apps.market.candles.answers import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    TIME_MS_MAX,
    answer,
    is_known,
    question_from,
)
from apps.market.candles.intervals import INTERVALS
from apps.market.candles.reader import on_reader_loop
from apps.market.icons import icon_svg
from apps.market.prices import LATEST_PARAMETERS, latest_prices
from apps.market.selectors import (
    QUOTE_CURRENCY,
    InstrumentInfo,
    bids_since,
    instruments,
    instruments_by_symbol,
)
from apps.market.serializers import CANDLES, DAY_AGO_PRICES, LATEST_PRICES, SUPPORTED_ASSETS
from engine.messages.definitions import Tier

_RATE_DECIMALS_OF_PPM = 6
_PERCENT_DECIMALS_OF_PPM = 4
_DAY_AGO_KEY = "market:day-ago"
# Five-minute candles do not change faster.
_DAY_AGO_SECONDS = 30


class SupportedAssetsView(ContractView):
    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(operation_id="supported_assets", responses=SUPPORTED_ASSETS, tags=["market"])
    def get(self, request: Request) -> Response:
        """List all instruments with their specification."""
        return Response(success([_asset(request, info) for info in instruments()]))


class LatestPricesView(ContractView):
    permission_classes = (AllowAny,)
    authentication_classes = ()
    parameters = LATEST_PARAMETERS

    @extend_schema(
        operation_id="prices_latest",
        parameters=[
            OpenApiParameter(
                "symbols", str, description="Comma-separated symbols, such as BTC,ETHUSDT"
            )
        ],
        responses=LATEST_PRICES,
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """List the newest prices; 503 while no feed speaks."""
        return Response(success(latest_prices(request.query_params.get("symbols", ""))))


class CandlesView(ContractView):
    """The browsable and documented way; programs that ask for JSON are answered by candles/lean.py."""

    permission_classes = (AllowAny,)
    authentication_classes = ()
    # Refused by question_from(), for both ways.
    parameters = None

    @extend_schema(
        operation_id="candles",
        parameters=[
            OpenApiParameter("symbol", str, required=True, description="Such as BTCUSDT or BTC"),
            OpenApiParameter("interval", str, enum=list(INTERVALS), default="1m"),
            OpenApiParameter("limit", whole_type(1, LIMIT_MAX), default=LIMIT_DEFAULT),
            OpenApiParameter(
                "startTime", whole_type(0, TIME_MS_MAX), description="First beginning, epoch ms"
            ),
            OpenApiParameter(
                "endTime", whole_type(0, TIME_MS_MAX), description="Last beginning, epoch ms"
            ),
            OpenApiParameter(
                "price", str, enum=["bid", "mid"], default="bid", description="What is drawn."
            ),
        ],
        responses=CANDLES,
        tags=["market"],
    )
    def get(self, request: Request) -> HttpResponse | Response:
        """List candles in the order of time, the newest as it stands now; tick volume counts quotes."""
        question = question_from(request.query_params.dict())
        found = on_reader_loop(lambda reader: answer(reader, question))
        if request.accepted_renderer.format == "api":
            return Response(json_decode(found.body))
        if is_known(found.etag, request.headers.get("If-None-Match", "")):
            response = HttpResponse(status=304)
        else:
            response = HttpResponse(found.body, content_type="application/json")
        response["ETag"] = found.etag
        response["Cache-Control"] = "no-cache"
        return response


class DayAgoPricesView(ContractView):
    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(operation_id="prices_day_ago", responses=DAY_AGO_PRICES, tags=["market"])
    def get(self, _request: Request) -> Response:
        """List the bids of 24 hours ago, or the first ones since then where the history is younger."""
        bids = cache.get(_DAY_AGO_KEY)
        if bids is None:
            bids = bids_since(timezone.now() - timedelta(hours=24))
            cache.set(_DAY_AGO_KEY, bids, _DAY_AGO_SECONDS)
        by_symbol = instruments_by_symbol()
        return Response(
            success(
                [
                    {
                        "asset": symbol,
                        "price": number_from_scaled(ticks, by_symbol[symbol].price_decimals),
                    }
                    for symbol, ticks in bids.items()
                    if symbol in by_symbol
                ]
            )
        )


@require_safe
@cache_control(public=True, max_age=7 * 24 * 3600)
def asset_icon(_request: HttpRequest, base: str) -> HttpResponse:
    """Serve the drawn icon of a coin that is traded here."""
    if f"{base}{QUOTE_CURRENCY}" not in instruments_by_symbol():
        raise Http404
    return HttpResponse(icon_svg(base), content_type="image/svg+xml")


def _asset(request: Request, info: InstrumentInfo) -> dict[str, object]:
    icon = reverse("asset-icon", kwargs={"base": info.base})
    return {
        "symbol": info.symbol,
        "name": info.name,
        "imageUrl": request.build_absolute_uri(icon),
        "base": info.base,
        "quoteCurrency": QUOTE_CURRENCY,
        "status": info.trading_mode.value,
        "sourceClass": info.source_class and info.source_class.value,
        "priceDecimals": info.price_decimals,
        "quantityDecimals": info.quantity_decimals,
        "minQuantity": number_from_scaled(info.quantity_min_units, info.quantity_decimals),
        "maxQuantity": number_from_scaled(info.quantity_max_units, info.quantity_decimals),
        "quantityStep": number_from_scaled(info.quantity_step_units, info.quantity_decimals),
        "minStopDistance": number_from_scaled(info.stop_distance_ticks, info.price_decimals),
        "maxLeverage": info.leverage_max,
        "tiers": [_tier(tier) for tier in info.tiers],
        "swapLongPercent": number_from_scaled(info.swap_long_ppm, _PERCENT_DECIMALS_OF_PPM),
        "swapShortPercent": number_from_scaled(info.swap_short_ppm, _PERCENT_DECIMALS_OF_PPM),
        "maxQuoteAgeMs": info.quote_age_us_max // 1000,
        "maxExposure": number_from_micros(info.exposure_account_micros_max),
        "version": info.spec_version,
    }


def _tier(tier: Tier) -> dict[str, object]:
    return {
        "notionalCap": number_from_micros(tier.notional_cap_micros),
        "maxLeverage": tier.leverage_max,
        "maintenanceRate": number_from_scaled(tier.maintenance_ppm, _RATE_DECIMALS_OF_PPM),
        "maintenanceAmount": number_from_micros(tier.maintenance_amount_micros),
    }
