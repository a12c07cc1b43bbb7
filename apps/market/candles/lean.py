"""The lean way to the candles: an ASGI application without middleware, thread hop or ORM, for programs that ask for JSON.

Browsers that ask for a page, and addresses that must be redirected to HTTPS, take the common way (views.py).
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

from django.conf import settings

from apps.common.answer_headers import answer_headers
from apps.common.envelope import service_failure
from apps.common.errors import ServiceError
from apps.market.candles.answers import answer, failure_body, is_known, question_from
from apps.market.candles.reader import candle_reader

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH: Final = "/api/v1/candles"
_QUERY_BYTES_MAX: Final = 1_000
_FIXED: Final = ((b"content-type", b"application/json"), (b"vary", b"accept"))


def candles_are_asked(scope: Scope) -> bool:
    """Return whether this application answers the request."""
    return (
        scope["path"] == PATH
        and scope["method"] in ("GET", "HEAD")
        and (scope.get("scheme") == "https" or not settings.SECURE_SSL_REDIRECT)
        and _is_json_asked(_header(scope, b"accept"))
    )


def _is_json_asked(accept: bytes) -> bool:
    # Browsers ask for a page, and for anything if there is none; who takes neither JSON nor anything is refused on the common way.
    return b"text/html" not in accept and (
        not accept or b"*/*" in accept or b"application/json" in accept
    )


async def candles_app(scope: Scope, send: Send) -> None:
    """Answer one request for candles."""
    status, headers, body = 200, [*_FIXED, *answer_headers()], b""
    try:
        found = await answer(candle_reader(), question_from(_parameters(scope)))
    except ServiceError as error:
        status, body = error.http_status, failure_body(service_failure(error))
        headers.append((b"cache-control", b"no-store"))
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(error.retry_after_s).encode()))
    else:
        body = found.body
        headers += [(b"etag", found.etag.encode()), (b"cache-control", b"no-cache")]
        if is_known(found.etag, _header(scope, b"if-none-match").decode("latin1")):
            status, body = 304, b""
    if status != 304:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    is_bodiless = scope["method"] == "HEAD"
    await send({"type": "http.response.body", "body": b"" if is_bodiless else body})


def _parameters(scope: Scope) -> dict[str, str]:
    query = scope["query_string"]
    if len(query) > _QUERY_BYTES_MAX:
        text = f"the query must have at most {_QUERY_BYTES_MAX} bytes, has {len(query)}"
        raise ServiceError("INVALID", text)
    return dict(parse_qsl(query.decode("latin1"), keep_blank_values=True))


def _header(scope: Scope, name: bytes) -> bytes:
    for one, value in scope["headers"]:
        if one == name:
            found: bytes = value
            return found
    return b""
