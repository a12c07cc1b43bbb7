"""Who may use a browser's cookie on a socket: pages of this site only, told by their Origin."""

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host


def headers_of(scope: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the headers of a connection by lower-case name."""
    return dict(scope["headers"])


def session_key_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the session key of a connection from one of our own pages; empty for every other connection."""
    if not is_own_origin(headers):
        return ""
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    return "" if morsel is None else morsel.value


def is_own_origin(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the page that opens a connection is one of this site; without an Origin it is none."""
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    host = headers.get(b"host", b"").decode("latin-1").lower()
    domain, _ = split_domain_port(host)
    is_ours = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
    return is_ours and origin in (f"http://{host}", f"https://{host}")
