"""A connection on which many commands are under way at once: bytes out as they come, every reply to one function.

redis-py makes the connection (address, TLS, password, database) and then hands its transport over. Its own reading of
replies is made for one command at a time and costs a coroutine and a parser call for each; an order of the gateway
needs two replies, and would spend more time on reading them than on everything else.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from typing_extensions import override

_NOTHING: Final = object()


class ReplyLink(asyncio.Protocol):
    """What stands behind the transport of a connected connection from now on.

    on_replies gets all that one read of the socket brought: bytes undecoded, errors as ResponseError among them. What it
    raises ends the link.
    """

    def __init__(
        self, connection: AbstractConnection, on_replies: Callable[[list[Any]], None]
    ) -> None:
        writer = connection._writer  # noqa: SLF001 - redis-py has no other way to its transport.
        if writer is None:
            raise RedisConnectionError("the connection was closed")
        self._loop = asyncio.get_running_loop()
        self._transport = writer.transport
        self._reader = hiredis.Reader(replyError=ResponseError, notEnoughData=_NOTHING)
        self._on_replies = on_replies
        self._error: Exception | None = None
        self._ending = asyncio.Event()
        # When the server last said something, or when the caller began to wait for it; seconds of the loop.
        self.quiet_since_s = self._loop.time()
        self._transport.set_protocol(self)

    @property
    def has_ended(self) -> bool:
        """Return whether stand() will raise."""
        return self._error is not None

    def write(self, packed: bytes) -> None:
        """Send; what the server does not take at once waits in this process."""
        self._transport.write(packed)

    async def stand(self, seconds: float) -> None:
        """Return after a time if the link still stands.

        Errors: redis ConnectionError, or what else has ended it.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return
        if self._error is not None:
            raise self._error

    def require_life(self, silence_s_max: float) -> None:
        """Return if the server has said something lately; for as long as it owes an answer.

        Errors: redis TimeoutError.
        """
        if self._loop.time() - self.quiet_since_s > silence_s_max:
            raise RedisTimeoutError("the server does not answer")

    def end(self, error: Exception) -> None:
        """Let stand() raise the first error that ended the link."""
        if self._error is None:
            self._error = error
        self._ending.set()

    @override
    def data_received(self, data: bytes) -> None:
        """Hand over every reply that is whole."""
        self.quiet_since_s = self._loop.time()
        reader = self._reader
        replies: list[Any] = []
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                replies.append(reply)
        except hiredis.ProtocolError as error:
            self.end(RedisConnectionError(f"the server does not speak RESP: {error}"))
            return
        if replies:
            self._on_replies(replies)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; what on_replies has raised arrives here too."""
        if exc is None or isinstance(exc, OSError):
            exc = RedisConnectionError(f"the server went away ({exc or 'end of file'})")
        self.end(exc)
