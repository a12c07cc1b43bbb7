"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig
from typing_extensions import override


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    label = "notifications"
    verbose_name = "Messages"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        # Models can be imported only once all apps are there.
        from apps.common.people import PersonPart, person_part_install
        from apps.notifications.services.people import messages_export, messages_forget

        person_part_install("messages", PersonPart(export=messages_export, forget=messages_forget))
