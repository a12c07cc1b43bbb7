"""Changes of a person: the name, the address, and the end of the account."""

import secrets
from typing import Any
from urllib.parse import urlencode

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse

from apps.auth import selectors
from apps.auth.choices import DeviceEnd
from apps.auth.models import ApiKey, Device, EmailChange, KnownClient, LoginLink, User
from apps.auth.services.devices import device_end
from apps.auth.services.users import address_verified, user_sign_out_everywhere
from apps.common.audit import audit_begin, audit_note
from apps.common.errors import ServiceError
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_add
from apps.common.people import person_forget, person_obstacles
from apps.notifications.facade import (
    NoticeEvent,
    language_of,
    letter_write,
    mail_task,
    notify,
)

# Where nobody's mail goes (RFC 2606).
_DELETED_DOMAIN = "deleted.invalid"
_CHANGE_SALT = "cryptocfd.email-change"
CHANGE_SECONDS = 1800


def user_rename(*, user: User, name: str) -> None:
    """Change what the screen calls a person."""
    user.name = name.strip()
    user.save(update_fields=["name"])


def email_change_ask(*, user: User, new_email: str) -> None:
    """Mail a link to the new address; nothing changes before it is used, in a session of the same person.

    Whether the address is somebody else's is not told here.
    """
    token = signing.dumps(
        {"user": user.pk, "old": user.email, "new": new_email.strip().lower()}, salt=_CHANGE_SALT
    )
    name = f"{_change_prefix(user.pk)}{secrets.token_hex(12)}"
    outbox_add(email_change_send, key=name, name=name, token=token, language=language_of(user.pk))


def _change_prefix(user_id: int) -> str:
    return f"email-change-{user_id}-"


@mail_task
def email_change_send(*, name: str, token: str, language: str) -> None:
    """Send the link that proves a new address, unless it has ended meanwhile."""
    try:
        wish = signing.loads(token, salt=_CHANGE_SALT, max_age=CHANGE_SECONDS)
    except signing.BadSignature:
        return
    # The host comes from the settings: a forged Host header must not lead the link elsewhere.
    url = f"{settings.PUBLIC_URL}{reverse('settings-email')}?{urlencode({'token': token})}"
    letter_write(
        template="auth/mail/email_change",
        context={"url": url, "new": wish["new"], "minutes": CHANGE_SECONDS // 60},
        to=wish["new"],
        name=name,
        language=language,
    )


@transaction.atomic
def email_change_confirm(*, user: User, token: str, ip: str | None) -> None:
    """Put the proved address on a person, keep the former one, tell both, and end every session.

    Errors: ServiceError EMAIL_CHANGE_INVALID (400), EMAIL_TAKEN (409).
    """
    try:
        wish = signing.loads(token, salt=_CHANGE_SALT, max_age=CHANGE_SECONDS)
    except signing.BadSignature as error:
        raise _link_invalid() from error
    if (wish["user"], wish["old"]) != (user.pk, user.email):
        raise _link_invalid()
    audit_begin()
    old, new = user.email, wish["new"]
    try:
        with transaction.atomic():
            user.email = new
            user.save(update_fields=["email"])
    except IntegrityError as error:
        user.email = old
        raise ServiceError(
            "EMAIL_TAKEN", "another account has this address already", http_status=409
        ) from error
    EmailAddress.objects.filter(user=user).delete()
    address_verified(user=user)
    change = EmailChange.objects.create(user=user, old_email=old, new_email=new, ip=ip)
    sessions_end_all(user=user)
    # By its number: the addresses are in that row, which can be forgotten.
    audit_note("email_changed", actor_id=user.pk, ip=ip, change=str(change.pk))
    facts = {"old": old, "new": new}
    notify(
        user.pk, NoticeEvent.EMAIL_CHANGED, facts, f"email-changed:{change.pk}", also_mail_to=old
    )


def _link_invalid() -> ServiceError:
    return ServiceError(
        "EMAIL_CHANGE_INVALID",
        "this link is not for your account, was used already, or has ended: ask for a new one",
        http_status=400,
    )


@transaction.atomic
def sessions_end_all(*, user: User) -> None:
    """End every browser and every device of a person, in the caller's transaction or one of its own."""
    audit_begin()
    for device in Device.objects.filter(user=user, ended_at=None):
        device_end(device=device, reason=DeviceEnd.OWNER)
    user_sign_out_everywhere(user=user)
    UserSession.objects.filter(user=user).delete()


@transaction.atomic
def sessions_end_others(*, device: Device) -> None:
    """End every browser and every device of a person but this one, which goes on."""
    audit_begin()
    user = device.user
    for other in Device.objects.filter(user=user, ended_at=None).exclude(pk=device.pk):
        device_end(device=other, reason=DeviceEnd.ELSEWHERE)
    user_sign_out_everywhere(user=user)
    kept = selectors.session_store(session_key=device.session_key)
    kept[HASH_SESSION_KEY] = user.get_session_auth_hash()
    kept.save()
    UserSession.objects.filter(user=user).exclude(session_key=device.session_key).delete()


@transaction.atomic
def person_delete(*, user: User) -> None:
    """Close a person's account: who it was is forgotten, what was traded and paid stays under a number.

    Errors: ServiceError ACCOUNT_IN_USE (409) with the reasons.
    """
    audit_begin()
    obstacles = person_obstacles(user.pk)
    if obstacles:
        raise ServiceError("ACCOUNT_IN_USE", "; ".join(obstacles), http_status=409)
    sessions_end_all(user=user)
    person_forget(user.pk)
    audit_note("person_deleted", actor_id=user.pk)
    user.is_active = user.is_staff = user.is_superuser = False
    user.email, user.name = f"deleted-{user.pk}@{_DELETED_DOMAIN}", ""
    user.save(update_fields=["is_active", "is_staff", "is_superuser", "email", "name"])


def person_own_forget(user_id: int) -> None:
    """Forget what this app knows about a person, but for the row that other tables point to."""
    emails = list(User.objects.filter(pk=user_id).values_list("email", flat=True))
    LoginLink.objects.filter(email__in=emails).delete()
    LoginLink.objects.filter(user_id=user_id).delete()
    # Their payloads name the new address.
    OutboxEffect.objects.filter(key__startswith=_change_prefix(user_id)).delete()
    for model in (EmailAddress, Authenticator, KnownClient, EmailChange, ApiKey, Device):
        model._default_manager.filter(user_id=user_id).delete()  # noqa: SLF001 - the documented way for any model.


def person_own_export(user_id: int) -> dict[str, Any]:
    """Return what this app stores about a person; no secrets, which would only be a danger in a file."""
    user = User.objects.get(pk=user_id)
    return {
        "email": user.email,
        "name": user.name,
        "joinedAt": user.joined_at.isoformat(),
        "formerEmails": _rows(EmailChange, user_id, "old_email", "new_email", "ip", "changed_at"),
        "signIns": _rows(LoginLink, user_id, "created_at", "used_at", "asked_ip", "used_ip"),
        "sessions": _rows(UserSession, user_id, "created_at", "last_seen_at", "ip", "user_agent"),
        "devices": _rows(Device, user_id, "name", "ip", "created_at", "seen_at", "ended_at"),
        "apiKeys": _rows(ApiKey, user_id, "name", "account_id", "created_at", "revoked_at"),
        "secondFactors": _rows(Authenticator, user_id, "type", "created_at", "last_used_at"),
    }


def _rows(model: Any, user_id: int, *fields: str) -> list[dict[str, str | None]]:
    rows = model._default_manager.filter(user_id=user_id).order_by("pk").values(*fields)  # noqa: SLF001 - as above.
    return [
        {name: None if value is None else str(value) for name, value in row.items()} for row in rows
    ]
