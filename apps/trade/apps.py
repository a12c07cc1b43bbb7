"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig


class TradeConfig(AppConfig):
    name = "apps.trade"
    label = "trade"
    verbose_name = "Trading"
    default_auto_field = "django.db.models.BigAutoField"
