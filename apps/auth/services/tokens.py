"""Access tokens: what they claim and how their signature is checked; no session is read here.

allauth's headless strategy mints them. A token names a server session in encrypted form and is worth
nothing without it, so it lives as long as that session: 12 hours, ended early by signing out.
"""

from dataclasses import dataclass
from typing import Any

import jwt
from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy

# allauth 65 offers no public way from the claim to the session without reading the database.
from allauth.headless.tokens.strategies.jwt.internal import session_key_from_sid
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from typing_extensions import override

_ISSUER = "cryptocfd"
_AUDIENCE = "cryptocfd-api"
_CLAIMS_REQUIRED = ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "token_use"]
# A token of ours has some 400 characters; anything much longer is not worth decoding.
_TOKEN_CHARACTERS_MAX = 2048


class AccessTokenStrategy(JWTTokenStrategy):
    """allauth's tokens, tied to this issuer and this API."""

    @override
    def get_claims(self, user: AbstractBaseUser) -> dict[str, Any]:
        return {"iss": _ISSUER, "aud": _AUDIENCE}


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a genuine token says; whether its session still lives is another question."""

    user_id: int
    session_key: str
    # Microseconds since 1970, UTC.
    expires_us: int


def access_token_decode(token: str) -> AccessClaims | None:
    """Return what a token claims, None unless its signature, type and times are right.

    One algorithm is allowed, whatever the header asks for; key hints in the header are ignored.
    """
    if len(token) > _TOKEN_CHARACTERS_MAX:
        return None
    try:
        decoded = jwt.decode_complete(
            token,
            key=settings.HEADLESS_JWT_PRIVATE_KEY,
            algorithms=[settings.HEADLESS_JWT_ALGORITHM],
            audience=_AUDIENCE,
            issuer=_ISSUER,
            options={"require": _CLAIMS_REQUIRED},
        )
    except (jwt.PyJWTError, ValueError):
        # ValueError: numbers and text that no JSON reader of ours made.
        return None
    payload = decoded["payload"]
    subject, sid = payload["sub"], payload["sid"]
    if (decoded["header"].get("typ"), payload["token_use"]) != ("JWT", "access"):
        return None
    if not (isinstance(sid, str) and sid.isascii() and subject.isascii() and subject.isdigit()):
        return None
    session_key = session_key_from_sid(sid)
    if not session_key:
        return None
    return AccessClaims(
        user_id=int(subject), session_key=session_key, expires_us=int(payload["exp"]) * 1_000_000
    )
