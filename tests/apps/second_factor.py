"""People with a second factor, for tests that are about what it opens."""

from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY,
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.test import Client

from apps.auth.models import User
from apps.auth.services.step_up import PROVED_AT
from apps.common.clock import now_us

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def totp_code(secret: str = SECRET) -> str:
    return format_hotp_value(hotp_value(secret, now_us() // 30_000_000))


def guard(user: User) -> User:
    """Give somebody an authenticator app."""
    TOTP.activate(user, SECRET)
    return user


def prove(client: Client, *, age_s: int = 0, by_factor: bool = True) -> None:
    """Let a browser have proved who is there some seconds ago."""
    session = client.session
    at = now_us() // 1_000_000 - age_s
    session[PROVED_AT] = at
    if by_factor:
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "mfa", "at": at}]
        session[_AUTHENTICATION_METHODS_USER_SESSION_KEY] = session["_auth_user_id"]
    session.save()
