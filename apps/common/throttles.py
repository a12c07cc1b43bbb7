"""How often the REST interface may be asked: per user or API key, and per address for everybody who is nobody yet.

A view that takes more work than most counts as its `request_cost` requests. Writes and reads are counted apart, so that a busy chart never keeps anybody from closing. When nobody can count, money waits:
the request is answered 503, and public reads pass.
"""

import functools
import ipaddress
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from redis.exceptions import RedisError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from typing_extensions import override

from apps.common.rate_limits import RateLimit, rate_limit_wait_us, rate_limits_parse

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@functools.cache
def _parsed(texts: tuple[str, ...]) -> tuple[RateLimit, ...]:
    return rate_limits_parse(list(texts))


def limit_of(
    *, user_id: int | None, key_id: str, ip: str, method: str
) -> tuple[str, tuple[RateLimit, ...]]:
    """Return what is counted for a request, and the limits that hold for it."""
    if user_id is None:
        return f"ip:{ip}", _parsed(tuple(settings.API_LIMITS_PUBLIC))
    who = f"key:{key_id}" if key_id else f"user:{user_id}"
    if method in _SAFE:
        return f"read:{who}", _parsed(tuple(settings.API_LIMITS_READ))
    return f"write:{who}", _parsed(tuple(settings.API_LIMITS_WRITE))


def address_of(text: str) -> str:
    """Return a peer's address as it is counted; IPv6 by its /64, which one customer has."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)


class ApiThrottle(BaseThrottle):
    """The limit of every view that names no other."""

    def __init__(self) -> None:
        self._wait_us = 0

    @override
    def allow_request(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        is_known = bool(user and user.is_authenticated)
        key, limits = limit_of(
            user_id=user.pk if is_known else None,
            key_id=str(getattr(user, "key_id", "") or "") if is_known else "",
            ip=address_of(_peer(request)),
            method=str(request.method),
        )
        try:
            self._wait_us = rate_limit_wait_us(
                key=f"api:{key}", limits=limits, cost=getattr(view, "request_cost", 1)
            )
        except RedisError:
            if not _is_public_read(request, view):
                raise
            self._wait_us = 0
        return not self._wait_us

    @override
    def wait(self) -> float:
        return self._wait_us / 1_000_000


def _is_public_read(request: Request, view: Any) -> bool:
    """Return whether everybody may have what is asked for, so that nothing but work is lost when nobody can count."""
    return request.method in _SAFE and all(
        isinstance(permission, AllowAny) for permission in view.get_permissions()
    )


def _peer(request: HttpRequest | Request) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))
