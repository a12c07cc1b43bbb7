"""Ledger and read models in the admin: what the projector wrote, and nobody else may change.

The journal itself is bytes under a hash chain; `manage.py` reads it, a page could only show it wrongly.
"""

from typing import Any, Protocol

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from apps.common.read_only_admin import ReadOnlyAdmin, exact_column, time_column, value_filter
from apps.market.facade import instruments_by_symbol
from apps.trade.models import Account, ClosedTrade, Fill, LedgerEntry, Order, Position
from engine.values import AccountKind, AccountStatus, CloseReason, Direction, OrderType, Side


class _OfSymbol(Protocol):
    symbol: str


def _price_decimals(row: _OfSymbol) -> int | None:
    instrument = instruments_by_symbol().get(row.symbol)
    return None if instrument is None else instrument.price_decimals


def _quantity_decimals(row: _OfSymbol) -> int | None:
    instrument = instruments_by_symbol().get(row.symbol)
    return None if instrument is None else instrument.quantity_decimals


_BALANCE = exact_column("balance_micros", title="balance, USD")
_AMOUNT = exact_column("amount_micros", title="amount, USD")
_MARGIN = exact_column("margin_micros", title="margin, USD")
_COMMISSION = exact_column("commission_micros", title="commission, USD")
_PNL = exact_column("pnl_micros", title="P&L, USD")
_SWAP = exact_column("swap_micros", title="swap, USD")
_INSURED = exact_column("insured_micros", title="paid by the insurance, USD")
_QUANTITY = exact_column("quantity_units", title="quantity", decimals=_quantity_decimals)
_OPEN = exact_column("open_units", title="open", decimals=_quantity_decimals)
_PRICE = exact_column("price_ticks", title="price", decimals=_price_decimals)
_STOP_PRICE = exact_column("stop_price_ticks", title="stop price", decimals=_price_decimals)
_ENTRY_PRICE = exact_column("entry_price_ticks", title="entry price", decimals=_price_decimals)
_CLOSE_PRICE = exact_column("close_price_ticks", title="closing price", decimals=_price_decimals)
_STOP_LOSS = exact_column("stop_loss_ticks", title="stop loss", decimals=_price_decimals)
_TAKE_PROFIT = exact_column("take_profit_ticks", title="take profit", decimals=_price_decimals)
_TRAILING = exact_column("trailing_ticks", title="trailing distance", decimals=_price_decimals)
_LIQUIDATION = exact_column(
    "liquidation_ticks", title="liquidation price", decimals=_price_decimals
)
_OPENED = time_column("opened_at_us", title="opened")
_CLOSED = time_column("closed_at_us", title="closed")
_PLACED = time_column("placed_at_us", title="placed")
_EXPIRES = time_column("expires_at_us", title="expires")
_AT = time_column("at_us", title="at")


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Trading accounts with their money, as their events left them."""

    list_display = ("account", "owner_id", "kind", "group", "status", _BALANCE, "seq", _OPENED)
    list_filter = (
        value_filter("kind", AccountKind, title="kind"),
        value_filter("status", AccountStatus, title="status"),
        "is_margin_call",
        "is_stop_out_pending",
    )
    search_fields = ("=account", "=owner_id")
    ordering = ("-account",)
    readonly_fields = (_BALANCE, _OPENED)
    fields = (
        "account",
        "owner_id",
        "kind",
        "group",
        "status",
        "margin_mode",
        "leverage_cap",
        _BALANCE,
        "seq",
        "cash_seq",
        "is_margin_call",
        "is_stop_out_pending",
        _OPENED,
    )


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Orders and what became of them."""

    list_display = (
        "order_id",
        "account",
        "symbol",
        "side",
        "order_type",
        _QUANTITY,
        "leverage",
        _PRICE,
        "state",
        "end_reason",
        _PLACED,
    )
    list_filter = (
        "state",
        value_filter("order_type", OrderType, title="type"),
        value_filter("side", Side, title="side"),
    )
    search_fields = ("=order_id", "=account", "=symbol")
    readonly_fields = (
        _QUANTITY,
        _PRICE,
        _STOP_PRICE,
        _STOP_LOSS,
        _TAKE_PROFIT,
        _TRAILING,
        _EXPIRES,
        _PLACED,
    )
    fields = (
        "order_id",
        "account",
        "symbol",
        "side",
        "order_type",
        _QUANTITY,
        "leverage",
        "margin_mode",
        _PRICE,
        _STOP_PRICE,
        "is_activated",
        "time_in_force",
        _EXPIRES,
        _STOP_LOSS,
        _TAKE_PROFIT,
        _TRAILING,
        "state",
        "end_reason",
        _PLACED,
    )


class PositionStateFilter(admin.SimpleListFilter):
    """Open or closed, which the row says by its time of closing."""

    title = "state"
    parameter_name = "state"

    @override
    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
    ) -> tuple[tuple[str, str], ...]:
        return (("open", "Open"), ("closed", "Closed"))

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Position]) -> QuerySet[Position]:
        if self.value() is None:
            return queryset
        return queryset.filter(closed_at_us__isnull=self.value() == "open")


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin):
    """Positions, open and closed."""

    list_display = (
        "position_id",
        "account",
        "symbol",
        "direction",
        _OPEN,
        _ENTRY_PRICE,
        "leverage",
        _MARGIN,
        _PNL,
        _OPENED,
        _CLOSED,
    )
    list_filter = (
        PositionStateFilter,
        value_filter("direction", Direction, title="direction"),
    )
    search_fields = ("=position_id", "=account", "=symbol")
    readonly_fields = (
        _QUANTITY,
        _OPEN,
        _ENTRY_PRICE,
        _MARGIN,
        _COMMISSION,
        _PNL,
        _SWAP,
        _STOP_LOSS,
        _TAKE_PROFIT,
        _TRAILING,
        _LIQUIDATION,
        _OPENED,
        _CLOSED,
    )
    fields = (
        "position_id",
        "account",
        "symbol",
        "direction",
        _QUANTITY,
        _OPEN,
        _ENTRY_PRICE,
        "leverage",
        "margin_mode",
        _MARGIN,
        _COMMISSION,
        _PNL,
        _SWAP,
        _STOP_LOSS,
        _TAKE_PROFIT,
        _TRAILING,
        _LIQUIDATION,
        _OPENED,
        _CLOSED,
    )


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin):
    """Executions, opening and closing."""

    list_display = (
        "fill_id",
        "account",
        "symbol",
        "side",
        "is_closing",
        _QUANTITY,
        _PRICE,
        _COMMISSION,
        _AT,
    )
    list_filter = ("is_closing", value_filter("side", Side, title="side"))
    search_fields = ("=fill_id", "=position_id", "=account", "=symbol")
    readonly_fields = (_QUANTITY, _PRICE, _COMMISSION, _AT)
    fields = (
        "fill_id",
        "account",
        "position_id",
        "symbol",
        "side",
        "is_closing",
        _QUANTITY,
        _PRICE,
        _COMMISSION,
        _AT,
        "shard",
        "n",
    )


@admin.register(ClosedTrade)
class ClosedTradeAdmin(ReadOnlyAdmin):
    """What each closing brought."""

    list_display = (
        "fill_id",
        "account",
        "symbol",
        "direction",
        _QUANTITY,
        _ENTRY_PRICE,
        _CLOSE_PRICE,
        _PNL,
        _COMMISSION,
        "close_reason",
        _CLOSED,
    )
    list_filter = (
        value_filter("close_reason", CloseReason, title="reason"),
        value_filter("direction", Direction, title="direction"),
    )
    search_fields = ("=fill_id", "=position_id", "=account", "=symbol")
    ordering = ("-closed_at_us", "-seq", "fill_id")
    readonly_fields = (
        _QUANTITY,
        _ENTRY_PRICE,
        _CLOSE_PRICE,
        _PNL,
        _COMMISSION,
        _INSURED,
        _OPENED,
        _CLOSED,
    )
    fields = (
        "fill_id",
        "account",
        "position_id",
        "symbol",
        "direction",
        _QUANTITY,
        _ENTRY_PRICE,
        _CLOSE_PRICE,
        _PNL,
        _COMMISSION,
        _INSURED,
        "close_reason",
        _OPENED,
        _CLOSED,
        "seq",
    )


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    """Debits and credits; those of one event sum to zero."""

    list_display = ("id", "ledger", _AMOUNT, "kind", "account", "shard", "n", "event_index")
    search_fields = ("=ledger", "=account", "=kind", "=n")
    ordering = ("-id",)
    readonly_fields = (_AMOUNT,)
    fields = (
        "ledger",
        _AMOUNT,
        "kind",
        "account",
        "layout",
        "shard",
        "n",
        "event_index",
        "posting_index",
    )
