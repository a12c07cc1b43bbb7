"""The gateway's three connections: one batching writer, one reader of output streams, one listener for answers.

Each is a task that lives as long as its process and comes back by itself after a lost connection or a fault of ours. Nothing is ever sent a
second time from here: redis-py's own retries are switched off, since one XADD with retries can become eleven entries.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from typing_extensions import override

from apps.common.cancellation import cancel_all
from apps.common.outputs import Output, output_from_entry
from apps.common.reply_link import ReplyLink

logger = logging.getLogger(__name__)

# How long one XREAD waits on the server, and how long the socket may stay silent before it counts as lost.
BLOCK_MS = 1_000
_SOCKET_TIMEOUT_S = 5
_CONNECT_TIMEOUT_S = 2
_READ_COUNT = 1_000
_BACKOFF_S_FIRST = 0.02
_BACKOFF_S_MAX = 1.0

# How often a connection is asked whether it still lives.
_LIFE_CHECK_S = 1.0
_READ = (b"XREAD", b"COUNT", _READ_COUNT, b"BLOCK", BLOCK_MS, b"STREAMS")

# Called with the reason if a command certainly did not take effect.
Refusal = Callable[[str], None]


def connection_make(url: str) -> AbstractConnection:
    """Return a connection that never repeats a command; not yet connected."""
    pool = ConnectionPool.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
    )
    return pool.make_connection()


class ConnectedTask:
    """A connection with a task on it that starts again after a failure, with a growing pause."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._connection: AbstractConnection | None = None
        # Set while the connection does its work.
        self.up = asyncio.Event()

    def start(self) -> None:
        """Start the task on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Cancel the task and close the connection."""
        if self._task is not None:
            await cancel_all((self._task,))
            self._task = None

    async def _run(self) -> None:
        pause_s = _BACKOFF_S_FIRST
        while True:
            self._connection = connection_make(self._url)
            try:
                await self._connection.connect()
                await self._serve(self._connection)
            except (RedisError, OSError) as error:
                if self.up.is_set():
                    pause_s = _BACKOFF_S_FIRST
                    logger.warning(
                        "a connection of the gateway was lost",
                        extra={"task": self._name, "error": repr(error)},
                    )
                self._failed(error)
            except Exception as error:
                # A fault of ours, such as an output of a build that we cannot read. A task that ended by it would leave everybody
                # without an answer for ever; what stood in the same batch is unknown to its askers, and missing to its followers.
                logger.exception(
                    "a connection of the gateway met a fault", extra={"task": self._name}
                )
                self._failed(error)
            finally:
                self.up.clear()
                await self._connection.disconnect(nowait=True)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _BACKOFF_S_MAX)

    async def _serve(self, connection: AbstractConnection) -> None:
        """Work on the connected connection until it fails."""
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        """Tell whoever waits for this connection that it is down; called at each failed attempt."""


class CommandWriter(ConnectedTask):
    """Sends commands in the order of their submission; what one turn of the loop submits leaves in one write.

    Nothing waits for the replies to what left before: the server syncs its file once for all that has come meanwhile.
    """

    def __init__(self, url: str, name: str) -> None:
        super().__init__(url, name)
        # Packed commands that have not left yet, and what to call for each if it had no effect.
        self._packed: list[bytes] = []
        self._refusals: list[Refusal] = []
        # The refusals of commands that have left, in the order of their replies.
        self._under_way: deque[Refusal] = deque()
        self._link: ReplyLink | None = None

    def submit(self, parts: tuple[Any, ...], on_refused: Refusal) -> None:
        """Queue one command.

        on_refused is called with the reason if the command certainly had no effect. After a connection that broke
        while the command was on its way nothing is called: nobody knows.
        """
        if self._link is not None and not self._packed:
            asyncio.get_running_loop().call_soon(self._send)
        # Packed in C: redis-py's own packing takes a third of all the time that an order takes here.
        self._packed.append(pack_command(parts))
        self._refusals.append(on_refused)

    @override
    def _failed(self, error: Exception) -> None:
        refusals, self._refusals, self._packed = self._refusals, [], []
        for on_refused in refusals:
            on_refused(f"the log cannot be reached ({type(error).__name__})")

    @override
    async def _serve(self, connection: AbstractConnection) -> None:
        self._under_way.clear()
        self._link = link = ReplyLink(connection, self._on_replies)
        self._send()
        self.up.set()
        try:
            while True:
                await link.stand(_LIFE_CHECK_S)
                if self._under_way:
                    link.require_life(_SOCKET_TIMEOUT_S)
        finally:
            self._link = None

    def _send(self) -> None:
        # Without a link it stays queued for the next connection, or is refused when that fails.
        if self._link is None or self._link.has_ended or not self._packed:
            return
        if not self._under_way:
            self._link.quiet_since_s = asyncio.get_running_loop().time()
        packed, self._packed = self._packed, []
        self._under_way.extend(self._refusals)
        self._refusals = []
        self._link.write(b"".join(packed))

    def _on_replies(self, replies: list[Any]) -> None:
        for reply in replies:
            on_refused = self._under_way.popleft()
            if isinstance(reply, ResponseError):
                on_refused(f"the log refused the entry ({reply})")


class OutputReader(ConnectedTask):
    """Follows the output streams of all shards from their ends on, without a gap across lost connections."""

    def __init__(
        self,
        url: str,
        streams: Sequence[str],
        on_outputs: Callable[[list[Output]], None],
    ) -> None:
        super().__init__(url, "gateway-reader")
        self._streams = [stream.encode() for stream in streams]
        self._shards = {stream: shard for shard, stream in enumerate(self._streams)}
        # Last id that was read, by stream; unknown before the first connection.
        self._last: dict[bytes, bytes] = {}
        self._on_outputs = on_outputs
        self._link: ReplyLink | None = None
        # Whether the server has been asked for something that it has not answered.
        self.is_owed = False

    @override
    async def _serve(self, connection: AbstractConnection) -> None:
        for stream in self._streams:
            if stream not in self._last:
                self._last[stream] = await _stream_end(connection, stream)
        self._link = link = ReplyLink(connection, self._on_replies)
        self._ask(link)
        self.up.set()
        try:
            while True:
                await link.stand(_LIFE_CHECK_S)
                if self.is_owed:
                    link.require_life(BLOCK_MS / 1_000 + _SOCKET_TIMEOUT_S)
        finally:
            self._link = None

    def _ask(self, link: ReplyLink) -> None:
        self.is_owed = True
        positions = [self._last[stream] for stream in self._streams]
        command: tuple[Any, ...] = (*_READ, *self._streams, *positions)
        link.write(pack_command(command))

    def _on_replies(self, replies: list[Any]) -> None:
        # What a closed link still had in its hands is read again by the next one.
        link = self._link
        if link is None:
            return
        for reply in replies:
            if isinstance(reply, ResponseError):
                link.end(reply)
                return
            for stream, entries in reply or ():
                self._last[stream] = entries[-1][0]
            # The server looks for the next ones while these are worked on.
            self._ask(link)
            for stream, entries in reply or ():
                shard = self._shards[stream]
                self._on_outputs(
                    [output_from_entry(shard, entry_id, fields) for entry_id, fields in entries]
                )


async def _stream_end(connection: AbstractConnection, stream: bytes) -> bytes:
    await connection.send_command("XINFO", "STREAM", stream)
    try:
        info = await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        info = error
    return stream_end_of(info)


def stream_end_of(info: Any) -> bytes:
    """Return the last id of a stream from the answer to XINFO STREAM.

    Errors: redis ResponseError, which is the answer itself, unless it says that there is no stream yet.
    """
    if isinstance(info, ResponseError):
        if "no such key" not in str(info).lower():
            raise info
        return b"0-0"
    last: bytes = dict(zip(info[::2], info[1::2], strict=True))[b"last-generated-id"]
    return last


class ChannelListener(ConnectedTask):
    """Hears one pub/sub channel; what is said while the connection is down is lost, so askers ask again."""

    def __init__(self, url: str, channel: str, on_message: Callable[[bytes], None]) -> None:
        super().__init__(url, "gateway-listener")
        self._channel = channel
        self._on_message = on_message

    @override
    async def _serve(self, connection: AbstractConnection) -> None:
        await connection.send_command("SUBSCRIBE", self._channel)
        await connection.read_response(disable_decoding=True)
        self.up.set()
        while True:
            # None after silence: then the server is asked for a sign of life, else a dead peer would go unnoticed.
            message = await connection.read_response(disable_decoding=True, timeout=BLOCK_MS / 1000)
            if message is None:
                await connection.send_command("PING", check_health=False)
            elif message[0] == b"message":
                self._on_message(message[2])


async def all_up(tasks: Sequence[ConnectedTask], timeout_s: float) -> None:
    """Wait until every task is connected.

    Errors: redis TimeoutError naming those that are not.
    """
    waits: list[Awaitable[Any]] = [task.up.wait() for task in tasks]
    try:
        await asyncio.wait_for(asyncio.gather(*waits), timeout_s)
    except TimeoutError:
        down = [task._name for task in tasks if not task.up.is_set()]  # noqa: SLF001 - same module.
        message = f"no connection within {timeout_s} s: {', '.join(down)}"
        raise RedisTimeoutError(message) from None
