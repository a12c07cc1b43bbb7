"""Trading accounts and the cash commands on their way to the engine, to look at."""

from django.contrib import admin

from apps.common.read_only_admin import ReadOnlyAdmin, exact_column
from apps.profile.models import CashOutbox, TradingAccount

_AMOUNT = exact_column("amount_micros", title="amount, USD")


@admin.register(TradingAccount)
class TradingAccountAdmin(ReadOnlyAdmin):
    """Whose account it is and on which terms; its money is among the balances."""

    list_display = ("id", "user", "kind", "group", "is_default", "is_open", "created_at")
    list_filter = ("kind", "group", "is_open")
    list_select_related = ("user",)
    search_fields = ("=id", "user__email")
    search_help_text = "An account, or the address of its owner"
    ordering = ("-id",)


@admin.register(CashOutbox)
class CashOutboxAdmin(ReadOnlyAdmin):
    """Cash commands on their way to the engine; a row without an answer is sent again."""

    list_display = ("id", "account", "cash_seq", "kind", _AMOUNT, "created_at", "answered_at")
    list_filter = ("kind", "created_at", "answered_at")
    list_select_related = ("account",)
    search_fields = ("=account__id",)
    ordering = ("-id",)
    readonly_fields = (_AMOUNT,)
    fields = ("account", "cash_seq", "request", "kind", _AMOUNT, "created_at", "answered_at")
