"""The door of this app: who is there, who is signed in, and links for the operator's console.

Other apps and the composition root enter here only; what comes out are frozen dataclasses.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from apps.auth import selectors
from apps.auth.choices import LinkOrigin
from apps.auth.services import factors, identities, links, users
from apps.auth.services.identities import AuthenticatedUser
from apps.auth.services.revocations import revocations_reader
from apps.auth.services.users import UserInfo
from apps.auth.services.viewed import viewer_of

__all__ = [
    "AuthenticatedUser",
    "ConsoleLink",
    "UserInfo",
    "login_link_create",
    "revocations_reader",
    "session_user",
    "staff_door",
    "token_identity",
    "token_user",
    "user_by_id",
    "user_by_session",
    "user_by_token",
    "users_seed",
    "viewer_of",
]


@dataclass(frozen=True, slots=True)
class ConsoleLink:
    """A sign-in link for the screen of the operator."""

    url: str
    # UTC.
    expires_at: datetime


def staff_door(request: HttpRequest) -> str:
    """Return the path that staff must take before the admin opens: to their second factor; empty if it is open."""
    if not settings.STAFF_SECOND_FACTOR or factors.factor_moments(request):
        return ""
    name = "mfa_reauthenticate" if factors.factor_is_set_up(request.user) else "mfa_index"
    return f"{reverse(name)}?{urlencode({'next': request.get_full_path()})}"


def login_link_create(email: str) -> ConsoleLink:
    """Make a link that signs in once, within ten minutes, from this machine only, in any browser.

    It ends the older links of the address, and the user is created by its use if unknown.
    """
    link = links.login_link_issue(email=email, origin=LinkOrigin.CONSOLE)
    query = urlencode({"token": link.token})
    return ConsoleLink(
        url=f"http://localhost:{settings.PORT}{reverse('auth-verify')}?{query}",
        expires_at=link.expires_at,
    )


def user_by_token(token: str) -> AuthenticatedUser | None:
    """Return who an access token speaks for, None if it is worth nothing; for sync code."""
    return identities.user_by_token(token)


def user_by_session(session_key: str) -> AuthenticatedUser | None:
    """Return who a browser's session belongs to, None if it has ended; for sync code."""
    return identities.user_by_session(session_key)


async def token_user(token: str) -> AuthenticatedUser | None:
    """Return who an access token speaks for; for sockets and lean handlers.

    Sessions are believed for two seconds, so a socket that asks again every second is closed in time.
    """
    return await identities.token_identity(token)()


def token_identity(token: str) -> Callable[[], Awaitable[AuthenticatedUser | None]]:
    """Return a question that a socket can ask again and again: who this access token speaks for, None once it is worth nothing."""
    return identities.token_identity(token)


async def session_user(session_key: str) -> AuthenticatedUser | None:
    """Return who a browser's session belongs to; for sockets and lean handlers.

    The caller has checked where the request comes from: Origin for sockets, CSRF for the rest.
    """
    return await identities.user_by_session_async(session_key)


def user_by_id(user_id: int) -> UserInfo | None:
    """Return a user, None if there is no such user."""
    user = selectors.user_get(user_id=user_id)
    return None if user is None else users.user_info(user)


def users_seed() -> list[UserInfo]:
    """Make sure that alice, bob (staff) and charlie exist, and return them in that order."""
    return users.users_seed()
