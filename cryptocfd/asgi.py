"""The ASGI application: HTTP, WebSocket and the life of what this process runs in the background.

uvicorn tells the beginning and the end by the lifespan protocol. Daphne has none, so there the first request begins.
Nothing starts at import or in AppConfig.ready(), which every management command runs.
"""

import asyncio
import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cryptocfd.settings")
django.setup(set_prefix=False)

from channels.routing import URLRouter  # noqa: E402 - Django's models can be imported only after setup().

from apps.market.facade import candles_are_asked  # noqa: E402 - as above.
from cryptocfd.database.base import statements_limit  # noqa: E402 - as above.
from cryptocfd.engine_host import EngineHost  # noqa: E402 - as above.
from cryptocfd.island import Island, Receive, Scope, Send  # noqa: E402 - as above.
from cryptocfd.lean import Lean  # noqa: E402 - as above.
from cryptocfd.routing import websocket_urlpatterns  # noqa: E402 - as above.


class Application:
    """Everything that this process answers, and its background parts."""

    def __init__(self, host: EngineHost) -> None:
        self.host = host
        self._island = Island()
        self._http = Lean(self._island)
        # Origin and identity are the consumer's to check: a cookie counts from our own pages only, a token from anywhere.
        self._websocket: Any = URLRouter(websocket_urlpatterns)
        self._starting: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        await self.startup()
        # For the reads that lean paths and sockets have done by other threads; the island's have it of their own.
        statements_limit()
        if scope["type"] == "http" and candles_are_asked(scope):
            await self._http.candles(scope, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._websocket(scope, receive, send)

    async def startup(self) -> None:
        """Start the background parts, once; whoever comes meanwhile waits for the same start."""
        if self._starting is None:
            self._starting = asyncio.create_task(self.host.web_start())
        if not self._starting.done():
            await asyncio.shield(self._starting)
        self._starting.result()

    async def shutdown(self) -> None:
        """Stop the background parts, after the last request."""
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
            await self.host.web_stop()
        self._island.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.startup()
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return


application = Application(EngineHost.for_web())
