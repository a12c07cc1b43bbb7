"""Refresh tokens: each is used once and makes the next; one that is shown again ends the whole family.

    use of the live token       it is marked by one UPDATE, and its successor is written in the same transaction
    again within ten seconds    the same successor: the answer was lost, or a client asked twice at once
    again later                 somebody has a copy: the device is signed out and its owner is told

A successor is derived from the token, a random salt and a key of the server, so the same one can be given again although
only digests are stored.
"""

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from allauth.headless import app_settings
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.auth import selectors
from apps.auth.choices import DeviceEnd
from apps.auth.models import Device, RefreshToken, User
from apps.auth.services.devices import device_end
from apps.auth.services.link_secrets import sha256_hex, token_new
from apps.auth.services.users import UserInfo, user_info
from apps.common.audit import audit_note
from apps.common.errors import ServiceError
from apps.notifications.facade import NoticeEvent, notify

GRACE: Final = timedelta(seconds=10)

_USE: Final = """
UPDATE accounts_refresh_token SET used_at = %(now)s
 WHERE token_sha256 = %(digest)s AND used_at IS NULL AND expires_at > %(now)s
   AND EXISTS (SELECT 1 FROM accounts_device WHERE id = device_id AND ended_at IS NULL)
RETURNING *
"""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client without cookies holds."""

    access_token: str
    # When the access token ends, UTC.
    expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime
    user: UserInfo


def pair_first(*, device: Device, user: User) -> TokenPair:
    """Return the first pair of a device that has just signed in."""
    token = token_new()
    return _pair(device=device, user=user, token=token, expires_at=_write(device, token))


def pair_next(*, refresh_token: str, ip: str | None = None) -> TokenPair:
    """Use a refresh token and return the next pair; ``ip`` is the network address that shows it.

    Errors: ServiceError REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED (both 401).
    """
    digest = sha256_hex(refresh_token)
    with transaction.atomic():
        used = next(iter(RefreshToken.objects.raw(_USE, _arguments(digest))), None)
        if used is not None:
            device, user = _alive(used)
            token = _successor(refresh_token, used.salt)
            Device.objects.filter(pk=device.pk).update(seen_at=timezone.now())
            return _pair(device=device, user=user, token=token, expires_at=_write(device, token))
    return _pair_again(refresh_token, digest, ip)


def _pair_again(refresh_token: str, digest: str, ip: str | None) -> TokenPair:
    known = RefreshToken.objects.select_related("device").filter(token_sha256=digest).first()
    if known is None or known.used_at is None or known.device.ended_at is not None:
        raise _invalid()
    if timezone.now() - known.used_at > GRACE:
        _theft(known.device, ip)
        raise ServiceError(
            "REFRESH_TOKEN_REUSED",
            "this refresh token was used before, so somebody may have a copy: the device is signed out; sign in again",
            http_status=401,
        )
    device, user = _alive(known)
    token = _successor(refresh_token, known.salt)
    successor = RefreshToken.objects.filter(token_sha256=sha256_hex(token)).first()
    if successor is None:
        raise _invalid()
    return _pair(device=device, user=user, token=token, expires_at=successor.expires_at)


@transaction.atomic
def _theft(device: Device, ip: str | None) -> None:
    if device_end(device=device, reason=DeviceEnd.REUSE):
        audit_note("token_reused", actor_id=device.user_id, ip=ip, device=str(device.pk))
        facts = {"device": device.name or "?", "ip": ip or "?"}
        notify(device.user_id, NoticeEvent.TOKEN_REUSED, facts, f"refresh-reused:{device.pk}")


def _arguments(digest: str) -> dict[str, object]:
    return {"digest": digest, "now": timezone.now()}


def _alive(token: RefreshToken) -> tuple[Device, User]:
    """Return the device and the user behind a token, if the session that both need still lives."""
    device = token.device
    user = selectors.session_user(session=selectors.session_store(session_key=device.session_key))
    if user is None or user.pk != device.user_id or device.expires_at <= timezone.now():
        raise _invalid()
    return device, user


def _invalid() -> ServiceError:
    return ServiceError(
        "REFRESH_TOKEN_INVALID",
        "this refresh token is wrong, or its device is signed out: sign in again",
        http_status=401,
    )


def _successor(token: str, salt: str) -> str:
    mac = hmac.digest(settings.REFRESH_TOKEN_KEY.encode(), f"{salt}:{token}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def _write(device: Device, token: str) -> datetime:
    now = timezone.now()
    expires_at = min(now + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS), device.expires_at)
    RefreshToken.objects.create(
        device=device,
        token_sha256=sha256_hex(token),
        salt=token_new(),
        created_at=now,
        expires_at=expires_at,
    )
    return expires_at


def _pair(*, device: Device, user: User, token: str, expires_at: datetime) -> TokenPair:
    access_token, access_expires_at = app_settings.TOKEN_STRATEGY.access_token_for(
        user, selectors.session_store(session_key=device.session_key)
    )
    return TokenPair(
        access_token=access_token,
        expires_at=access_expires_at,
        refresh_token=token,
        refresh_expires_at=expires_at,
        user=user_info(user),
    )
