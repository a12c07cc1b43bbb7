"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig
from typing_extensions import override


class AuthConfig(AppConfig):
    name = "apps.auth"
    label = "accounts"
    verbose_name = "People"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        # Views can be imported only once all apps are there.
        from apps.auth.services.people import person_own_export, person_own_forget
        from apps.auth.views.step_up import STEP_UP
        from apps.common.people import PersonPart, person_part_install
        from apps.common.step_up import step_up_install

        step_up_install(STEP_UP)
        part = PersonPart(export=person_own_export, forget=person_own_forget)
        person_part_install("person", part)
