"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "apps.common"
    label = "common"
    verbose_name = "Record"
    default_auto_field = "django.db.models.BigAutoField"
