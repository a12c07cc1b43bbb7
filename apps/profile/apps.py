"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig
from typing_extensions import override


class ProfileConfig(AppConfig):
    name = "apps.profile"
    label = "profile"
    verbose_name = "Trading accounts"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        # Models can be imported only once all apps are there.
        from apps.common.people import PersonPart, person_part_install
        from apps.profile.services.people import money_export, money_forget, money_obstacle

        part = PersonPart(export=money_export, obstacle=money_obstacle, forget=money_forget)
        person_part_install("money", part)
