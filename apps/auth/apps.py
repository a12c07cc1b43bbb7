"""Django's entry for this app; nothing is started here, since every management command runs it."""

from django.apps import AppConfig


class AuthConfig(AppConfig):
    name = "apps.auth"
    label = "accounts"
    verbose_name = "People"
    default_auto_field = "django.db.models.BigAutoField"
