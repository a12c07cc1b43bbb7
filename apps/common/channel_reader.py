"""Reads pub/sub channels for as long as the process serves; a lost server is asked again."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from apps.common.cancellation import cancel_all

logger = logging.getLogger(__name__)

_RECONNECT_SECONDS: Final = 0.5


class ChannelReader:
    """One connection that hears some channels and hands each message to its handler."""

    def __init__(
        self,
        redis_url: str,
        handlers: Mapping[str, Callable[[bytes], None]],
        *,
        on_connected: Callable[[Redis], Awaitable[None]],
        name: str,
    ) -> None:
        """Take a handler per channel; `on_connected` is awaited after each subscription, before the first message."""
        self._redis_url = redis_url
        self._handlers = {channel.encode(): handler for channel, handler in handlers.items()}
        self._on_connected = on_connected
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()

    async def start(self) -> None:
        """Begin to read; returns when the channels are subscribed to, or after a second when the server is away."""
        if self._task is not None:
            return
        self._subscribed = asyncio.Event()
        self._task = asyncio.create_task(self._read(), name=self._name)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._subscribed.wait(), 1)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            await cancel_all((self._task,))
            self._task = None

    async def _read(self) -> None:
        while True:
            client = Redis.from_url(
                self._redis_url, retry=Retry(NoBackoff(), 0), health_check_interval=5
            )
            try:
                await self._read_from(client)
            except (RedisError, OSError) as error:
                logger.warning(
                    "channel lost", extra={"reader": self._name, "error": type(error).__name__}
                )
            finally:
                await client.aclose()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _read_from(self, client: Redis) -> None:
        async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(*self._handlers)
            await self._on_connected(client)
            self._subscribed.set()
            while True:
                message = await pubsub.get_message(timeout=1.0)
                if message is not None:
                    self._handlers[message["channel"]](message["data"])
