"""Reads of users, sign-in links, sessions and devices; nothing is changed here."""

import hashlib
from collections.abc import Iterable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final, cast

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils import timezone

from apps.auth.models import Device, LoginLink, User

Row = tuple[Any, ...]

_USER_FIELDS: Final = User._meta.concrete_fields  # noqa: SLF001 - Django's public, documented API.
# The id first.
_USER_COLUMNS: Final = ("pk", *(field.attname for field in _USER_FIELDS))


def session_store(*, session_key: str | None = None) -> SessionBase:
    """Return the session of that key, not yet read; without a key a new one."""
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return store


def session_user(*, session: SessionBase) -> User | None:
    """Return who is signed in by a session, None if it has ended or the user is not active."""
    # Django's own check: it also compares the session with the user's current secret.
    user = get_user(cast(HttpRequest, SimpleNamespace(session=session)))
    return user if isinstance(user, User) else None


def session_rows(*, session_keys: Iterable[str]) -> dict[str, Row]:
    """Return what is stored of sessions, by key; nothing is checked."""
    model = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()
    rows = model.objects.filter(session_key__in=session_keys)
    return {row[0]: row for row in rows.values_list("session_key", "session_data", "expire_date")}


def user_rows(*, user_ids: Iterable[int]) -> dict[int, Row]:
    """Return all that is stored of users, by id."""
    rows = User.objects.filter(pk__in=user_ids).values_list(*_USER_COLUMNS)
    return {row[0]: row for row in rows}


def user_row(user: User) -> Row:
    """Return the same of a user who was read."""
    return tuple(getattr(user, name) for name in _USER_COLUMNS)


def user_get(*, user_id: int) -> User | None:
    """Return a user by id."""
    return User.objects.filter(pk=user_id).first()


def user_by_email(*, email: str) -> User | None:
    """Return the user of an address."""
    return User.objects.filter(email=email.lower()).first()


def login_link_by_token(*, token_sha256: str) -> LoginLink | None:
    """Return the link with that token, dead or alive."""
    return LoginLink.objects.filter(token_sha256=token_sha256).first()


def login_link_by_nonce(*, nonce_sha256: str) -> LoginLink | None:
    """Return the newest link that a browser asked for."""
    return LoginLink.objects.filter(nonce_sha256=nonce_sha256).order_by("-id").first()


def network_is_known(*, email: str, ip: str | None) -> bool:
    """Return whether a link of this address was used from this network address lately."""
    return ip is not None and LoginLink.objects.filter(email=email, used_ip=ip).exists()


def session_digest_of(session_key: str) -> str:
    """Return what names a session without giving it away."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:32]


def devices_of_user(*, user_id: int) -> list[Device]:
    """Return the devices that are signed in, newest first."""
    alive = Device.objects.filter(user_id=user_id, ended_at=None, expires_at__gt=timezone.now())
    return list(alive.order_by("-id"))


def device_by_digest(*, user_id: int, session_digest: str) -> Device | None:
    """Return the signed-in device behind a session, None for other sessions."""
    for device in devices_of_user(user_id=user_id):
        if session_digest_of(device.session_key) == session_digest:
            return device
    return None
