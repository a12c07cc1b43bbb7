"""Instruments in the admin, to look at: the engine trades by its own copy, which changes by commands only.

Two such commands are sent from here: which class of prices an instrument takes, and, by two people, whether it is traded at all.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from typing_extensions import override
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.common.errors import ServiceError
from apps.common.read_only_admin import ReadOnlyAdmin, exact_column
from apps.market import kill_switch
from apps.market.choices import Mode, ModeChangeState
from apps.market.models import Instrument, ModeChange, SwapRollover
from apps.market.services import price_source_change
from engine.values import SourceClass, TradingMode


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
        label="Class of prices",
        choices=[(one.value, one.value) for one in SourceClass],
        widget=UnfoldAdminSelectWidget,
    )
    reason = forms.CharField(min_length=10, max_length=200, widget=UnfoldAdminTextInputWidget)
    confirmation = forms.CharField(label="Confirm", widget=UnfoldAdminTextInputWidget)

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

    rights = ("market.set_price_source",)
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


class ModeChangeForm(forms.Form):
    """What is to be opened, limited or halted, and why."""

    symbol = forms.ChoiceField(label="Instrument", required=False, widget=UnfoldAdminSelectWidget)
    trading_mode = forms.ChoiceField(
        label="Trading mode",
        choices=Mode.choices,
        initial=Mode.HALTED,
        widget=UnfoldAdminSelectWidget,
    )
    reason = forms.CharField(min_length=10, max_length=200, widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer the instruments that there are, all of them first."""
        super().__init__(*args, **kwargs)
        symbols = Instrument.objects.order_by("symbol").values_list("symbol", flat=True)
        self.fields["symbol"].choices = [  # type: ignore[attr-defined] # a ChoiceField, see above.
            ("", "All instruments"),
            *((symbol, symbol) for symbol in symbols),
        ]


@admin.register(ModeChange)
class ModeChangeAdmin(ReadOnlyAdmin):
    """The kill switch: who asked for a trading mode, who confirmed it, and what the engine said."""

    list_display = (
        "id",
        "target",
        "trading_mode",
        "fate",
        "reason",
        "asked_by",
        "asked_at",
        "confirmed_by",
        "confirmed_at",
    )
    list_filter = ("state", "trading_mode", "asked_at")
    list_select_related = ("asked_by", "confirmed_by")
    search_fields = ("symbol", "reason")
    ordering = ("-id",)
    rights = ("market.decide_modechange",)
    actions = ("confirm", "withdraw")
    actions_list = ("ask",)
    instead = (
        "A trading mode is asked for by one person and confirmed by another.",
        "admin:market_modechange_ask",
        "Ask for a trading mode",
    )

    @display(description="instrument", ordering="symbol")
    def target(self, change: ModeChange) -> str:
        return change.symbol or "all instruments"

    @display(
        description="state",
        label={
            "waits for a second person": "warning",
            "on its way": "info",
            "in force": "success",
            "refused by the engine": "danger",
        },
    )
    def fate(self, change: ModeChange) -> str:
        if change.state == ModeChangeState.WAITING and kill_switch.is_too_old(change):
            return "too old"
        return change.get_state_display()

    waiting_title = "Trading modes that wait for a second person"
    waiting_query = "state__exact=waiting"

    @override
    def waiting(self) -> QuerySet[ModeChange]:
        since = timezone.now() - kill_switch.WAITS
        return ModeChange.objects.filter(state=ModeChangeState.WAITING, asked_at__gte=since)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether this member of the staff may open and halt trading."""
        return request.user.has_perm("market.decide_modechange")

    @action(description="Ask for a trading mode", url_path="ask", permissions=["decide"])
    def ask(self, request: HttpRequest) -> HttpResponse:
        """Write down what one person wants; another one confirms it in the list."""
        form = ModeChangeForm(request.POST or None)
        if form.is_valid():
            data = form.cleaned_data
            change = kill_switch.mode_change_ask(
                kill_switch.ModeWish(
                    symbol=data["symbol"] or None,
                    trading_mode=TradingMode(data["trading_mode"]),
                    reason=data["reason"],
                    staff_id=request.user.pk or 0,
                )
            )
            self.message_user(request, f"{change} waits for a second person.", messages.WARNING)
            return redirect("admin:market_modechange_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": "Ask for a trading mode",
            "form": form,
            "opts": self.model._meta,  # noqa: SLF001 - Django's own public name for it.
        }
        return TemplateResponse(request, "admin/market/mode_change.html", context)

    @admin.action(description="Confirm (second person)", permissions=["decide"])
    def confirm(self, request: HttpRequest, queryset: QuerySet[ModeChange]) -> None:
        self._each(request, queryset, kill_switch.mode_change_confirm)

    @admin.action(description="Withdraw", permissions=["decide"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[ModeChange]) -> None:
        self._each(request, queryset, kill_switch.mode_change_withdraw)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[ModeChange],
        step: Callable[..., ModeChange],
    ) -> None:
        for row in queryset.order_by("id"):
            try:
                done = step(change_id=row.pk, staff_id=request.user.pk)
            except ServiceError as error:
                self.message_user(request, f"{row}: {error.message}.", messages.ERROR)
            else:
                self.log_change(request, done, f"{step.__name__}: now {done.state}")
                is_bad = done.state == ModeChangeState.REFUSED
                text = f"{row}: {done.get_state_display()}{f' ({done.code})' if is_bad else ''}."
                self.message_user(request, text, messages.ERROR if is_bad else messages.SUCCESS)
