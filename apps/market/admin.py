"""Instruments in the admin, to look at: the engine trades by its own copy, which changes by commands only."""

from django.contrib import admin

from apps.common.read_only_admin import ReadOnlyAdmin, exact_column
from apps.market.models import Instrument


def _price_decimals(row: Instrument) -> int:
    return row.price_decimals


def _quantity_decimals(row: Instrument) -> int:
    return row.quantity_decimals


_REFERENCE_PRICE = exact_column(
    "reference_price_ticks", title="reference price", decimals=_price_decimals
)
_SPREAD = exact_column("spread_ticks", title="spread", decimals=_price_decimals)
_STOP_DISTANCE = exact_column(
    "stop_distance_ticks", title="stop distance", decimals=_price_decimals
)
_QUANTITY_MIN = exact_column(
    "quantity_min_units", title="smallest quantity", decimals=_quantity_decimals
)
_QUANTITY_STEP = exact_column(
    "quantity_step_units", title="quantity step", decimals=_quantity_decimals
)
_QUANTITY_MAX = exact_column(
    "quantity_max_units", title="largest quantity", decimals=_quantity_decimals
)
_EXPOSURE_ACCOUNT = exact_column(
    "exposure_account_micros_max", title="largest exposure of an account, USD"
)
_EXPOSURE_HOUSE = exact_column(
    "exposure_house_micros_max", title="largest exposure of the house, USD"
)
_EXACT = (
    _REFERENCE_PRICE,
    _SPREAD,
    _STOP_DISTANCE,
    _QUANTITY_MIN,
    _QUANTITY_STEP,
    _QUANTITY_MAX,
    _EXPOSURE_ACCOUNT,
    _EXPOSURE_HOUSE,
)


@admin.register(Instrument)
class InstrumentAdmin(ReadOnlyAdmin):
    """The catalogue, with the terms that the engine was told."""

    list_display = (
        "symbol",
        "name",
        "trading_mode",
        "source_class",
        _REFERENCE_PRICE,
        _SPREAD,
        _QUANTITY_MIN,
        _QUANTITY_MAX,
        "spec_version",
    )
    list_filter = ("trading_mode", "source_class", "liquidity")
    search_fields = ("symbol", "name")
    ordering = ("rank", "symbol")
    readonly_fields = _EXACT
    fields = (
        "symbol",
        "name",
        "base",
        "rank",
        "liquidity",
        "trading_mode",
        "source_class",
        "spec_version",
        "price_decimals",
        "quantity_decimals",
        *_EXACT,
        "spread_ppm_max",
        "jump_ppm_max",
        "markup_ppm",
        "quote_age_us_max",
        "swap_long_ppm",
        "swap_short_ppm",
        "tiers",
        "created_at",
        "updated_at",
    )
