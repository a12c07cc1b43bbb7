"""Messages in the admin: what was sent to whom, and why something was not. Those that failed are in the outbox."""

from django.contrib import admin

from apps.common.read_only_admin import ReadOnlyAdmin
from apps.notifications.models import Delivery


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Messages, newest first."""

    list_display = ("id", "user", "event", "channel", "created_at", "sent_at", "dropped")
    list_filter = ("event", "channel", "dropped")
    list_select_related = ("user",)
    search_fields = ("=user__email", "=key")
    ordering = ("-id",)
