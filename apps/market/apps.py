"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig


class MarketConfig(AppConfig):
    name = "apps.market"
    label = "market"
    verbose_name = "Market"
    default_auto_field = "django.db.models.BigAutoField"
