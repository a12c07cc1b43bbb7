"""Makes the composition root an app, so that its management commands are found."""

from django.apps import AppConfig


class CryptoCfdConfig(AppConfig):
    name = "cryptocfd"
    label = "cryptocfd"
    verbose_name = "CryptoCFD"
