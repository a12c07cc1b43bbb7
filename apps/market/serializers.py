"""Shapes of the market's answers, for the OpenAPI document; the views build plain data of exactly these shapes.

Numbers are exact decimals in JSON; they never pass through a float.
"""

from drf_spectacular.utils import inline_serializer
from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DecimalField,
    DictField,
    IntegerField,
    ListField,
    URLField,
)

from apps.common.openapi import enveloped
from apps.common.serializers import StrictSerializer
from apps.market.candles.intervals import INTERVALS


class RefreshWishSerializer(StrictSerializer):
    """Which candles to bring up to date; all of them if nothing is named."""

    symbol = CharField(required=False, allow_null=True, max_length=32)
    interval = ChoiceField(choices=list(INTERVALS), required=False, allow_null=True)
    force = BooleanField(default=False)


def _number() -> DecimalField:
    # Wide enough for every price, quantity and amount that the engine can hold.
    return DecimalField(max_digits=30, decimal_places=6, coerce_to_string=False)


SUPPORTED_ASSETS = enveloped(
    inline_serializer(
        "SupportedAsset",
        {
            "symbol": CharField(),
            "name": CharField(),
            "imageUrl": URLField(),
            "base": CharField(),
            "quoteCurrency": CharField(),
            "status": CharField(),
            "sourceClass": CharField(allow_null=True),
            "priceDecimals": IntegerField(),
            "quantityDecimals": IntegerField(),
            "minQuantity": _number(),
            "maxQuantity": _number(),
            "quantityStep": _number(),
            "minStopDistance": _number(),
            "maxLeverage": IntegerField(),
            "tiers": inline_serializer(
                "LeverageTier",
                {
                    "notionalCap": _number(),
                    "maxLeverage": IntegerField(),
                    "maintenanceRate": _number(),
                    "maintenanceAmount": _number(),
                },
                many=True,
            ),
            "swapLongPercent": _number(),
            "swapShortPercent": _number(),
            "maxQuoteAgeMs": IntegerField(),
            "maxExposure": _number(),
            "version": IntegerField(),
        },
        many=True,
    ),
    name="SupportedAssets",
    failures=(),
)

LATEST_PRICES = enveloped(
    inline_serializer(
        "LatestPrice",
        {
            "asset": CharField(),
            "price": _number(),
            "bid": _number(),
            "ask": _number(),
            "decimal": IntegerField(),
            "time": IntegerField(),
            "source": CharField(),
            "sourceClass": CharField(),
            "simulated": BooleanField(),
            "ageMs": IntegerField(),
            "stale": BooleanField(),
        },
        many=True,
    ),
    name="LatestPrices",
    failures=(400, 503),
)

DAY_AGO_PRICES = enveloped(
    inline_serializer("DayAgoPrice", {"asset": CharField(), "price": _number()}, many=True),
    name="DayAgoPrices",
    failures=(),
)

CANDLES = enveloped(
    inline_serializer(
        "Candles",
        {
            "symbol": CharField(),
            "dbSymbol": CharField(),
            "interval": CharField(),
            "price": CharField(),
            "from": IntegerField(allow_null=True),
            "to": IntegerField(allow_null=True),
            "count": IntegerField(),
            "data": ListField(
                child=ListField(),
                help_text='[[openTime, "open", "high", "low", "close", "volume"], ...]',
            ),
        },
    ),
    name="Candles",
    failures=(400, 503),
)

CANDLE_DIAGNOSTICS = enveloped(
    inline_serializer(
        "CandleDiagnostics",
        {
            "storage": CharField(),
            "writer": DictField(),
            "check": DictField(allow_null=True),
            "aggregates": DictField(),
            "series": ListField(child=DictField()),
            "gaps": ListField(child=DictField()),
        },
    ),
    name="CandleDiagnostics",
    failures=(400, 503),
)

_REFRESH = inline_serializer(
    "CandleRefresh",
    {
        "jobId": CharField(),
        "status": CharField(),
        "progress": DictField(allow_null=True),
        "result": DictField(allow_null=True),
    },
)
CANDLE_REFRESH = enveloped(_REFRESH, name="CandleRefresh", status=202, failures=(400, 401, 403))
CANDLE_REFRESH_PROGRESS = enveloped(
    _REFRESH, name="CandleRefreshProgress", failures=(400, 401, 403, 404)
)
