"""Devices: clients without cookies. Each has a server session, which its access tokens name and which ends them."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.auth import selectors
from apps.auth.choices import DeviceEnd
from apps.auth.models import Device, User
from apps.auth.services.revocations import sessions_forget
from apps.common.audit import audit_begin, audit_note
from apps.common.errors import ServiceError

_NAME_CHARACTERS_MAX = 120


def device_end_of_life() -> datetime:
    """Return when a device that signs in now has to sign in again."""
    return timezone.now() + timedelta(seconds=settings.DEVICE_SESSION_SECONDS)


def device_add(
    *, user: User, session_key: str, name: str, ip: str | None, expires_at: datetime
) -> Device:
    """Write a device down under the session that was opened for it."""
    printable = "".join(sign for sign in name if sign.isprintable())
    return Device.objects.create(
        user=user,
        session_key=session_key,
        name=printable[:_NAME_CHARACTERS_MAX],
        ip=ip,
        expires_at=expires_at,
    )


def device_current(*, session_digest: str, user_id: int) -> Device:
    """Return the device that a request comes from.

    Errors: ServiceError DEVICE_REQUIRED (403) if it does not come from one.
    """
    device = selectors.device_by_digest(user_id=user_id, session_digest=session_digest)
    if device is None:
        raise ServiceError(
            "DEVICE_REQUIRED",
            "expected the access token of a device: get one with GET /auth/mobile/session-token",
            http_status=403,
        )
    return device


def device_revoke(*, user_id: int, device_id: int) -> None:
    """Sign a user's device out.

    Errors: ServiceError DEVICE_UNKNOWN (404), the same for foreign and for absent devices.
    """
    device = Device.objects.filter(pk=device_id, user_id=user_id).first()
    if device is None:
        raise ServiceError(
            "DEVICE_UNKNOWN", f"there is no device {device_id} of yours", http_status=404
        )
    device_end(device=device, reason=DeviceEnd.OWNER)


@transaction.atomic
def device_end(*, device: Device, reason: DeviceEnd) -> bool:
    """Sign a device out: its session, its access tokens and its refresh tokens; return whether it was signed in."""
    audit_begin()
    ended = Device.objects.filter(pk=device.pk, ended_at=None).update(
        ended_at=timezone.now(), end_reason=reason, pin_hash=""
    )
    selectors.session_store().delete(device.session_key)
    sessions_forget(user_id=device.user_id)
    if ended:
        audit_note("device_ended", actor_id=device.user_id, device=str(device.pk), why=reason.value)
    return bool(ended)
