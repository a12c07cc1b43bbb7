"""The limit of every HTTP figure: a callable that answers a POST of an order's size, and does nothing else."""

from collections.abc import Awaitable, Callable
from typing import Any

_BODY = (
    b'{"success":true,"data":{"orderId":"1001-1","pad":"' + b"x" * 600 + b'"},"message":"Success"}'
)
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer every request with the same bytes."""
    if scope["type"] != "http":
        return
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})
