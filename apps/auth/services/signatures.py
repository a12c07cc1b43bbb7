r"""Checks a signed request: who signed it, that it is fresh, and that it was not seen before.

The signed bytes are five lines and the body as it was sent:

    <timestamp, ms since 1970>\n<receive window, ms>\n<nonce>\n<METHOD>\n<path?query>\n<body>

The nonce is noted only after the signature has proved right, so nobody can use up a nonce of somebody else.
"""

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db.models import Q
from django.utils import timezone

from apps.auth.choices import KeyAlgorithm
from apps.auth.models import ApiKey
from apps.common.clock import now_us
from apps.common.errors import ServiceError
from apps.common.rate_limits import once_for
from apps.common.sealing import cipher

KEY_HEADER: Final = "X-Key-Id"
TIMESTAMP_HEADER: Final = "X-Timestamp"
WINDOW_HEADER: Final = "X-Recv-Window"
NONCE_HEADER: Final = "X-Nonce"
SIGNATURE_HEADER: Final = "X-Signature"

WINDOW_MS: Final = 5_000
WINDOW_MS_MAX: Final = 60_000
# A client's clock may be that much ahead.
AHEAD_MS: Final = 1_000

_TIMESTAMP: Final = re.compile(r"\A[0-9]{13}\Z", re.ASCII)
_WINDOW: Final = re.compile(r"\A[0-9]{1,5}\Z", re.ASCII)
_NONCE: Final = re.compile(r"\A[A-Za-z0-9_-]{8,64}\Z", re.ASCII)
_NOTED_TO: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class KeyUser:
    """Who sends a signed request: a user, limited to what the key may do; `request.user` of such requests."""

    id: int
    email: str
    name: str
    # Public name of the key; limits count by it.
    key_id: str
    # The only account that the key may name.
    account_id: int
    may_read: bool
    may_trade: bool

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True
    # A key has no rights of staff, whoever owns it.
    is_staff: ClassVar[bool] = False
    is_guest: ClassVar[bool] = False

    @property
    def pk(self) -> int:
        """Return the user's id under the name that Django's own users give it."""
        return self.id


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a request shows, as it was sent."""

    method: str
    # With the query.
    path: str
    body: bytes
    headers: Mapping[str, str]
    # Address of the network, None if it has none.
    ip: str | None


def request_check(*, request: SignedRequest) -> KeyUser:
    """Return who has signed a request.

    Errors: ServiceError SIGNATURE_INVALID, TIMESTAMP_INVALID, NONCE_USED (401), KEY_NETWORK_FORBIDDEN (403), UNAVAILABLE (503).
    """
    timestamp, window, nonce = _well_formed(request.headers)
    key = (
        ApiKey.objects.select_related("user")
        .filter(public_id=request.headers[KEY_HEADER], revoked_at=None, user__is_active=True)
        .first()
    )
    line = f"{timestamp}\n{window}\n{nonce}\n{request.method}\n{request.path}\n"
    signed = line.encode() + request.body
    if key is None or not _is_right(key, signed, request.headers.get(SIGNATURE_HEADER, "")):
        # One answer for unknown keys and for wrong signatures: it does not tell which keys exist.
        raise ServiceError(
            "SIGNATURE_INVALID",
            "the signature is not this key's over this very request, or the key has ended (docs/API-KEYS.md)",
            http_status=401,
        )
    if key.expires_at is not None and key.expires_at <= timezone.now():
        raise ServiceError("KEY_EXPIRED", "this key has ended: make a new one", http_status=401)
    _require_network(key, request.ip)
    _require_fresh(int(timestamp), int(window))
    if not once_for(
        key=f"nonce:{key.public_id}:{nonce}", milliseconds=WINDOW_MS_MAX + 2 * AHEAD_MS
    ):
        raise ServiceError(
            "NONCE_USED",
            "this nonce was used before: choose a new one for each request",
            http_status=401,
        )
    _note_use(key, request.ip)
    return KeyUser(
        id=key.user_id,
        email=key.user.email,
        name=key.user.name,
        key_id=key.public_id,
        account_id=key.account_id,
        may_read=key.may_read,
        may_trade=key.may_trade,
    )


def _well_formed(headers: Mapping[str, str]) -> tuple[str, str, str]:
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    window = headers.get(WINDOW_HEADER, str(WINDOW_MS))
    nonce = headers.get(NONCE_HEADER, "")
    for name, text, form, words in (
        (TIMESTAMP_HEADER, timestamp, _TIMESTAMP, "milliseconds since 1970"),
        (WINDOW_HEADER, window, _WINDOW, f"1 to {WINDOW_MS_MAX} milliseconds"),
        (NONCE_HEADER, nonce, _NONCE, "8 to 64 letters, digits, hyphens or underscores"),
    ):
        if not form.fullmatch(text):
            raise ServiceError(
                "SIGNATURE_INVALID",
                f"{name}: expected {words}",
                http_status=401,
                data={"field": name},
            )
    if not 0 < int(window) <= WINDOW_MS_MAX:
        raise ServiceError(
            "SIGNATURE_INVALID",
            f"{WINDOW_HEADER}: expected 1 to {WINDOW_MS_MAX} milliseconds",
            http_status=401,
            data={"field": WINDOW_HEADER},
        )
    return timestamp, window, nonce


def _is_right(key: ApiKey, signed: bytes, signature_text: str) -> bool:
    try:
        signature = base64.b64decode(signature_text, validate=True)
    except (binascii.Error, ValueError):
        return False
    if key.algorithm == KeyAlgorithm.HMAC:
        try:
            secret = cipher().decrypt(key.secret_encrypted.encode())
        except InvalidToken:
            # The key ring has lost the key that this secret was encrypted with.
            return False
        return hmac.compare_digest(hmac.digest(secret, signed, "sha256"), signature)
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_key)).verify(
            signature, signed
        )
    except InvalidSignature:
        return False
    return True


def _require_network(key: ApiKey, ip: str | None) -> None:
    if not key.networks:
        return
    address = None if ip is None else ipaddress.ip_address(ip)
    if address is None or not any(
        address in ipaddress.ip_network(network) for network in key.networks
    ):
        raise ServiceError(
            "KEY_NETWORK_FORBIDDEN",
            f"this key may not be used from the network address {ip}",
            http_status=403,
        )


def _require_fresh(timestamp_ms: int, window_ms: int) -> None:
    server_ms = now_us() // 1000
    if not timestamp_ms - AHEAD_MS < server_ms <= timestamp_ms + window_ms:
        age_ms = server_ms - timestamp_ms
        found = f"{age_ms} ms old" if age_ms >= 0 else f"{-age_ms} ms ahead"
        raise ServiceError(
            "TIMESTAMP_INVALID",
            f"expected a timestamp at most {window_ms} ms old and less than {AHEAD_MS} ms ahead, found one that is {found}",
            http_status=401,
            data={"serverTime": server_ms, "recvWindow": window_ms},
        )


def _note_use(key: ApiKey, ip: str | None) -> None:
    now = timezone.now()
    # One write a minute, and one for each new address, whatever the key does.
    stale = Q(used_at=None) | Q(used_at__lt=now - _NOTED_TO) | ~Q(used_ip=ip)
    if key.used_at is None or now - key.used_at > _NOTED_TO or key.used_ip != ip:
        ApiKey.objects.filter(stale, pk=key.pk).update(used_at=now, used_ip=ip)
