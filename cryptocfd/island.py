"""Runs the synchronous part of Django under ASGI in one hop to a thread: middleware, DRF and pages as one island.

Django's own ASGI handler hops for every synchronous middleware and view, which costs ten times the work itself. Here
a request is read, answered and finished in a single call in one thread of a pool.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpResponse, HttpResponseBase
from django.http.response import StreamingHttpResponse
from django.urls import set_script_prefix

from apps.common.envelope import failure
from apps.common.exact_json import json_encode
from cryptocfd.database.base import statements_limit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Each thread may hold one database connection; the pool of connections is larger (settings.DATABASES).
THREADS = 32
# Beyond this queue a request would wait longer than its sender does.
_IN_FLIGHT_MAX = 1024
# Uploads of documents; JSON is limited to 64 KiB by its parser.
_BODY_BYTES_MAX = 5 * 1024 * 1024
# What comes of a body slower than this never comes: a document over a poor line takes less.
_BODY_SECONDS = 60.0
_CHUNK_BYTES = 256 * 1024
# Of bodies: nothing here unpacks one, and a small one could become a large one.
_PLAIN_ENCODINGS = (None, b"", b"identity")


class _DisconnectedError(Exception):
    """The client went away before its request was complete."""


class _TooLargeError(Exception):
    """The body is larger than anything that is accepted here."""


class _TooSlowError(Exception):
    """The body has not come to its end in time."""


class Island(BaseHandler):
    """An ASGI application that runs Django's synchronous stack in its own thread pool."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._executor = ThreadPoolExecutor(
            THREADS, thread_name_prefix="island", initializer=statements_limit
        )
        self._in_flight = 0

    def close(self) -> None:
        """Wait for the requests in work and end the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if _header(scope, b"content-encoding") not in _PLAIN_ENCODINGS:
            text = "the body must not be compressed: send it without Content-Encoding"
            await _send_refusal(scope, send, 415, "UNSUPPORTED_MEDIA_TYPE", text, is_last=True)
            return
        if self._in_flight >= _IN_FLIGHT_MAX:
            text = "too many requests wait: try again in a second"
            await _send_refusal(scope, send, 503, "UNAVAILABLE", text, retry_s=1)
            return
        self._in_flight += 1
        try:
            await self._answer(scope, receive, send)
        except _DisconnectedError:
            pass
        except _TooLargeError:
            text = f"the body must have at most {_BODY_BYTES_MAX} bytes"
            await _send_refusal(scope, send, 413, "TOO_LARGE", text)
        except _TooSlowError:
            await too_slow_send(scope, send)
        finally:
            self._in_flight -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with body_time():
                body = await _body_read(receive)
        except TimeoutError:
            # Else a thousand clients that never finish would be all that may wait here.
            raise _TooSlowError from None
        if body and _header(scope, b"content-length") is None:
            # It came in chunks; Django reads as many bytes as it is told of.
            length = (b"content-length", str(len(body)).encode())
            scope = {**scope, "headers": [*scope["headers"], length]}
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._executor, self._respond, scope, body)
        await send(_head(response))
        if isinstance(response, StreamingHttpResponse):
            async for chunk in self._chunks(response):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            await loop.run_in_executor(self._executor, response.close)
        else:
            content = response.content if isinstance(response, HttpResponse) else b""
            await send({"type": "http.response.body", "body": content})

    def _respond(self, scope: Scope, body: bytes) -> HttpResponseBase:
        """Run the whole stack in this thread."""
        set_script_prefix(scope.get("root_path", "") or "/")
        # Also closes connections that an earlier request of this thread has broken.
        signals.request_started.send(sender=type(self), scope=scope)
        try:
            request = ASGIRequest(scope, io.BytesIO(body))
        except (UnicodeDecodeError, ValueError):
            signals.request_finished.send(sender=type(self))
            body, kind = _refusal(scope, 400, "MALFORMED", "the address is not valid")
            return HttpResponse(body, status=400, content_type=kind)
        response = self.get_response(request)
        if not response.streaming:
            # Ends the request for Django: its database connection goes back to the pool.
            response.close()
        return response

    async def _chunks(self, response: StreamingHttpResponse) -> AsyncIterator[bytes]:
        if response.is_async:
            async for part in response:
                yield part
            return
        parts = iter(response)
        loop = asyncio.get_running_loop()
        while chunk := await loop.run_in_executor(self._executor, _chunk_read, parts):
            yield chunk


def _header(scope: Scope, name: bytes) -> bytes | None:
    found: bytes | None = dict(scope["headers"]).get(name)
    return found


def _chunk_read(parts: Iterator[bytes]) -> bytes:
    gathered = bytearray()
    for part in parts:
        gathered += part
        if len(gathered) >= _CHUNK_BYTES:
            break
    return bytes(gathered)


async def _body_read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectedError
        part = message.get("body", b"")
        size += len(part)
        if size > _BODY_BYTES_MAX:
            raise _TooLargeError
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _head(response: HttpResponseBase) -> dict[str, Any]:
    headers = [
        (name.encode("ascii").lower(), value.encode("latin1")) for name, value in response.items()
    ]
    headers += [
        (b"set-cookie", cookie.output(header="").encode("ascii").strip())
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


def _refusal(scope: Scope, status: int, code: str, text: str) -> tuple[bytes, str]:
    """Return body and content type of what is refused before any view: programs read the envelope, people a sentence."""
    if scope["path"].startswith("/api/"):
        envelope = failure(status=status, message=text, code=code)
        return json_encode(envelope), "application/json"
    return f"{text[0].upper()}{text[1:]}.".encode(), "text/plain; charset=utf-8"


def body_time() -> asyncio.Timeout:
    """Return the time in which a body has to come."""
    return asyncio.timeout(_BODY_SECONDS)


async def too_slow_send(scope: Scope, send: Send) -> None:
    """Refuse a request whose body has not come to its end in time."""
    text = f"the body must come within {_BODY_SECONDS:.0f} s"
    await _send_refusal(scope, send, 400, "MALFORMED", text, is_last=True)


async def _send_refusal(
    scope: Scope,
    send: Send,
    status: int,
    code: str,
    text: str,
    *,
    retry_s: int | None = None,
    is_last: bool = False,
) -> None:
    body, kind = _refusal(scope, status, code, text)
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    if retry_s is not None:
        headers.append((b"retry-after", str(retry_s).encode()))
    if is_last:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
