"""Ends idle sessions before a page is made for them."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase

from apps.auth.services.idle import is_awake


class IdleMiddleware:
    """Signs a browser out that comes back after half an hour; the page then asks it to sign in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request, as nobody's if its session was idle for too long."""
        # Without a cookie there is no session to look at, and the answer does not depend on one.
        if (
            settings.SESSION_COOKIE_NAME in request.COOKIES
            and request.user.is_authenticated
            and not is_awake(request.session)
        ):
            request.user = AnonymousUser()
        return self._get_response(request)
