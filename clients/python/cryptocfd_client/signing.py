"""How a request proves who sends it: an access token, or a signature by an API key."""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_WINDOW_MS = 5_000


class Proof(Protocol):
    """Adds what proves the sender to a request."""

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Return headers for one request; `target` is the path with the query."""
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """An access token from a sign-in."""

    token: str = field(repr=False)

    def headers(self, _method: str, _target: str, _body: bytes) -> dict[str, str]:
        """Return the header of the token."""
        return {"Authorization": f"Bearer {self.token}"}


def _signed_headers(
    key_id: str, signature: "_Sign", method: str, target: str, body: bytes
) -> dict[str, str]:
    # A new time and nonce for every attempt: the same request may be sent again, the same signature may not.
    timestamp, nonce = str(time.time_ns() // 1_000_000), secrets.token_urlsafe(16)
    line = f"{timestamp}\n{_WINDOW_MS}\n{nonce}\n{method}\n{target}\n"
    return {
        "X-Key-Id": key_id,
        "X-Timestamp": timestamp,
        "X-Recv-Window": str(_WINDOW_MS),
        "X-Nonce": nonce,
        "X-Signature": base64.b64encode(signature(line.encode() + body)).decode(),
    }


class _Sign(Protocol):
    def __call__(self, text: bytes, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class HmacKey:
    """An API key with a secret, which was shown once when the key was made."""

    key_id: str
    secret: str = field(repr=False)

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Return the headers of a signature over this very request."""
        return _signed_headers(self.key_id, self._sign, method, target, body)

    def _sign(self, text: bytes, /) -> bytes:
        return hmac.new(self.secret.encode(), text, hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """An API key whose private half never leaves this side."""

    key_id: str
    private_key: Ed25519PrivateKey = field(repr=False)

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Return the headers of a signature over this very request."""
        return _signed_headers(self.key_id, self.private_key.sign, method, target, body)
