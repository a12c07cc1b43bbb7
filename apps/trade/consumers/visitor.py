"""Prices for pages that nobody has signed in to: a few symbols, read only, from our own pages only.

The landing page shows a strip of live prices. It may name its symbols once, and acknowledge; everything else ends the socket.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qs

from apps.common.cancellation import cancel_all
from apps.common.direct_socket import direct_socket_of
from apps.common.errors import ServiceError
from apps.common.exact_json import json_decode
from apps.market.facade import Subscription, instrument_get, prices_subscribe
from apps.trade.consumers.limits import CLOSE_TOO_MANY, CLOSE_TOO_SLOW
from apps.trade.consumers.origins import headers_of, is_own_origin

Message = dict[str, Any]

SYMBOLS_MAX: Final = 12
# Of this process: whoever comes later sees prices by REST.
VISITORS_MAX: Final = 1000
# A tab that is left open asks again; one that has died is not fed for ever.
LIFE_SECONDS: Final = 15 * 60.0
MESSAGE_BYTES_MAX: Final = 256
CLOSE_FORBIDDEN: Final = 4403
CLOSE_INVALID: Final = 4400

_visitors: set["VisitorSocket"] = set()


class VisitorSocket:
    """One visitor's connection."""

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self._asgi_send = send
        self._is_closed = False
        self._prices: Subscription | None = None

    @classmethod
    async def serve(
        cls,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one connection; the ASGI application."""
        if (await receive())["type"] == "websocket.connect":
            await cls(send).run(scope, receive)

    async def run(self, scope: Message, receive: Callable[[], Awaitable[Message]]) -> None:
        """Serve until one side ends it."""
        await self._asgi_send({"type": "websocket.accept"})
        if not is_own_origin(headers_of(scope)):
            await self._close(CLOSE_FORBIDDEN)
            return
        if len(_visitors) >= VISITORS_MAX:
            await self._close(CLOSE_TOO_MANY)
            return
        try:
            symbols = _symbols(scope)
        except ServiceError:
            await self._close(CLOSE_INVALID)
            return
        _visitors.add(self)
        end = asyncio.create_task(self._close_later())
        try:
            self._prices = prices_subscribe(
                self._text, symbols, on_stalled=self._stalled, direct=direct_socket_of(scope)
            )
            while (message := await receive())["type"] == "websocket.receive":
                frame = _acknowledged(message)
                if frame is None:
                    await self._close(CLOSE_INVALID)
                    break
                self._prices.ack(frame)
        finally:
            _visitors.discard(self)
            self._is_closed = True
            if self._prices is not None:
                self._prices.close()
            await cancel_all((end,))

    async def _text(self, text: str) -> None:
        if not self._is_closed:
            await self._asgi_send({"type": "websocket.send", "text": text})

    async def _close(self, code: int) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._asgi_send({"type": "websocket.close", "code": code})

    async def _close_later(self) -> None:
        await asyncio.sleep(LIFE_SECONDS)
        await self._close(1000)

    async def _stalled(self) -> None:
        await self._close(CLOSE_TOO_SLOW)


def _symbols(scope: Message) -> set[str]:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    texts = ",".join(query.get("symbols", [])).split(",")
    if not texts[0] or len(texts) > SYMBOLS_MAX:
        raise ServiceError("INVALID", f"symbols: expected 1 to {SYMBOLS_MAX} symbols")
    return {instrument_get(text).symbol for text in texts}


def _acknowledged(message: Message) -> int | None:
    """Return the frame that a message acknowledges, None for every other message."""
    raw = message.get("text") or ""
    if len(raw) > MESSAGE_BYTES_MAX:
        return None
    try:
        request = json_decode(raw)
    except ValueError:
        return None
    frame = (
        request.get("frame") if isinstance(request, dict) and request.get("op") == "ack" else None
    )
    return frame if isinstance(frame, int) and not isinstance(frame, bool) else None
