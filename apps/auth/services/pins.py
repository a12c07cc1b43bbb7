"""The PIN of a device: 4 to 6 digits that stand between a phone in foreign hands and the money.

A PIN has at most 20 bits, so everything rests on the counter: it is raised by one UPDATE before a PIN is looked at, so
parallel guesses cannot share a try. After five wrong ones nothing is evaluated for 15 minutes; after ten the PIN is gone and
the device is signed out. The counter is the device's own, so nobody can lock somebody else's.
"""

import hmac
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from apps.auth.choices import DeviceEnd
from apps.auth.models import Device
from apps.auth.services.devices import device_end
from apps.auth.services.people import sessions_end_others
from apps.common.audit import audit_begin, audit_note
from apps.common.errors import ServiceError
from apps.notifications.facade import NoticeEvent, notify

TRIES: Final = 5
TRIES_IN_ALL: Final = 10
LOCK: Final = timedelta(minutes=15)

# 1. A try passes while fewer than five were made, or, up to the tenth, once the lock is over.
# 2. The fifth sets the lock before it is evaluated; a right PIN takes it back.
_COUNT_TRY: Final = """
UPDATE accounts_device
   SET pin_attempts = pin_attempts + 1,
       pin_locked_until = CASE WHEN pin_attempts + 1 = %(tries)s THEN %(lock)s ELSE pin_locked_until END
 WHERE id = %(id)s AND ended_at IS NULL AND pin_hash <> ''
   AND (pin_attempts < %(tries)s OR (pin_attempts < %(all)s AND pin_locked_until <= %(now)s))
RETURNING *
"""


def pin_set(*, device: Device, pin: str, current_pin: str) -> None:
    """Give a device its PIN; a device that has one must show it, and its owner is signed out everywhere else.

    Errors: as pin_check; ServiceError PIN_REQUIRED if there is one and it is not shown.
    """
    is_change = bool(device.pin_hash)
    if is_change:
        pin_check(device=device, pin=current_pin)
    with transaction.atomic():
        _pin_write(device, pin)
        if is_change:
            sessions_end_others(device=device)


def _pin_write(device: Device, pin: str) -> None:
    audit_begin()
    changed = Device.objects.filter(pk=device.pk, ended_at=None, pin_hash=device.pin_hash).update(
        pin_hash=make_password(_peppered(device, pin)), pin_attempts=0, pin_locked_until=None
    )
    if not changed:
        raise ServiceError(
            "PIN_CHANGED", "the PIN was changed at the same moment: try again", http_status=409
        )
    audit_note("pin_set", actor_id=device.user_id, device=str(device.pk))


def pin_check(*, device: Device, pin: str) -> None:
    """Check the PIN of a device.

    Errors: ServiceError PIN_REQUIRED, PIN_NOT_SET, PIN_WRONG (403), PIN_LOCKED (423 with the wait).
    """
    if not device.pin_hash:
        raise ServiceError(
            "PIN_NOT_SET", "this device has no PIN yet: set one first", http_status=403
        )
    if not pin:
        raise ServiceError("PIN_REQUIRED", "expected the PIN of this device", http_status=403)
    now = timezone.now()
    arguments = {
        "id": device.pk,
        "tries": TRIES,
        "all": TRIES_IN_ALL,
        "now": now,
        "lock": now + LOCK,
    }
    counted = next(iter(Device.objects.raw(_COUNT_TRY, arguments)), None)
    if counted is None:
        raise _locked(device)
    if check_password(_peppered(counted, pin), counted.pin_hash):
        # Only if nobody has set another one meanwhile.
        Device.objects.filter(pk=device.pk, pin_hash=counted.pin_hash).update(
            pin_attempts=0, pin_locked_until=None
        )
        return
    _wrong(counted)


def _wrong(device: Device) -> None:
    with transaction.atomic():
        audit_note(
            "pin_wrong",
            actor_id=device.user_id,
            device=str(device.pk),
            tries=str(device.pin_attempts),
        )
        if device.pin_attempts == TRIES:
            _tell(device, gettext_noop("for 15 minutes"), f"{device.pin_locked_until}")
        # Of tries that came in at once, the first to end the device tells it.
        if device.pin_attempts >= TRIES_IN_ALL and device_end(device=device, reason=DeviceEnd.PIN):
            _tell(device, gettext_noop("for good, and the device is signed out"), "ended")
    if device.pin_attempts == TRIES or device.pin_attempts >= TRIES_IN_ALL:
        raise _locked(device)
    left = (TRIES if device.pin_attempts < TRIES else TRIES_IN_ALL) - device.pin_attempts
    raise ServiceError(
        "PIN_WRONG",
        f"this is not the PIN of this device: {left} tries are left",
        http_status=403,
        data={"triesLeft": left},
    )


def _tell(device: Device, until: str, moment: str) -> None:
    facts = {"device": device.name or "?", "until": until}
    notify(device.user_id, NoticeEvent.PIN_LOCKED, facts, f"pin-locked:{device.pk}:{moment}")


def _locked(device: Device) -> ServiceError:
    device.refresh_from_db()
    if device.ended_at is not None or device.pin_locked_until is None:
        return ServiceError(
            "PIN_LOCKED",
            "too many wrong PINs: this device is signed out; sign in again by mail",
            http_status=423,
        )
    wait_s = max(1, int((device.pin_locked_until - timezone.now()).total_seconds()) + 1)
    return ServiceError(
        "PIN_LOCKED",
        f"{TRIES} wrong PINs were tried: wait {wait_s} seconds",
        http_status=423,
        data={"retryAfterSeconds": wait_s},
        retry_after_s=wait_s,
    )


def _peppered(device: Device, pin: str) -> str:
    """Return what is hashed: without the server's key the table alone tells no PIN, however few there are."""
    return hmac.new(
        settings.PIN_PEPPER.encode(), f"{device.pk}:{pin}".encode(), "sha256"
    ).hexdigest()
