"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    label = "notifications"
    verbose_name = "Messages"
    default_auto_field = "django.db.models.BigAutoField"
