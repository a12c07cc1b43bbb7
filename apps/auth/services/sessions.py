"""Opens and ends sessions: a browser's own, or one for a client that holds an access token.

A browser goes through allauth's `perform_login`, which asks for the second factor on a page of its own.
"""

from datetime import timedelta

from allauth.account.adapter import get_adapter
from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.auth import selectors
from apps.auth.models import User
from apps.auth.services.devices import device_add, device_end_of_life
from apps.auth.services.idle import idle_begin
from apps.auth.services.refresh import TokenPair, pair_first
from apps.auth.services.revocations import sessions_forget
from apps.common.audit import audit_note


def browser_sign_in(*, request: HttpRequest, user: User, redirect_path: str) -> HttpResponse:
    """Sign a browser in under a new session id, and return the redirect to send."""
    # Django keeps the id when the same user signs in again; what was open before ends here always.
    _forget(request)
    response: HttpResponse = perform_login(
        request, user, email_verification="none", redirect_url=redirect_path
    )
    # With a second factor the person is not signed in yet, and this is the session that waits for it. An end that later saves do not move.
    request.session.set_expiry(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))
    idle_begin(request.session)
    return response


def client_sign_in(*, request: HttpRequest, user: User, ip: str | None) -> TokenPair:
    """Sign a client in as a device with a session of its own, and return its tokens.

    The session of the request, if there is one, stays what it is: signing out of a browser must not
    end a client, nor the other way round.
    """
    browser_session, browser_user = request.session, request.user
    request.session = selectors.session_store()
    request.user = AnonymousUser()
    try:
        # Past allauth's stages: the caller has seen to the second factor (factor_code_require, or a session that had it).
        get_adapter(request).login(request, user)
        expires_at = device_end_of_life()
        request.session.set_expiry(expires_at)
        request.session.save()
        device = device_add(
            user=user,
            session_key=request.session.session_key or "",
            name=request.headers.get("User-Agent", ""),
            ip=ip,
            expires_at=expires_at,
        )
    finally:
        request.session, request.user = browser_session, browser_user
        # Signing in renews the CSRF secret of the request; here that is not the client's.
        request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False
    return pair_first(device=device, user=user)


def browser_sign_out(*, request: HttpRequest) -> None:
    """End the session of a browser; sockets and requests see it at once."""
    user_id = request.user.pk
    get_adapter().logout(request)
    if user_id is not None:
        sessions_forget(user_id=user_id)
        audit_note("sign_out", actor_id=user_id)


def _forget(request: HttpRequest) -> None:
    user_id = request.user.pk
    if request.session.session_key:
        request.session.flush()
    if user_id is not None:
        sessions_forget(user_id=user_id)
