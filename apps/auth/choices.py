"""Words with a fixed meaning in this app; they are stored, so they never change their spelling."""

from django.db import models


class LinkOrigin(models.TextChoices):
    """Who asked for a sign-in link; it decides what else must be shown to use it."""

    # A browser asked: the link works in that browser, elsewhere only with the code of the mail.
    BROWSER = "browser", "Browser"
    # A program without cookies asked: JSON clients use the link alone, pages ask for the code.
    CLIENT = "client", "API client"
    # The operator's console printed it: works alone, but only from this very machine.
    CONSOLE = "console", "Console"


class DeviceEnd(models.TextChoices):
    """Why a device is signed out."""

    OWNER = "owner", "Signed out by its owner"
    REUSE = "reuse", "A used refresh token was shown again"
    PIN = "pin", "Too many wrong PINs"
    ELSEWHERE = "elsewhere", "Signed out everywhere"


class KeyAlgorithm(models.TextChoices):
    """How the requests of an API key are signed."""

    ED25519 = "ed25519", "Ed25519"
    HMAC = "hmac", "HMAC-SHA256"
