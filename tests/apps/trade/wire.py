"""The far end of a socket, for tests that talk to it on the gateway's loop."""

import asyncio
import json
from typing import Any

from apps.common.direct_socket import EXTENSION
from apps.common.exact_json import json_decode
from apps.trade.consumers import TradingSocket


class Wire:
    """The far end of a socket."""

    def __init__(
        self,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        extensions: dict[str, Any] | None = None,
    ) -> None:
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "headers": headers, "extensions": extensions}
        self.task = asyncio.create_task(TradingSocket.serve(scope, self._in.get, self._out.put))

    def say(self, message: dict[str, Any] | str) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self._in.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self) -> dict[str, Any]:
        """Return the next frame, or what closed the socket."""
        message = await asyncio.wait_for(self._out.get(), 5)
        if message["type"] == "websocket.accept":
            return await self.hear()
        return json_decode(message["text"]) if "text" in message else message

    async def ask(self, message: dict[str, Any] | str) -> dict[str, Any]:
        self.say(message)
        return await self.hear()

    async def hang_up(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.task, 5)


class DirectEnd:
    """A web server's direct way: notes what is written to it, and offers messages to who hears."""

    def __init__(self) -> None:
        self.taker = lambda _text: False
        self.written: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.is_full = False

    def is_clear(self) -> bool:
        return not self.is_full

    def write(self, framed: bytes) -> None:
        self.written.put_nowait(json_decode(framed[2 if framed[1] < 126 else 4 :]))

    def hear(self, taker) -> None:
        self.taker = taker


class DirectWire(Wire):
    """A socket with a direct way beside ASGI's."""

    def __init__(self) -> None:
        self.end = DirectEnd()
        super().__init__(extensions={EXTENSION: self.end})

    def offer(self, message: dict[str, Any]) -> bool:
        """Return whether a message is taken at once."""
        return self.end.taker(json.dumps(message))

    async def read(self) -> dict[str, Any]:
        """Return the next frame that was written directly."""
        return await asyncio.wait_for(self.end.written.get(), 5)


async def signed_in(wire: Wire, token: str) -> None:
    assert (await wire.ask({"op": "auth", "token": token}))["success"] is True
