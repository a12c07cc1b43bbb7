"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig
from typing_extensions import override


class TradeConfig(AppConfig):
    name = "apps.trade"
    label = "trade"
    verbose_name = "Trading"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        # Models can be imported only once all apps are there.
        from apps.common.people import PersonPart, person_part_install
        from apps.trade.services.people import trading_export, trading_obstacle

        part = PersonPart(export=trading_export, obstacle=trading_obstacle)
        person_part_install("trading", part)
