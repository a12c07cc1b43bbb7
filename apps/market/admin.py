"""Instruments in the admin, to look at: the engine trades by its own copy, which changes by commands only.

One such command is sent from here: which class of prices an instrument takes.
"""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apps.common.errors import ServiceError
from apps.common.read_only_admin import ReadOnlyAdmin, exact_column
from apps.market.models import Instrument, SwapRollover
from apps.market.services import price_source_change
from engine.values import SourceClass


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


class PriceSourceForm(forms.Form):
    """The second look at what is about to happen: which class, why, and the symbols once more, typed by hand."""

    source_class = forms.ChoiceField(
        label="Class of prices", choices=[(one.value, one.value) for one in SourceClass]
    )
    reason = forms.CharField(label="Reason", min_length=10, max_length=200)
    confirmation = forms.CharField(label="Confirm")

    def __init__(self, *args: Any, symbols: Sequence[str], **kwargs: Any) -> None:
        """Take the symbols whose prices are to change."""
        super().__init__(*args, **kwargs)
        self._expected = " ".join(symbols)
        self.fields["confirmation"].help_text = f"Type: {self._expected}"

    def clean_confirmation(self) -> str:
        """Return what was typed. Errors: ValidationError unless it names exactly the chosen symbols."""
        typed: str = self.cleaned_data["confirmation"]
        if " ".join(typed.split()).upper() != self._expected:
            text = f"expected {self._expected}, found {typed[:100]}"
            raise forms.ValidationError(text)
        return typed


@admin.register(Instrument)
class InstrumentAdmin(ReadOnlyAdmin):
    """The catalogue, with the terms that the engine was told."""

    actions = ("price_source_set",)

    def has_set_price_source_permission(self, request: HttpRequest) -> bool:
        """Return whether this member of the staff may let instruments take prices of another class."""
        return request.user.has_perm("market.set_price_source")

    @admin.action(description="Take prices of another class", permissions=["set_price_source"])
    def price_source_set(
        self, request: HttpRequest, queryset: QuerySet[Instrument]
    ) -> HttpResponse | None:
        """Ask once more, then send SetPriceSource for each; log and journal keep who and why."""
        rows = list(queryset.order_by("symbol"))
        is_confirmed = "confirmation" in request.POST
        form = PriceSourceForm(
            request.POST if is_confirmed else None, symbols=[row.symbol for row in rows]
        )
        if not (is_confirmed and form.is_valid()):
            context = {
                **self.admin_site.each_context(request),
                "title": "Take prices of another class",
                "rows": rows,
                "form": form,
                "opts": self.model._meta,  # noqa: SLF001 - Django's own public name for it.
            }
            return TemplateResponse(request, "admin/market/price_source.html", context)
        self._price_source_send(request, rows, form.cleaned_data)
        return None

    def _price_source_send(
        self, request: HttpRequest, rows: Sequence[Instrument], data: dict[str, Any]
    ) -> None:
        source_class = SourceClass(data["source_class"])
        for row in rows:
            try:
                price_source_change(
                    symbol=row.symbol,
                    source_class=source_class,
                    staff_id=request.user.pk or 0,
                    reason=data["reason"],
                )
            except ServiceError as error:
                self.message_user(request, f"{row}: {error.message}.", messages.ERROR)
            else:
                change = f"takes {source_class.value} prices: {data['reason']}"
                self.log_change(request, row, change)
                self.message_user(request, f"{row} {change}.")

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


@admin.register(SwapRollover)
class SwapRolloverAdmin(ReadOnlyAdmin):
    """The nights that were charged; what each position paid stands in the ledger."""

    list_display = ("day", "instruments", "charged_at")
    ordering = ("-day",)
    fields = ("day", "instruments", "charged_at")
