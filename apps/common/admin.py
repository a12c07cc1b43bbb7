"""The outbox in the admin: what waits, what was carried out, and why something was not."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from apps.common.models import AuditEntry, OutboxEffect
from apps.common.outbox import outbox_try_again
from apps.common.read_only_admin import ReadOnlyAdmin, time_column


class FateFilter(admin.SimpleListFilter):
    """Effects by what became of them; those given up are the dead letters."""

    title = "fate"
    parameter_name = "fate"

    @override
    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
    ) -> tuple[tuple[str, str], ...]:
        return (
            ("given-up", "given up"),
            ("failing", "failing"),
            ("waiting", "waiting"),
            ("done", "done"),
        )

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        waiting = {"done_at__isnull": True, "given_up_at__isnull": True}
        by_fate: dict[str | None, dict[str, Any]] = {
            "given-up": {"given_up_at__isnull": False},
            "failing": {**waiting, "failures__gt": 0},
            "waiting": waiting,
            "done": {"done_at__isnull": False},
        }
        return queryset.filter(**by_fate.get(self.value(), {}))


@admin.register(OutboxEffect)
class OutboxEffectAdmin(ReadOnlyAdmin):
    """Effects on their way, newest first; payloads hold addresses, so lists do not show them."""

    list_display = (
        "id",
        "key",
        "task",
        "created_at",
        "due_at",
        "failures",
        "last_error",
        "done_at",
        "given_up_at",
    )
    list_filter = (FateFilter,)
    search_fields = ("=key",)
    ordering = ("-id",)
    actions = ("try_again",)

    @admin.action(description="Try again what was given up", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[OutboxEffect]) -> None:
        """Hand dead letters to the worker once more; whoever asks has looked whether they left after all."""
        count = outbox_try_again(queryset.values_list("pk", flat=True))
        self.message_user(request, f"{count} effects are tried again.", messages.SUCCESS)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, newest first; `manage.py verify_audit` proves that nothing was changed."""

    list_display = ("n", time_column("at_us", title="time"), "event", "actor_id", "ip", "facts")
    list_filter = ("event",)
    search_fields = ("=actor_id", "=ip")
    ordering = ("-n",)
