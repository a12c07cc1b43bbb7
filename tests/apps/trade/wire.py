"""The far end of a socket, for tests that talk to it on the gateway's loop."""

import asyncio
import json
from typing import Any

from apps.common.exact_json import json_decode
from apps.trade.consumers import TradingSocket


class Wire:
    """The far end of a socket."""

    def __init__(self, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "headers": headers}
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


async def signed_in(wire: Wire, token: str) -> None:
    assert (await wire.ask({"op": "auth", "token": token}))["success"] is True
