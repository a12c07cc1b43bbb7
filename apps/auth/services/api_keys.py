"""API keys: made, listed and revoked by their owner. How a request is checked is in signatures.py."""

import base64
import binascii
import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from apps.auth.choices import KeyAlgorithm
from apps.auth.models import ApiKey, User
from apps.common.audit import audit_note
from apps.common.errors import ServiceError
from apps.common.sealing import cipher
from apps.notifications.facade import NoticeEvent, notify
from apps.profile.facade import account_for

KEYS_MAX: Final = 20
NETWORKS_MAX: Final = 20
_SECRET_BYTES: Final = 32
# What a key may do, in the words of the message about it.
_SCOPES: Final = {
    (True, True): gettext_noop("read, trade"),
    (True, False): gettext_noop("read"),
    (False, True): gettext_noop("trade"),
    (False, False): gettext_noop("nothing"),
}


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key shall be."""

    name: str
    # None means the default account.
    account_id: int | None
    algorithm: KeyAlgorithm
    # Base64 of the 32 bytes, for Ed25519 only.
    public_key: str
    may_trade: bool
    may_read: bool
    networks: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; the only moment at which its secret is known."""

    key: ApiKey
    # Empty for Ed25519, whose secret the server never sees.
    secret: str


@transaction.atomic
def key_make(*, user_id: int, wish: KeyWish) -> NewKey:
    """Make a key for an account of the user, who is told.

    Errors: AccountUnknownError; ServiceError GUEST_FORBIDDEN, KEYS_TOO_MANY, INVALID.
    """
    # The lock lines up what one user asks for at once, so that the count holds.
    user = User.objects.select_for_update().get(pk=user_id)
    if user.is_guest:
        raise ServiceError(
            "GUEST_FORBIDDEN", "a guest has no keys: tell an e-mail address first", http_status=403
        )
    if ApiKey.objects.filter(user_id=user_id, revoked_at=None).count() >= KEYS_MAX:
        raise ServiceError(
            "KEYS_TOO_MANY",
            f"expected at most {KEYS_MAX} keys: revoke one of yours first",
            http_status=409,
            data={"keysMax": KEYS_MAX},
        )
    account = account_for(user_id, wish.account_id)
    is_hmac = wish.algorithm == KeyAlgorithm.HMAC
    secret = secrets.token_urlsafe(_SECRET_BYTES) if is_hmac else ""
    key = ApiKey.objects.create(
        user=user,
        public_id=f"ck_{secrets.token_hex(12)}",
        name=wish.name,
        account_id=account.id,
        algorithm=wish.algorithm,
        public_key="" if is_hmac else _public_key_checked(wish.public_key),
        secret_encrypted=cipher().encrypt(secret.encode()).decode() if is_hmac else "",
        may_read=wish.may_read,
        may_trade=wish.may_trade,
        networks=_networks_checked(wish.networks),
        expires_at=_end_checked(wish.expires_at),
    )
    facts = {
        "label": key.name,
        "account": str(key.account_id),
        "scopes": _SCOPES[key.may_read, key.may_trade],
    }
    notify(user_id, NoticeEvent.KEY_MADE, facts, f"key-made:{key.pk}")
    audit_note("key_made", actor_id=user_id, key=key.public_id, **facts)
    return NewKey(key=key, secret=secret)


def keys_of_user(*, user_id: int) -> list[ApiKey]:
    """Return the keys that were not revoked, newest first."""
    return list(ApiKey.objects.filter(user_id=user_id, revoked_at=None).order_by("-id"))


def key_revoke(*, user_id: int, public_id: str) -> None:
    """End a key for good, from the next request on.

    Errors: ServiceError KEY_UNKNOWN (404), the same for foreign and for absent keys.
    """
    revoked = ApiKey.objects.filter(user_id=user_id, public_id=public_id, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    if not revoked:
        raise ServiceError("KEY_UNKNOWN", "there is no such key of yours", http_status=404)
    audit_note("key_revoked", actor_id=user_id, key=public_id)


def _invalid(field: str, sentence: str) -> ServiceError:
    return ServiceError("INVALID", f"{field}: {sentence}", data={"field": field})


def _public_key_checked(text: str) -> str:
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise _invalid(
            "publicKey", "expected the 32 bytes of an Ed25519 public key in base64"
        ) from error
    return text


def _networks_checked(texts: tuple[str, ...]) -> list[str]:
    if len(texts) > NETWORKS_MAX:
        raise _invalid("ipAddresses", f"expected at most {NETWORKS_MAX}, found {len(texts)}")
    try:
        return [str(ipaddress.ip_network(text)) for text in texts]
    except ValueError as error:
        raise _invalid(
            "ipAddresses", f"expected addresses or networks such as 203.0.113.0/24; {error}"
        ) from error


def _end_checked(expires_at: datetime | None) -> datetime | None:
    if expires_at is not None and expires_at <= timezone.now():
        raise _invalid("expiresAt", "expected a time that is still to come")
    return expires_at
