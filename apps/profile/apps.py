"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig


class ProfileConfig(AppConfig):
    name = "apps.profile"
    label = "profile"
    verbose_name = "Trading accounts"
    default_auto_field = "django.db.models.BigAutoField"
