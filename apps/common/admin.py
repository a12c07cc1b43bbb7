"""The outbox in the admin: what waits, what was carried out, and why something was not."""

from django.contrib import admin

from apps.common.models import OutboxEffect
from apps.common.read_only_admin import ReadOnlyAdmin


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
        "done_at",
        "given_up_at",
    )
    search_fields = ("=key",)
    ordering = ("-id",)
