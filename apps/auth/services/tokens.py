"""Access tokens: what they claim and how their signature is checked; no session is read here.

allauth's headless strategy mints them. A token names a server session in encrypted form, is worth nothing without it, and
lives for ten minutes; refresh.py gives the next one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy

# allauth 65 offers no public way between claim and session without a request and the database.
from allauth.headless.tokens.strategies.jwt.internal import (
    create_access_token,
    session_key_from_sid,
)
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
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

    def access_token_for(
        self, user: AbstractBaseUser, session: SessionBase
    ) -> tuple[str, datetime]:
        """Return a new token for a session that has been saved, and when it ends."""
        token = create_access_token(user, session, self.get_claims(user))
        claims = jwt.decode(token, options={"verify_signature": False})
        return token, datetime.fromtimestamp(claims["exp"], tz=UTC)


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
