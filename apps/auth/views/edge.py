"""What the sign-in views read from a request and add to a response; no decisions are made here."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from apps.auth.services.link_secrets import token_new
from apps.auth.services.links import Presence

# What token_urlsafe makes of 32 bytes; anything else in the cookie is not ours.
_NONCE = re.compile(r"[A-Za-z0-9_-]{43}")
_NEXT_CHARACTERS_MAX = 200
# Headers by which a proxy says that the request is not its own.
_PROXY_HEADERS = ("x-forwarded-for", "forwarded", "x-real-ip")


def client_ip(request: HttpRequest) -> str | None:
    """Return the network address of the peer; the ASGI server has resolved trusted proxies."""
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def is_local(request: HttpRequest) -> bool:
    """Return whether the request was sent on this machine and passed no proxy.

    A foreign name that resolves to this machine does not come this far: ALLOWED_HOSTS refuses it.
    """
    ip = client_ip(request)
    return (
        ip is not None
        and ipaddress.ip_address(ip).is_loopback
        and not any(header in request.headers for header in _PROXY_HEADERS)
    )


def nonce_of(request: HttpRequest) -> str:
    """Return the cookie that binds links to this browser, empty without a good one."""
    nonce = request.COOKIES.get(settings.LOGIN_NONCE_COOKIE_NAME, "")
    return nonce if _NONCE.fullmatch(nonce) else ""


def nonce_for(request: HttpRequest) -> str:
    """Return this browser's cookie, or a new one.

    An old one is kept: if the limit holds a second mail back, the link of the first must still fit.
    """
    return nonce_of(request) or token_new()


def nonce_set(response: HttpResponseBase, nonce: str) -> None:
    """Give the browser the cookie that its link will ask for."""
    response.set_cookie(
        settings.LOGIN_NONCE_COOKIE_NAME,
        nonce,
        # Longer than a link: the mail may wait in the queue before its link begins to live.
        max_age=2 * settings.LOGIN_LINK_SECONDS,
        path="/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def nonce_clear(response: HttpResponseBase) -> None:
    """Take the cookie back after its use."""
    response.delete_cookie(settings.LOGIN_NONCE_COOKIE_NAME, path="/", samesite="Lax")


def presence_of(request: HttpRequest, *, code: str, is_page: bool) -> Presence:
    """Return what this request shows beside a link."""
    return Presence(
        nonce=nonce_of(request),
        code=code,
        is_page=is_page,
        is_local=is_local(request),
        ip=client_ip(request),
        guest_id=request.user.pk if is_page and is_guest(request) else None,
    )


def is_guest(request: HttpRequest) -> bool:
    """Return whether this browser holds the session of a guest."""
    return bool(getattr(request.user, "is_guest", False))


def next_path_of(value: Any) -> str:
    """Return a path on this site to go to, empty if the value is none."""
    path = value if isinstance(value, str) else ""
    is_ours = (
        path.startswith("/")
        # No row can hold a NUL, and no address a control character.
        and path.isprintable()
        and len(path) <= _NEXT_CHARACTERS_MAX
        and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    )
    return path if is_ours else ""


def wants_page(request: HttpRequest) -> bool:
    """Return whether the sender is a browser that shows pages; `*/*` is a program."""
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def _no_trace(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Keep what the address of a page contains away from caches and from the next site."""

    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = never_cache(view)(request, *args, **kwargs)
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return inner


no_trace = method_decorator(_no_trace, name="dispatch")
# For a list that is no secret, and carries an ETag as lists do, where making one of it shows a secret.
no_trace_of_posts = method_decorator(_no_trace, name="post")
