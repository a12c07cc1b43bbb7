"""Seals what must wait in the database but may be read by nobody who only reads that: secrets of keys and of messages on their way."""

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBrokenError(Exception):
    """A sealed text is too old, was changed, or was sealed with a key that is not in the ring any more."""


def cipher() -> MultiFernet:
    """Return the key ring (settings.API_KEY_KEYS); the first key encrypts, all of them decrypt."""
    return MultiFernet([Fernet(key.strip()) for key in settings.API_KEY_KEYS.split(",")])


def seal(content: Any) -> str:
    """Return plain JSON values as a text that only this installation can read."""
    return cipher().encrypt(json.dumps(content).encode()).decode()


def unseal(text: str, *, age_s_max: int) -> Any:
    """Return what was sealed.

    Units: seconds.
    Errors: SealBrokenError, also for a text that is older than that.
    """
    try:
        return json.loads(cipher().decrypt(text.encode(), ttl=age_s_max))
    except InvalidToken as error:
        raise SealBrokenError("a sealed text cannot be read, or is too old") from error
