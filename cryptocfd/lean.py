"""The short way for the hottest requests: async from the socket to the gateway and back, without middleware, threads or ORM.

It serves what it can serve exactly as the island would, by the same operations, schema, codes and envelope, and hands every
other request to the island unread: browsers, forms, sessions, signed keys, foreign hosts, unusual headers. A contract test
runs on both ways.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import DatabaseError
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port, validate_host
from redis.exceptions import RedisError
from rest_framework.exceptions import NotAuthenticated, ParseError, Throttled

from apps.auth.facade import AuthenticatedUser, session_user, token_user
from apps.common.answer_headers import answer_headers
from apps.common.envelope import success
from apps.common.exact_json import BODY_BYTES_MAX, json_decode, json_encode
from apps.common.quick_validation import validated
from apps.common.rate_limits import rate_limit_wait_us_async
from apps.common.serializers import parameters_require
from apps.common.throttles import address_of, limit_of
from apps.market.facade import LATEST_PARAMETERS, candles_app, latest_prices
from apps.trade.operations import OPERATIONS, Asked, Operation, request_id_choose
from cryptocfd.exception_handler import exception_handler
from cryptocfd.island import Receive, Scope, Send, body_time, too_slow_send

_BASE: Final = "/api/v1/"
_JSON: Final = (b"application/json", b"application/json; charset=utf-8")
_ACCEPTED: Final = frozenset({b"", b"*/*", b"application/json"})
_HEADERS: Final = ((b"content-type", b"application/json"), (b"vary", b"Accept"))
# A request of these headers is in need of what only the island can do.
_ISLAND_HEADERS: Final = frozenset(
    {b"content-encoding", b"cookie", b"if-none-match", b"if-modified-since", b"range"}
)

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
_Headers = dict[bytes, bytes]


class _TokenError(NotAuthenticated):
    """An access token that is worth nothing; in the words of BearerAuthentication."""

    default_detail = "the access token is wrong or has ended: sign in again"
    auth_header = 'Bearer realm="api"'


class Lean:
    """An ASGI application in front of the island."""

    def __init__(self, island: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._island = island
        self._writes: dict[str, Operation] = {}
        for operation in OPERATIONS:
            method, _, route = operation.rest.partition(" ")
            if method == "POST":
                self._writes[_BASE + route] = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        operation = self._writes.get(scope["path"]) if scope["method"] == "POST" else None
        is_prices = scope["path"] == _PRICES and scope["method"] == "GET"
        headers: _Headers = dict(scope["headers"]) if operation or is_prices else {}
        if operation is not None and _is_plain_write(scope, headers):
            try:
                async with body_time():
                    body = await _body_read(receive)
            except TimeoutError:
                await too_slow_send(scope, send)
            else:
                if body is not None:
                    await _send(send, await _write(operation, headers, body))
        elif is_prices and _is_plain(scope, headers):
            await _send(send, await _prices(scope))
        else:
            await self._island(scope, receive, send)

    async def candles(self, scope: Scope, send: Send) -> None:
        """Answer one request for candles, which is counted like every read: per user, or per address for everybody else."""
        try:
            # As for prices.
            with contextlib.suppress(RedisError):
                await _throttle(
                    user_id=await _reader_id(scope),
                    ip=_address(scope),
                    method="GET",
                    cost=_candles_cost(scope),
                )
        except Exception as error:  # noqa: BLE001 - the outermost frame of a request, as above.
            await _send(send, _failure(error))
        else:
            await candles_app(scope, send)


_CANDLES_PER_COST: Final = 500
_CANDLES_COST_MAX: Final = 2
_PRICES: Final = f"{_BASE}prices/latest"


def _is_plain(scope: Scope, headers: _Headers) -> bool:
    """Return whether the middleware would have nothing to say about a request."""
    if not _ISLAND_HEADERS.isdisjoint(headers) or headers.get(b"accept", b"") not in _ACCEPTED:
        return False
    if len(headers) != len(scope["headers"]):
        # One that is there twice means something else to the island, which joins them.
        return False
    if settings.SECURE_SSL_REDIRECT and scope.get("scheme") != "https":
        return False
    domain, _ = split_domain_port(headers.get(b"host", b"").decode("latin-1").lower())
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _is_plain_write(scope: Scope, headers: _Headers) -> bool:
    length = headers.get(b"content-length", b"")
    return (
        headers.get(b"content-type", b"").lower() in _JSON
        and headers.get(b"authorization", b"")[:7].lower() == b"bearer "
        and not scope["query_string"]
        and length.isdigit()
        and int(length) <= BODY_BYTES_MAX
        and _is_plain(scope, headers)
    )


async def _write(operation: Operation, headers: _Headers, body: bytes) -> Answer:
    try:
        user = await _user(headers)
        await _throttle(user_id=user.id, ip="", method="POST")
        asked = _asked(operation, user, headers, body)
        return _answer(200, success(await operation.run(asked)))
    except Exception as error:  # noqa: BLE001 - the outermost frame of a request: the handler of all views answers and logs.
        return _failure(error)


def _asked(operation: Operation, user: AuthenticatedUser, headers: _Headers, body: bytes) -> Asked:
    try:
        data = validated(operation.shape, json_decode(body))
    except ValueError as error:
        raise ParseError(f"the body must be JSON: {error}") from error
    header = headers.get(b"idempotency-key")
    request_id, is_repeatable = "", False
    if operation.is_write:
        request_id, is_repeatable = request_id_choose(
            header=None if header is None else header.decode("latin-1"),
            body=data.get("clientOrderId"),
        )
    return Asked(user.id, request_id, data, is_repeatable)


async def _user(headers: _Headers) -> AuthenticatedUser:
    token = headers[b"authorization"][7:].decode("latin-1").strip()
    user = await token_user(token)
    if user is None:
        raise _TokenError
    return user


def _candles_cost(scope: Scope) -> int:
    """Return as how many requests one for candles counts: one for each begun 500 of at most a thousand."""
    text = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("limit", "")
    # What is no such number is refused later, and counts as one.
    asked = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    return max(1, min(_CANDLES_COST_MAX, -(-asked // _CANDLES_PER_COST)))


async def _throttle(*, user_id: int | None, ip: str, method: str, cost: int = 1) -> None:
    key, limits = limit_of(user_id=user_id, key_id="", ip=ip, method=method)
    wait_us = await rate_limit_wait_us_async(key=f"api:{key}", limits=limits, cost=cost)
    if wait_us:
        raise Throttled(wait=wait_us / 1_000_000)


async def _reader_id(scope: Scope) -> int | None:
    """Return who reads, None for one who is nobody or cannot be known now; nothing depends on it but the count."""
    headers = dict(scope["headers"])
    user = None
    # Recent candles stand in memory, and are read while PostgreSQL is away.
    with contextlib.suppress(DatabaseError):
        if headers.get(b"authorization", b"")[:7].lower() == b"bearer ":
            user = await token_user(headers[b"authorization"][7:].decode("latin-1").strip())
        else:
            cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
            user = await session_user(cookies.get(settings.SESSION_COOKIE_NAME, ""))
    return None if user is None else user.id


def _address(scope: Scope) -> str:
    return address_of((scope.get("client") or ("",))[0])


async def _prices(scope: Scope) -> Answer:
    try:
        # Prices are everybody's: when nobody can count, they go on (apps/common/throttles.py).
        with contextlib.suppress(RedisError):
            await _throttle(user_id=None, ip=_address(scope), method="GET")
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        parameters_require(query, LATEST_PARAMETERS)
        return _answer(200, success(latest_prices(query.get("symbols", ""))))
    except Exception as error:  # noqa: BLE001 - as above.
        return _failure(error)


def _failure(error: Exception) -> Answer:
    response = exception_handler(error, {})
    status, headers, body = _answer(response.status_code, response.data)
    headers += [
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in response.items()
        # That of a response which Django has not rendered.
        if name.lower() != "content-type"
    ]
    return status, headers, body


def _answer(status: int, data: Mapping[str, object]) -> Answer:
    body = json_encode(data)
    headers = [*_HEADERS, *answer_headers(), (b"content-length", str(len(body)).encode())]
    return status, headers, body


async def _body_read(receive: Receive) -> bytes | None:
    """Return the body, None if the client went away before its end."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        # Nearly always the whole of it comes at once.
        whole: bytes = message.get("body", b"")
        return whole
    parts: list[bytes] = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    return None


async def _send(send: Send, answer: Answer) -> None:
    status, headers, body = answer
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
